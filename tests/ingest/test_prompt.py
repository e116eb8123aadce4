"""What is answered in the turn it arrives in, against aiohttp's own way: the same answers, in the same order."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay import wire
from relay.errors import Unavailable
from relay.ingest import BroadcastRequest, BroadcastResult
from tests.ingest.house import (
    EVENT,
    ORDER,
    House,
    key_settings,
    narrow_at_both_ends,
    opened,
    settings,
    sure,
)
from tests.ingest.test_signed import NEW, OTHER, headers

GOOD = wire.dumps(EVENT)
LINES = b"application/x-ndjson"


def request(
    body: bytes,
    *,
    more: bytes = b"",
    host: bytes = b"127.0.0.1",
    key: str | None = None,
    kind: bytes = b"application/json",
    path: bytes = b"/v1/events",
) -> bytes:
    bearer = f"Authorization: Bearer {key or sure().key}\r\n".encode()
    head = b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Type: %b\r\n" % (path, host, kind)
    return head + bearer + more + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


KNOWN = settings(sources={"crm": {"keys": [key_settings(sure())], "secrets": [NEW]}})


class Talk:
    """One connection: raw requests in, whole answers out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, raw: bytes) -> bytes:
        self.writer.write(raw)
        return await self.answer()

    async def answer(self) -> bytes:
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"(?i)content-length: (\d+)", head)
            assert found
            return head + await self.reader.readexactly(int(found[1]))


@asynccontextmanager
async def talking(house: House) -> AsyncIterator[Talk]:
    host, _, port = house.base_url.removeprefix("http://").rpartition(":")
    talk = Talk(*await asyncio.open_connection(host, int(port)))
    try:
        yield talk
    finally:
        talk.writer.transport.abort()
        await asyncio.sleep(0)


def served_by_aiohttp(house: House) -> int:
    assert house.listener is not None
    return house.listener.requests_count


@pytest.mark.parametrize(
    "raw",
    [request(GOOD), request(b"[%b,%b]" % (GOOD, GOOD)), request(GOOD + b"\n" + GOOD, kind=LINES)],
    ids=["one", "array", "lines"],
)
async def test_whole_events_are_answered_in_the_turn_they_arrive_in(house: House, raw: bytes) -> None:
    async with talking(house) as talk:
        answer = await talk.ask(raw)
    assert answer.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert len(house.taken) == raw.count(b"sessionId")
    assert served_by_aiohttp(house) == 0


def signed(body: bytes, *, secret: str = NEW) -> bytes:
    said = "".join(f"{name}: {value}\r\n" for name, value in headers(secret, body=body).items())
    head = f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{said}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


ALIKE = {
    "signed": signed(GOOD),
    "signed array": signed(b"[%b]" % GOOD),
    "signed by another": signed(GOOD, secret=OTHER),
    "signed and not JSON": signed(b"{"),
    "one": request(GOOD),
    "array": request(b"[%b,%b]" % (GOOD, GOOD)),
    "lines": request(GOOD + b"\n" + GOOD, kind=LINES),
    "nothing": request(b""),
    "not JSON": request(b"{"),
    "a bad field": request(wire.dumps(EVENT | {"seq": -1})),
    "a bad line": request(GOOD + b"\n{}", kind=LINES),
    "no such key": request(GOOD, key="trk_00000000_x"),
    "no such host": request(GOOD, host=b"evil.example"),
    "no JSON": request(GOOD, kind=b"text/plain"),
    "encoded": request(GOOD, more=b"Content-Encoding: gzip\r\n"),
    "another site": request(GOOD, more=b"Sec-Fetch-Site: cross-site\r\n"),
}


def alike(answer: bytes) -> tuple[bytes, set[bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = re.sub(rb"\r\nDate: [^\r]+", b"\r\nDate", head).split(b"\r\n")
    return status, {one for one in headers if not one.startswith(b"Connection")}, body


@pytest.mark.parametrize("name", ALIKE)
async def test_both_ways_answer_alike(name: str) -> None:
    raw = ALIKE[name]
    async with opened(KNOWN) as at_once, opened(KNOWN) as at_leisure:
        async with talking(at_once) as talk, talking(at_leisure) as other:
            prompt = await talk.ask(raw)
            usual = await other.ask(raw.replace(b"Host:", b"Connection: close\r\nHost:", 1))
        assert alike(prompt) == alike(usual)
        assert (served_by_aiohttp(at_once), served_by_aiohttp(at_leisure)) == (0, 1)
        assert at_once.taken == at_leisure.taken


async def test_a_signed_request_repeated_has_one_effect_and_one_that_failed_none() -> None:
    async with opened(KNOWN) as house, talking(house) as talk:
        house.refuses = Unavailable("stopping", retry_after_s=5)
        assert (await talk.ask(signed(GOOD))).startswith(b"HTTP/1.1 503")
        house.refuses = None
        assert b'"accepted":1' in await talk.ask(signed(GOOD))
        assert b'"duplicates":1' in await talk.ask(signed(GOOD))
        assert (len(house.taken), served_by_aiohttp(house)) == (1, 0)


async def test_what_is_refused_behind_the_doors_is_answered_alike(house: House) -> None:
    house.refuses = Unavailable("stopping", retry_after_s=5)
    async with talking(house) as talk:
        assert b"\r\nRetry-After: 5\r\n" in await talk.ask(request(GOOD))
        house.refuses = None
        assert (await talk.ask(request(GOOD))).startswith(b"HTTP/1.1 202")


async def test_a_rate_that_is_used_up_is_used_up_once() -> None:
    """One request each half second: the burst of two seconds' worth is one, the next is refused, and costs nothing."""
    crm = settings().sources["crm"].model_dump() | {"requests_per_s": 0.5}
    async with opened(settings(sources={"crm": crm})) as house, talking(house) as talk:
        statuses = [(await talk.ask(request(GOOD)))[:12] for _ in range(3)]
        assert statuses == [b"HTTP/1.1 202", b"HTTP/1.1 429", b"HTTP/1.1 429"]
        house.now = 2001
        assert (await talk.ask(request(GOOD))).startswith(b"HTTP/1.1 202")


async def test_nobody_overtakes_a_request_that_is_still_at_work(house: House) -> None:
    may_end = asyncio.Event()

    async def slow(_: BroadcastRequest) -> BroadcastResult:
        await may_end.wait()
        return BroadcastResult(success=True, latency_ms=1, audit_id="aud-1", status=200)

    house.on_broadcast = slow
    async with talking(house) as talk:
        talk.writer.write(request(wire.dumps(ORDER), path=b"/v1/broadcasts"))
        while not house.ordered:  # noqa: ASYNC110 - happens behind a socket
            await asyncio.sleep(0.01)
        talk.writer.write(request(GOOD))
        await asyncio.sleep(0.05)
        may_end.set()
        assert b"aud-1" in await talk.answer()
        assert b'"accepted":1' in await talk.answer()


async def test_of_requests_that_come_together_each_has_its_answer_in_its_place(house: House) -> None:
    async with talking(house) as talk:
        talk.writer.write(request(GOOD) + request(b"{") + request(GOOD))
        answers = [(await talk.answer())[:12] for _ in range(3)]
        assert answers == [b"HTTP/1.1 202", b"HTTP/1.1 400", b"HTTP/1.1 202"]


async def test_a_connection_in_use_is_kept_and_an_idle_one_is_closed() -> None:
    configured = settings(server={"port": 0, "keepalive_timeout_s": 0.8})
    async with opened(configured) as house, talking(house) as talk:
        for _ in range(4):
            assert (await talk.ask(request(GOOD))).startswith(b"HTTP/1.1 202")
            await asyncio.sleep(0.4)
        async with asyncio.timeout(5):
            assert await talk.reader.read() == b""


async def test_a_fault_is_500_and_the_end_of_its_connection_alone(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    assert house.listener is not None
    async with talking(house) as talk, talking(house) as other:
        served = house.listener.at_once

        def fault(*_: object) -> bytes:
            raise ZeroDivisionError("kanarienvogel")

        house.listener.at_once = fault
        answer = await talk.ask(request(GOOD))
        assert answer.startswith(b"HTTP/1.1 500")
        assert await talk.reader.read() == b""
        house.listener.at_once = served
        assert (await other.ask(request(GOOD))).startswith(b"HTTP/1.1 202")
        assert b"kanarienvogel" not in answer
        assert [record.getMessage() for record in caplog.records] == ["http.fault"]


async def test_whoever_never_reads_is_read_no_further(house: House) -> None:
    """One request at a time, each whole: answers pile up to aiohttp's mark, and then TCP holds the caller back."""
    _, writer = await narrow_at_both_ends(house)
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a selector's transport can
    sent, is_held = 0, False
    while not is_held:
        writer.write(request(GOOD))
        sent += 1
        try:
            async with asyncio.timeout(1):
                await writer.drain()
        except TimeoutError:
            is_held = True
        await asyncio.sleep(0)
    before = -1
    async with asyncio.timeout(10):
        while before != len(house.taken):  # what had arrived is still being answered
            before = len(house.taken)
            await asyncio.sleep(0.3)
    assert 0 < before < sent
    writer.transport.abort()
