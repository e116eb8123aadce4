"""Whatever a stream is sent, legal or not, in whatever pieces: good events are taken, and nothing else happens.

pytest -m long tests/ingest/test_fuzz_frames.py      20,000 conversations, some minutes
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay import wire
from relay.core.activity import Kind
from tests.ingest.house import EVENT, House, key_settings, opened, settings, sure
from tests.ingest.rubbish import BODIES

# Some frames have to be of 64 KiB, and hypothesis writes each conversation down.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

PIECES_S = 3.0
MOST_PIECES = 4000
"""64 KiB byte by byte takes as long as a conversation may."""
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
HANDSHAKE = (
    "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    f"Authorization: Bearer {sure().key}\r\n\r\n"
).encode()
UNMETERED = {"keys": [key_settings(sure())], "events_per_s": 10_000_000, "requests_per_s": 1_000_000}


@dataclass(frozen=True)
class Frame:
    """Its bytes; how many events are in it, None where nobody can say; whether the stream is over with it.

    `is_whole` False: more is announced than comes.
    """

    sent: bytes
    events: int | None = 0
    is_error: bool = False
    ends: bool = False
    is_whole: bool = True


def raw(opcode: int, payload: bytes, *, mask: bytes | None = bytes(4), first: int = 0x80) -> bytes:
    """RFC 6455 section 5.2; `first` holds FIN and the reserved bits."""
    masked = 0x80 if mask is not None else 0
    size = len(payload)
    if size < 126:
        length = bytes([masked | size])
    elif size < 1 << 16:
        length = bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([masked | 127]) + size.to_bytes(8, "big")
    if mask is None:
        return bytes([first | opcode]) + length + payload
    hidden = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([first | opcode]) + length + mask + hidden


MASKS = st.binary(min_size=4, max_size=4)
GOOD_EVENT = st.just(wire.dumps(EVENT))
BAD_EVENT = st.sampled_from(
    [b"{", b"", b'"x"', b"{}", wire.dumps(EVENT | {"seq": -1}), b'{"a":1},{"b":2}', b"\xff"]
)


def _fragmented(text: bytes, at: int, mask: bytes) -> bytes:
    cut = at % (len(text) + 1)
    ping = raw(PING, b"between", mask=mask)  # control frames may stand between the pieces (section 5.4)
    return raw(TEXT, text[:cut], mask=mask, first=0) + ping + raw(0, text[cut:], mask=mask)


LEGAL: st.SearchStrategy[Frame] = st.one_of(
    st.builds(lambda text, mask: Frame(raw(TEXT, text, mask=mask), 1), GOOD_EVENT, MASKS),
    st.builds(lambda text: Frame(raw(TEXT, text), 1), GOOD_EVENT),
    st.builds(
        lambda text, at, mask: Frame(_fragmented(text, at, mask), 1), GOOD_EVENT, st.integers(0, 200), MASKS
    ),
    st.builds(lambda count: Frame(raw(TEXT, wire.dumps([EVENT] * count)), count), st.integers(1, 20)),
    st.builds(lambda text: Frame(raw(TEXT, text), is_error=True), BAD_EVENT),
    st.builds(lambda data: Frame(raw(BINARY, data), is_error=True), st.binary(max_size=200)),
    st.builds(
        lambda kind, data: Frame(raw(kind, data)), st.sampled_from([PING, PONG]), st.binary(max_size=125)
    ),
)
ILLEGAL: st.SearchStrategy[Frame] = st.one_of(
    st.builds(lambda body: Frame(raw(TEXT, body), None), BODIES),
    st.builds(  # reserved bits, unknown opcodes, control frames in pieces or too long
        lambda opcode, first, data: Frame(raw(opcode, data, first=first & 0xF0), None, ends=True),
        st.integers(0, 15),
        st.integers(0, 255),
        st.binary(max_size=300),
    ),
    st.builds(lambda text: Frame(raw(TEXT, text, mask=None), None), GOOD_EVENT),
    st.builds(lambda size: Frame(raw(TEXT, b" " * size), None, ends=True), st.integers(65_536, 70_000)),
    st.builds(
        lambda size: Frame(b"\x81\xff" + size.to_bytes(8, "big") + bytes(4), None, ends=True, is_whole=False),
        st.integers(0, 2**64 - 1),
    ),
    st.builds(
        lambda code, why: Frame(raw(CLOSE, code + why), None, ends=True),
        st.binary(max_size=2),
        st.binary(max_size=9),
    ),
    st.builds(lambda data: Frame(data, None, ends=True, is_whole=False), st.binary(max_size=40)),
)
CONVERSATIONS = st.tuples(st.lists(LEGAL, max_size=40), st.none() | ILLEGAL, st.integers(1, 3000))


@contextmanager
def complaints(loop: asyncio.AbstractEventLoop) -> Iterator[list[str]]:
    """What is logged as an error, or comes to the loop as one that nobody caught."""
    heard: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    listening = Listening(logging.ERROR)
    logging.getLogger().addHandler(listening)
    loop.set_exception_handler(lambda _, context: heard.append(str(context)))
    try:
        yield heard
    finally:
        logging.getLogger().removeHandler(listening)


async def talked(house: House, frames: list[Frame], piece: int) -> bytes:
    """All that the server says to these frames, sent in pieces of that many bytes, and to a close behind them."""
    host, _, port = house.base_url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(PIECES_S):
            writer.write(HANDSHAKE)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101")
            sent = b"".join(frame.sent for frame in frames) + raw(CLOSE, b"\x03\xe8")
            piece = max(piece, len(sent) // MOST_PIECES)
            for start in range(0, len(sent), piece):
                if reader.at_eof():
                    break  # the rest would be said to nobody
                writer.write(sent[start : start + piece])
                await asyncio.sleep(0)
            if not all(frame.is_whole for frame in frames):
                writer.write_eof()
            return await reader.read()
    except TimeoutError:  # an OSError too
        raise
    except OSError:
        return b""  # it has hung up on what was no frame at all
    finally:
        writer.close()


def heard(said: bytes) -> list[tuple[int, bytes]]:
    """(opcode, payload) of every frame; each is whole, unmasked, and of a kind that a server may send."""
    frames = []
    while said:
        first, size, rest = said[0], said[1], said[2:]
        if size == 126:
            size, rest = int.from_bytes(rest[:2], "big"), rest[2:]
        assert size <= len(rest)
        frames.append((first & 15, rest[:size]))
        assert first in {0x80 | TEXT, 0x80 | CLOSE, 0x80 | PING, 0x80 | PONG}
        said = rest[size:]
    return frames


def check(frames: list[Frame], said: bytes) -> None:
    told = [wire.loads(payload) for opcode, payload in heard(said) if opcode == TEXT]
    errors: list[Any] = [one["error"] for one in told if "error" in one]
    acks: list[int] = [one["ack"] for one in told if "ack" in one]
    assert len(errors) + len(acks) == len(told)
    assert acks == sorted(set(acks))
    places = [error["frame"] for error in errors]
    assert places == sorted(set(places))
    assert all(400 <= error["status"] < 500 for error in errors)
    if all(frame.events is not None for frame in frames):
        assert len(errors) == sum(frame.is_error for frame in frames)


def run(most: int) -> None:
    """So many conversations with one server, each on a connection of its own."""
    with asyncio.Runner() as runner, complaints(runner.get_loop()) as complained:
        door = opened(settings(sources={"crm": UNMETERED}))
        house = runner.run(door.__aenter__())

        @examples(max_examples=most, deadline=None, suppress_health_check=list(HealthCheck))
        @given(CONVERSATIONS)
        def one(conversation: tuple[list[Frame], Frame | None, int]) -> None:
            legal, illegal, piece = conversation
            frames = [*legal, illegal] if illegal else legal
            house.taken.clear()
            said = runner.run(talked(house, frames, piece))
            check(frames, said)
            sure_of = sum(frame.events or 0 for frame in legal)
            if illegal is None:
                taken = [one.kind for one in house.taken if one.kind is not Kind.ACTOR_LEFT]
                assert len(taken) == sure_of
            assert complained == []

        one()
        runner.run(door.__aexit__(None, None, None))


def test_whatever_a_stream_is_sent_good_events_are_taken_and_nothing_else_happens() -> None:
    run(50)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_twenty_thousand_conversations_are_held_without_another_exception() -> None:
    run(20_000)
