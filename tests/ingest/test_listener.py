import asyncio
import logging

import pytest
from aiohttp import http_parser

from relay import wire
from relay.core.activity import Kind
from relay.errors import SettingsError
from relay.ingest import BroadcastRequest, BroadcastResult, Doors, assert_compiled_parser
from tests.ingest.house import EVENT, ORDER, House, narrow, narrow_at_both_ends, opened, until
from tests.ingest.test_body import HEAD
from tests.ingest.test_stream import HANDSHAKE, framed

GARBAGE = [
    b"kanarienvogel\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03kanarienvogel\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: kanarienvogel\r\n\r\n",
    b"GET / HTTP/1.1\r\nkanarienvogel\r\n\r\n",
    b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("raw", GARBAGE, ids=range(len(GARBAGE)))
async def test_what_is_no_http_is_one_400_and_the_end(house: House, raw: bytes) -> None:
    answer = await house.said(raw)
    assert answer.startswith(b"HTTP/1.0 400"), answer[:100]
    assert b"application/problem+json" in answer
    assert b"Server: typing-relay\r\n" in answer
    assert b"kanarienvogel" not in answer
    assert house.counted("relay_http_parse_errors_total") == 1


GET, HOST = b"GET / HTTP/1.1\r\n", b"Host: 127.0.0.1\r\n"
TELLING = {
    "4096": b"GET /kanarienvogel" + b"a" * 4096 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "8190": GET + HOST + b"X: kanarienvogel" + b"a" * 8190 + b"\r\n\r\n",
    "Host": GET + b"X: kanarienvogel\r\n\r\n",
    "length": GET + HOST + b"Content-Length: kanarienvogel\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "header": GET + HOST + b"kanarien vogel: x\r\n\r\n",
}


@pytest.mark.parametrize("word", TELLING)
async def test_what_is_wrong_with_a_head_is_told_and_the_head_is_not(house: House, word: str) -> None:
    answer = await house.said(TELLING[word])
    assert answer.startswith(b"HTTP/1.0 400")
    assert word.encode() in answer.partition(b"\r\n\r\n")[2]
    assert b"kanarien" not in answer


async def test_a_flood_of_garbage_is_counted_and_hardly_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(40):
        await asyncio.gather(*(house.said(b"kanarienvogel\r\n\r\n") for _ in range(50)))
    assert house.counted("relay_http_parse_errors_total") == 2000
    lines = [record for record in caplog.records if not record.name.startswith("asyncio")]
    assert len(lines) <= 4  # the goal: 20 in 10,000
    assert "kanarienvogel" not in caplog.text


async def test_a_fault_of_ours_is_500_without_its_reason(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(house.doors, Doors)

    class Fault(Exception):  # noqa: N818 - the test's own
        status = 500

    def fault(*_: object) -> None:
        raise Fault("kanarienvogel")

    house.doors.credentials.caller = fault  # type: ignore[assignment,method-assign]  # the fault under test
    answer = await house.post(EVENT)
    assert answer.status == 500
    assert answer.content_type == "application/problem+json"
    assert "kanarienvogel" not in await answer.text()
    assert [record.getMessage() for record in caplog.records] == ["http.fault"]


async def test_one_connection_too_many_is_closed_and_the_others_live() -> None:
    async with opened(most=1) as house:
        assert (await house.post(EVENT)).status == 202  # the client keeps this one
        assert await house.said(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
        assert (await house.post(EVENT)).status == 202


async def test_whoever_reads_no_answer_is_cut_and_counted(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Until then it would hold a connection and what was to be said there, and needs no credentials for it."""
    monkeypatch.setattr("relay.ingest.listener.UNREAD_S", 0.2)
    caplog.set_level(logging.INFO)
    slow = [await narrow(house.base_url) for _ in range(5)]
    for _, writer in slow:
        writer.write(b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
    await until(lambda: house.counted("relay_http_unread_total") == 5, within_s=5)
    await until(lambda: not house.connections)
    for _, writer in slow:
        writer.transport.abort()
    assert [record.getMessage() for record in caplog.records] == ["http.unread"]


async def test_what_is_little_and_unread_holds_no_connection_that_closes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below what a transport calls full nothing waits for the caller, but the end of its connection would."""
    monkeypatch.setattr("relay.ingest.listener.UNREAD_S", 0.2)
    _, writer = await narrow_at_both_ends(house)
    writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    await until(lambda: house.counted("relay_http_unread_total") == 1, within_s=5)
    await until(lambda: not house.connections)
    writer.transport.abort()


async def test_a_caller_that_goes_in_mid_body_is_not_waited_for(house: House) -> None:
    """Its end arrives with its head, before its request is at work."""
    reader, writer = await narrow(house.base_url)
    writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
    writer.write_eof()
    async with asyncio.timeout(1):
        assert await reader.read() == b""
    await until(lambda: not house.connections, within_s=1)
    writer.close()


async def test_a_stream_whose_caller_has_said_all_without_a_close_is_over(house: House) -> None:
    """Nothing more can come, and so no answer to a ping: its actors would stay for half a minute."""
    reader, writer = await narrow(house.base_url)
    writer.write(HANDSHAKE)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(framed(wire.dumps(EVENT)))
    writer.write_eof()
    await until(lambda: not house.connections, within_s=2)
    assert [one.kind for one in house.taken] == [Kind.KEYSTROKE, Kind.ACTOR_LEFT]
    writer.close()


async def test_whoever_reads_late_but_reads_gets_all_of_it(house: House) -> None:
    reader, writer = await narrow_at_both_ends(house)
    writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.1)
    assert int(head.partition(b"Content-Length: ")[2].split()[0]) == len(await reader.read())
    assert house.counted("relay_http_unread_total") == 0
    writer.close()


@pytest.mark.parametrize("path", ["/v1/broadcasts", "/v1/events"])
async def test_a_caller_that_has_said_all_is_answered(house: House, path: str) -> None:
    async def slowly(_: BroadcastRequest) -> BroadcastResult:
        await asyncio.sleep(0.2)
        return BroadcastResult(success=True, latency_ms=200, audit_id="aud-1", status=202)

    house.on_broadcast = slowly
    host, _, port = house.base_url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = wire.dumps(ORDER if path == "/v1/broadcasts" else EVENT)
    head = HEAD.replace(b"/v1/events", path.encode())
    writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    writer.write_eof()
    async with asyncio.timeout(5):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 20")
    assert bool(house.ordered) is (path == "/v1/broadcasts")
    await until(lambda: not house.connections, within_s=5)
    writer.close()


def test_the_compiled_parser_is_in_use() -> None:
    assert_compiled_parser()


def test_the_python_parser_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(SettingsError, match="AIOHTTP_NO_EXTENSIONS"):
        assert_compiled_parser()
