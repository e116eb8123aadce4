import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import wire
from relay.errors import Rejected
from relay.ingest.events import Event, EventReader
from relay.ingest.lines import Lines
from tests.ingest.house import EVENT, House, opened, settings
from tests.ingest.test_body import HEAD

LINE = wire.dumps(EVENT)
NDJSON_HEAD = HEAD.replace(b"application/json", b"application/x-ndjson")
READER = EventReader(max_events=5)


def read(*pieces: bytes, max_line_bytes: int = 1000) -> list[Event]:
    lines = Lines(READER, max_events=5, max_line_bytes=max_line_bytes)
    for piece in pieces:
        lines.feed(piece)
    return lines.end()


def refused(*pieces: bytes, max_line_bytes: int = 1000) -> Rejected:
    with pytest.raises(Rejected) as caught:
        read(*pieces, max_line_bytes=max_line_bytes)
    return caught.value


@given(st.lists(st.integers(0, 3 * len(LINE) + 4), max_size=20))
def test_lines_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    body = LINE + b"\r\n\n" + LINE + b"\n" + LINE
    places = [0, *sorted(cuts), len(body)]
    assert read(*(body[a:b] for a, b in pairwise(places))) == [EVENT] * 3


def test_blank_lines_are_not_counted() -> None:
    assert len(read(b"\n\r\n" + (LINE + b"\n \t\n") * 5 + b"\n")) == 5


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n\n"])
def test_nothing_but_blank_lines_is_no_json(body: bytes) -> None:
    assert refused(body).status == 400


def test_of_a_line_that_is_no_json_only_the_place_in_it_is_told() -> None:
    """It said `line 1`, of a line that was the second."""
    ((place, words),) = refused(LINE + b"\n{").problems
    assert place == "1"
    assert words.endswith("at column 1")


def test_one_line_too_many_is_413() -> None:
    assert refused((LINE + b"\n") * 6).status == 413


def test_a_line_is_as_long_as_one_event_may_be() -> None:
    assert len(read(LINE + b" " * (1000 - len(LINE)))) == 1
    assert refused(LINE + b" " * (1001 - len(LINE))).status == 413
    assert refused(b"x" * 600, b"x" * 600).status == 413


def test_a_bad_line_is_refused_before_the_next_one_comes() -> None:
    lines = Lines(READER, max_events=5, max_line_bytes=1000)
    lines.feed(LINE + b"\n{")
    with pytest.raises(Rejected) as caught:
        lines.feed(b"}\n")
    assert {place.split(".")[0] for place, _ in caught.value.problems} == {"1"}


async def test_lines_are_checked_as_they_come_and_a_bad_one_is_answered_before_the_rest(house: House) -> None:
    host, _, port = house.base_url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(NDJSON_HEAD + b"Content-Length: 100000\r\n\r\n" + LINE + b"\nkanarienvogel\n")
    async with asyncio.timeout(4):  # the body's time is five seconds
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 422")
    assert house.taken == []


async def test_lines_are_applied_only_when_the_last_one_is_here(house: House) -> None:
    host, _, port = house.base_url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    chunk = b"%x\r\n%b\r\n" % (len(LINE) + 1, LINE + b"\n")
    writer.write(NDJSON_HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2)
    await house.post(EVENT)  # by the time this is answered the others were read
    assert len(house.taken) == 1
    writer.write(chunk + b"0\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer.endswith(b'{"accepted":3,"duplicates":0,"stale":0}')
    assert len(house.taken) == 4


async def test_lines_that_drip_are_408_and_none_is_applied() -> None:
    async with opened(settings(server={"port": 0, "body_timeout_s": 0.2})) as house:
        raw = NDJSON_HEAD + b"Content-Length: 10000\r\n\r\n" + LINE + b"\n"
        assert (await house.said(raw)).startswith(b"HTTP/1.1 408")
        assert house.taken == []


def test_a_body_of_blank_lines_is_refused_before_it_costs_anything() -> None:
    began = time.process_time()
    assert refused(b"\n" * 2**20).status == 413
    assert time.process_time() - began < 0.2
