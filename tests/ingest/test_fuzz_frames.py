"""Whatever a stream is sent, legal or not, in whatever pieces: good events are taken, and nothing else happens.

pytest -m long tests/ingest/test_fuzz_frames.py      20,000 conversations, some minutes
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
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

PIECES_S = 15.0
MOST_PIECES = 4000
"""64 KiB byte by byte takes as long as a conversation may."""
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
HANDSHAKE = (
    "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    f"Authorization: Bearer {sure().key}\r\n\r\n"
).encode()
UNMETERED = {"keys": [key_settings(sure())], "events_per_s": 10_000_000, "bytes_per_s": 1e11}


@dataclass(frozen=True)
class Said:
    """Some bytes, which may hold the number of the event they begin with; what is to come of them.

    `events` in `frames` frames of text or bytes, one of which is refused where `is_error`. `is_legal` False: nobody can
    say. `is_whole` False: more is announced than comes.
    """

    sent: Callable[[int], bytes]
    events: int = 0
    frames: int = 0
    is_error: bool = False
    is_legal: bool = True
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
BAD_EVENT = st.sampled_from(
    [b"{", b"", b'"x"', b"{}", wire.dumps(EVENT | {"seq": -1}), b'{"a":1},{"b":2}', b"\xff"]
)


def event(seq: int) -> bytes:
    return wire.dumps(EVENT | {"seq": seq})


def run_of(count: int, mask: bytes) -> Said:
    """Events one behind the other: those that may come together."""
    return Said(
        lambda seq: b"".join(raw(TEXT, event(seq + n), mask=mask) for n in range(count)), count, count
    )


def array_of(count: int) -> Said:
    return Said(lambda seq: raw(TEXT, b"[%b]" % b",".join(event(seq + n) for n in range(count))), count, 1)


def in_pieces(at: int, mask: bytes) -> Said:
    def sent(seq: int) -> bytes:
        text = event(seq)
        cut = at % (len(text) + 1)
        ping = raw(PING, b"between", mask=mask)  # control frames may stand between the pieces (section 5.4)
        return raw(TEXT, text[:cut], mask=mask, first=0) + ping + raw(0, text[cut:], mask=mask)

    return Said(sent, 1, 1)


def refused(opcode: int, data: bytes) -> Said:
    return Said(lambda _: raw(opcode, data), frames=1, is_error=True)


def illegal(sent: bytes, *, is_whole: bool = True) -> Said:
    return Said(lambda _: sent, is_legal=False, is_whole=is_whole)


LEGAL: st.SearchStrategy[Said] = st.one_of(
    st.builds(run_of, st.integers(2, 30), MASKS),
    st.builds(run_of, st.just(1), MASKS),
    st.builds(in_pieces, st.integers(0, 200), MASKS),
    st.builds(array_of, st.integers(1, 20)),
    st.builds(lambda text: refused(TEXT, text), BAD_EVENT),
    st.builds(lambda data: refused(BINARY, data), st.binary(max_size=200) | st.just(event(0))),
    st.builds(
        lambda kind, data: Said(lambda _: raw(kind, data)),
        st.sampled_from([PING, PONG]),
        st.binary(max_size=125),
    ),
)
ILLEGAL: st.SearchStrategy[Said] = st.one_of(
    st.builds(lambda body: illegal(raw(TEXT, body)), BODIES),
    st.builds(  # reserved bits, unknown opcodes, control frames in pieces or too long
        lambda opcode, first, data: illegal(raw(opcode, data, first=first & 0xF0)),
        st.integers(0, 15),
        st.integers(0, 255),
        st.binary(max_size=300),
    ),
    st.just(illegal(raw(TEXT, event(0), mask=None))),
    st.builds(lambda size: illegal(raw(TEXT, b" " * size)), st.integers(65_536, 70_000)),
    st.builds(
        lambda size: illegal(b"\x81\xff" + size.to_bytes(8, "big") + bytes(4), is_whole=False),
        st.integers(0, 2**64 - 1),
    ),
    st.builds(
        lambda code, why: illegal(raw(CLOSE, code + why)), st.binary(max_size=2), st.binary(max_size=9)
    ),
    st.builds(lambda data: illegal(data, is_whole=False), st.binary(max_size=40)),
)
# Three in four are legal to their end, and so can be held to everything that must come of them.
LAST = st.integers(0, 3).flatmap(lambda n: ILLEGAL if n == 0 else st.none())
PIECES = st.sampled_from([1, 7, 64, 1000, 5000, 100_000])
CONVERSATIONS = st.tuples(st.lists(LEGAL, max_size=20), LAST, PIECES)


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


async def talked(house: House, sent: bytes, piece: int, *, is_whole: bool) -> bytes:
    """All that the server says to these bytes, sent in pieces of that many, and to a close behind them."""
    host, _, port = house.base_url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(PIECES_S):
            writer.write(HANDSHAKE)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101")
            sent += raw(CLOSE, b"\x03\xe8")
            piece = max(piece, len(sent) // MOST_PIECES)
            for start in range(0, len(sent), piece):
                if reader.at_eof():
                    break  # the rest would be said to nobody
                writer.write(sent[start : start + piece])
                await asyncio.sleep(0)
            if not is_whole:
                writer.write_eof()
            return await reader.read()
    except TimeoutError:  # an OSError too
        raise
    except OSError:
        return b""  # it has hung up on what was no frame at all
    finally:
        writer.close()


def assembled(conversation: list[Said]) -> tuple[bytes, int, list[int]]:
    """Its bytes, its events, numbered from 0, and the places of the frames that are to be refused, from 1."""
    sent, events, frames, errors = b"", 0, 0, list[int]()
    for one in conversation:
        sent += one.sent(events)
        events += one.events
        frames += one.frames
        if one.is_error:
            errors.append(frames)
    return sent, events, errors


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


def check(said: bytes, *, events: int, errors: list[int], is_legal: bool) -> None:
    told = [wire.loads(payload) for opcode, payload in heard(said) if opcode == TEXT]
    refusals: list[Any] = [one["error"] for one in told if "error" in one]
    acks: list[int] = [one["ack"] for one in told if "ack" in one]
    assert len(refusals) + len(acks) == len(told)
    assert acks == sorted(set(acks))
    assert all(400 <= refusal["status"] < 500 for refusal in refusals)
    places = [refusal["frame"] for refusal in refusals]
    if is_legal:
        assert places == errors
        assert all(ack <= events for ack in acks)
    else:
        assert places == sorted(set(places))


def run(most: int) -> None:
    """So many conversations with one server, each on a connection of its own."""
    with asyncio.Runner() as runner, complaints(runner.get_loop()) as complained:
        door = opened(settings(sources={"crm": UNMETERED}), is_timed=True)
        house = runner.run(door.__aenter__())

        @examples(max_examples=most, deadline=None, suppress_health_check=list(HealthCheck))
        @given(CONVERSATIONS)
        def one(conversation: tuple[list[Said], Said | None, int]) -> None:
            legal, last, piece = conversation
            whole = [*legal, last] if last else legal
            sent, events, errors = assembled(whole)
            house.taken.clear()
            is_whole = all(part.is_whole for part in whole)
            said = runner.run(talked(house, sent, piece, is_whole=is_whole))
            check(said, events=events, errors=errors, is_legal=last is None)
            if last is None:
                taken = [one.seq for one in house.taken if one.kind is not Kind.ACTOR_LEFT]
                assert taken == list(range(events))
            assert complained == []

        one()
        runner.run(door.__aexit__(None, None, None))


def test_whatever_a_stream_is_sent_good_events_are_taken_and_nothing_else_happens() -> None:
    run(50)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_twenty_thousand_conversations_are_held_without_another_exception() -> None:
    run(20_000)
