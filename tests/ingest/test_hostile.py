"""What a stranger or a careless caller can send on a raw socket: two readings of one request, drips, stalls, floods.

Every body below that could be read as a second request is one that would be taken: an event too many in the house is
a smuggled one.
"""

import asyncio
import io
import logging
import random
import re
from collections.abc import Iterator

import pytest

from relay import wire
from relay.observe import logs
from tests.ingest.house import EVENT, House, narrow, opened, settings
from tests.ingest.test_body import HEAD
from tests.ingest.test_stream import HANDSHAKE, framed

QUICK = settings(server={"port": 0, "body_timeout_s": 0.3, "keepalive_timeout_s": 0.3})

EVENT_BYTES = wire.dumps(EVENT)
INNER = (
    HEAD
    + b"Content-Length: %d\r\n\r\n" % len(wire.dumps(EVENT | {"seq": 666}))
    + wire.dumps(EVENT | {"seq": 666})
)
"""A whole request, as the body of another: who reads the outer one's length differently takes this one too."""

CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT_BYTES), EVENT_BYTES)
LENGTH = b"Content-Length: %d\r\n" % len(EVENT_BYTES)

AMBIGUOUS: dict[str, bytes] = {
    "length and chunks": LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED + INNER,
    "chunks and length": b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n" + CHUNKED + INNER,
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + CHUNKED + INNER,
    "chunks and something": b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED + INNER,
    "chunks of another name": b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED + INNER,
    "chunks after a tab": b"Transfer-Encoding:\tchunked\r\n" + LENGTH + b"\r\n" + CHUNKED + INNER,
    "chunks after a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKED + INNER,
    "two lengths": LENGTH + b"Content-Length: 3\r\n\r\n" + EVENT_BYTES + INNER,
    "two equal lengths": LENGTH + LENGTH + b"\r\n" + EVENT_BYTES + INNER,
    "a list of lengths": b"Content-Length: 3, 3\r\n\r\n" + EVENT_BYTES + INNER,
    "a negative length": b"Content-Length: -1\r\n\r\n" + INNER,
    "a length with a plus": b"Content-Length: +%d\r\n\r\n" % len(EVENT_BYTES) + EVENT_BYTES + INNER,
    "a length with underscores": b"Content-Length: 1_0\r\n\r\n" + EVENT_BYTES + INNER,
    "a length in hexadecimals": b"Content-Length: 0x10\r\n\r\n" + EVENT_BYTES + INNER,
    "an empty length": b"Content-Length:\r\n\r\n" + INNER,
    "a length of another script": "Content-Length: \u0661\u0660\r\n\r\n".encode() + EVENT_BYTES + INNER,
    "a huge length": b"Content-Length: 99999999999999999999999\r\n\r\n" + INNER,
    "a space before the colon": b"Content-Length : %d\r\n\r\n" % len(INNER) + EVENT_BYTES + INNER,
    "a folded header": b"X-Folded: a\r\n Content-Length: 3\r\n\r\n" + EVENT_BYTES + INNER,
    "a folded length": b"Content-Length:\r\n %d\r\n\r\n" % len(EVENT_BYTES) + EVENT_BYTES + INNER,
    "bare line feeds": (LENGTH + b"X: y\r\n\r\n").replace(b"\r\n", b"\n") + EVENT_BYTES + INNER,
    "a bare line feed in a value": b"X: a\n" + LENGTH + b"\r\n" + EVENT_BYTES + INNER,
    "a bare carriage return in a value": b"X: a\rContent-Length: 3\r\n\r\n" + EVENT_BYTES + INNER,
    "a NUL in a value": b"X: a\x00b\r\n" + LENGTH + b"\r\n" + EVENT_BYTES + INNER,
    "a NUL in a name": b"X\x00: a\r\n" + LENGTH + b"\r\n" + EVENT_BYTES + INNER,
    "no name": b": a\r\n" + LENGTH + b"\r\n" + EVENT_BYTES + INNER,
    "a chunk of negative size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + CHUNKED + INNER,
    "a chunk of prefixed size": b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n" + INNER,
    "a chunk of endless size": b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n" + INNER,
    "a chunk that is longer than it says": b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" + INNER,
    "chunks with line feeds": b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED.replace(b"\r\n", b"\n") + INNER,
    "a bare line feed after an extension": b"Transfer-Encoding: chunked\r\n\r\n1;x\ny\r\n" + CHUNKED + INNER,
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_a_request_that_can_be_read_in_two_ways_is_refused_and_the_connection_ends(name: str) -> None:
    async with opened(QUICK) as house:
        answer = await house.said(HEAD + AMBIGUOUS[name])
        assert re.findall(rb"HTTP/1\.[01] (\d+)", answer) == [b"400"]
        assert house.taken == []
        assert house.counted("relay_http_parse_errors_total") == 1


PLAIN: dict[str, bytes] = {
    "a length": LENGTH + b"\r\n" + EVENT_BYTES,
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "chunks with an extension": b"Transfer-Encoding: chunked\r\n\r\n"
    + CHUNKED.replace(b"\r\n{", b";x=y\r\n{", 1),
    "another protocol, which is not spoken here": b"Upgrade: websocket\r\nConnection: upgrade\r\n"
    + LENGTH
    + b"\r\n"
    + EVENT_BYTES,
    "chunks and a trailer": b"Transfer-Encoding: Chunked\r\n\r\n" + CHUNKED[:-2] + b"X-Late: y\r\n\r\n",
}


@pytest.mark.parametrize("name", PLAIN)
async def test_a_request_that_can_be_read_in_one_way_leaves_the_next_one_whole(name: str) -> None:
    """What the table above proves, it proves only while this holds: `INNER` is a good request."""
    async with opened(QUICK) as house:
        answer = await house.said(HEAD + PLAIN[name] + INNER)
        assert re.findall(rb"HTTP/1\.[01] (\d+)", answer) == [b"202", b"202"]
        assert [one.seq for one in house.taken] == [None, 666]


async def test_what_follows_a_refused_handshake_is_not_read_as_a_request() -> None:
    async with opened(QUICK) as house:
        refused = await house.said(HANDSHAKE.replace(b"trk_", b"xxx_") + INNER)
        assert re.findall(rb"HTTP/1\.[01] (\d+)", refused) == [b"401"]
        assert house.taken == []


@pytest.mark.parametrize(
    "refused", [HEAD.replace(b"trk_", b"xxx_"), HEAD.replace(b"/v1/events", b"/nowhere")]
)
async def test_what_follows_a_refused_caller_that_was_not_invited_is_not_read(refused: bytes) -> None:
    """It goes on with its next request or with its body, as it likes: taken for a body, a request was lost and the next
    one cut in two.
    """
    head = b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (len(INNER) - 10)
    async with opened(QUICK) as house:
        reader, writer = await narrow(house.base_url)
        writer.write(refused + head)
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.write(INNER + INNER)
            rest = await reader.read()
        assert b"Connection: close" in answer
        assert b"HTTP/1." not in rest
        assert house.taken == []
        writer.close()


STALLS: dict[str, bytes] = {
    "nothing at all": b"",
    "half a request line": b"POST /v1/ev",
    "half a header": HEAD + b"Content-Le",
    "a head and no body": HEAD + LENGTH + b"\r\n",
    "half a body": HEAD + LENGTH + b"\r\n" + EVENT_BYTES[:9],
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n50\r\n{",
    "half of a second request": HEAD + LENGTH + b"\r\n" + EVENT_BYTES + b"POST /v1",
}


@pytest.mark.parametrize("name", STALLS)
async def test_whoever_stalls_is_closed(name: str) -> None:
    async with opened(QUICK) as house:
        await house.said(STALLS[name], within_s=5)  # returns when the connection is closed
        assert len(house.taken) <= 1


@pytest.mark.parametrize(
    "raw", [HEAD + b"X: " + b"y" * 400, HEAD + LENGTH + b"\r\n" + EVENT_BYTES], ids=["head", "body"]
)
async def test_whoever_drips_is_closed_however_steadily(raw: bytes) -> None:
    async with opened(QUICK) as house:
        host, _, port = house.base_url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        dripping = asyncio.create_task(_drip(writer, raw))
        async with asyncio.timeout(5):
            await reader.read()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.close()
        assert house.taken == []


async def _drip(writer: asyncio.StreamWriter, raw: bytes) -> None:
    writer.write(raw[: len(raw) - 200])
    for byte in raw[len(raw) - 200 :]:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def test_pipelined_requests_without_end_are_answered_one_by_one_and_bounded() -> None:
    """A caller that sends and never reads is read no further once its answers pile up."""
    async with opened() as house:
        host, _, port = house.base_url.removeprefix("http://").rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1024)
        one = HEAD + LENGTH + b"\r\n" + EVENT_BYTES
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_pour(writer, one * 200), timeout=1)
        assert house.client is not None
        assert (await house.client.get(house.base_url + "/")).status == 404, "others are answered meanwhile"
        writer.transport.abort()


async def _pour(writer: asyncio.StreamWriter, raw: bytes) -> None:
    while True:
        writer.write(raw)
        await writer.drain()


STRANGE = [
    "\x1b[31mred",
    "a\tb",
    "\x9b31m",
    "\u202egnp.exe",
    '"}{"level":"error',
    "\u2028x",
    "%0d%0aX: y",
    "é",
    "\x7f",
]


def strangers(seed: int) -> Iterator[bytes]:
    """Requests no honest caller sends, each with names of its own making."""
    rng = random.Random(seed)
    while True:
        odd, own = rng.choice(STRANGE).encode(), b"s%d" % rng.getrandbits(40)
        close = b"Connection: close\r\nContent-Length: 0\r\n\r\n"
        yield rng.choice([
            own + odd + b"\r\n\r\n",
            b"GET /" + own + b" HTTP/1.1\r\nHost: localhost\r\n" + close,
            b"POST /v1/events HTTP/1.1\r\nHost: " + own + b".example\r\n" + close,
            own.upper() + b" /v1/events HTTP/1.1\r\nHost: localhost\r\n" + close,
            b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX-Relay-Source: " + own + odd + b"\r\nContent-Type: application/json\r\n" + close,
            b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nUser-Agent: " + odd + b"\r\nAuthorization: Bearer " + own + odd + b"\r\n" + close,
            b"GET /v1/stream?" + own + b"=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" + close,
            b"OPTIONS /v1/events HTTP/1.1\r\nHost: localhost\r\nOrigin: https://" + own + b".example\r\n" + close,
        ])  # fmt: skip


def series(house: House) -> set[str]:
    lines = house.metrics.render()[1].decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


async def test_a_flood_of_strangers_leaves_a_handful_of_lines_and_no_new_series() -> None:
    """Ten thousand requests, at most twenty lines: each of them one JSON object without a control character."""
    written, root = io.StringIO(), logging.getLogger()
    before = root.handlers[:], root.level
    async with opened() as house:
        logs.setup("debug", "hashed", stream=written)
        crowd = strangers(1)
        try:
            for _ in range(100):
                await asyncio.gather(*(house.said(next(crowd)) for _ in range(10)))
            known = series(house)
            for _ in range(900):
                await asyncio.gather(*(house.said(next(crowd)) for _ in range(10)))
        finally:
            root.handlers[:], root.level = before
        assert series(house) == known
        assert house.taken == []
    lines = [line for line in written.getvalue().splitlines() if '"logger":"asyncio"' not in line]
    assert len(lines) <= 20
    for line in lines:
        assert isinstance(wire.loads(line), dict)
        assert line.isprintable()


async def test_sessions_and_ids_without_number_make_no_series() -> None:
    async with opened() as house:
        rng = random.Random(2)

        def event() -> dict[str, object]:
            own = f"{rng.getrandbits(32):08x}"
            return EVENT | {
                "sessionId": f"{own}-6f7a-4c1e-9a39-0c8d6a3b1f00",
                "id": own,
                "actor": {"id": own},
            }

        await house.post([event() for _ in range(10)])
        known = series(house)
        for _ in range(30):
            assert (await house.post([event() for _ in range(500)])).status == 202
        assert series(house) == known


@pytest.mark.parametrize(
    "frame",
    [b"\xf1\x80" + bytes(4), b"\x83\x80" + bytes(4), b"\x80\x80" + bytes(4), b"\x89\xfe\x01\x00" + bytes(4),
     b"\x88\x81" + bytes(4) + b"x", b"\x81\xff" + b"\x7f" + b"\xff" * 7 + bytes(4), b"GET / HTTP/1.1\r\n\r\n"],
    ids=["reserved bits", "unknown kind", "nothing to continue", "long ping", "short close", "endless", "no frame"],
)  # fmt: skip
async def test_what_is_no_frame_ends_its_stream_and_no_other(
    house: House, frame: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await house.said(HANDSHAKE + framed(EVENT_BYTES) + frame)
    assert answer.startswith(b"HTTP/1.1 101")
    assert house.taken[0].seq is None
    assert (await house.post(EVENT)).status == 202
    assert caplog.records == []
