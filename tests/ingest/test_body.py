import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from relay import wire
from tests.ingest.house import EVENT, House, key_settings, opened, settings, sure

HEAD = (
    "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    f"Authorization: Bearer {sure().key}\r\n"
).encode()


def padded(size: int) -> bytes:
    body = wire.dumps(EVENT)
    return body + b" " * (size - len(body))


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
)
async def test_json_may_be_named_in_its_ways(house: House, kind: str) -> None:
    assert (await house.post(EVENT, Content_Type=kind)).status == 202


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin-1",
     "application/jsonp", "application/cloudevents+json", "", ";"],
)  # fmt: skip
async def test_another_form_is_415(house: House, kind: str) -> None:
    assert (await house.post(EVENT, Content_Type=kind)).status == 415


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity", "gzip, gzip"])
async def test_an_encoded_body_is_415_and_never_unpacked(house: House, coding: str) -> None:
    body = gzip.compress(wire.dumps(EVENT))
    answer = await house.said(
        HEAD
        + f"Content-Encoding: {coding}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    assert answer.startswith(b"HTTP/1.1 415")


async def test_one_event_fits_in_64_kib_and_not_in_a_byte_more(house: House) -> None:
    assert (await house.post(padded(65_536))).status == 202
    assert (await house.post(padded(65_537))).status == 413


async def test_a_batch_fits_in_1_mib_and_not_in_a_byte_more(house: House) -> None:
    batch = b"[" + wire.dumps(EVENT) + b"]"
    assert (await house.post(batch + b" " * (1_048_576 - len(batch)))).status == 202
    assert (await house.post(batch + b" " * (1_048_577 - len(batch)))).status == 413


async def test_500_events_fit_in_a_batch_and_not_one_more(house: House) -> None:
    assert (await house.post([EVENT] * 500)).status == 202
    assert (await house.post([EVENT] * 501)).status == 413


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 65_536


async def test_a_chunked_body_is_measured_as_it_comes(house: House) -> None:
    assert house.client is not None
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {sure().key}"}
    answer = await house.client.post(house.base_url + "/v1/events", data=chunks(20), headers=headers)
    assert answer.status == 413


async def test_a_chunked_event_is_taken(house: House) -> None:
    body = wire.dumps(EVENT)
    raw = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
        len(body),
        body,
    )
    assert (await house.said(raw)).startswith(b"HTTP/1.1 202")
    assert len(house.taken) == 1


async def test_chunks_that_break_in_mid_body_end_at_the_deadline() -> None:
    """aiohttp queues the parse error behind the request it broke, so the deadline is what ends it."""
    async with opened(settings(server={"port": 0, "body_timeout_s": 0.2})) as house:
        host, _, port = house.base_url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"ses\r\n')
        await house.post(EVENT)  # by the time this is answered the other's head was read
        writer.write(b"kanarienvogel\r\n")
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"kanarienvogel" not in answer
    assert len(house.taken) == 1


async def test_an_announced_size_past_the_bound_is_refused_unread(house: House) -> None:
    answer = await house.said(HEAD + b"Content-Length: 999999999\r\n\r\n", within_s=4)
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", ["/v1/events", "/v1/broadcasts", "/v1/tickets"])
async def test_a_length_that_nobody_reads_costs_its_source_nothing(house: House, path: str) -> None:
    """It was charged as announced, and one head with eleven nines kept a source out for hours."""
    host, _, port = house.base_url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(HEAD.replace(b"/v1/events", path.encode()) + b"Content-Length: 99999999999\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()
    assert (await house.post(EVENT)).status == 202


async def test_what_is_announced_is_paid_for_though_it_never_comes() -> None:
    """Else a source could have as much of it read as it likes, a body at a time."""
    crm = {"keys": [key_settings(sure())], "bytes_per_s": 2048}
    async with opened(settings(sources={"crm": crm})) as house:
        host, _, port = house.base_url.removeprefix("http://").rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(HEAD + b"Content-Length: 4096\r\n\r\n")
        statuses = [(await house.post(EVENT)).status for _ in range(3)]
        writer.close()
    assert statuses[-1] == 429


async def test_a_body_that_drips_is_408_and_the_connection_ends() -> None:
    async with opened(settings(server={"port": 0, "body_timeout_s": 0.2})) as house:
        host, _, port = house.base_url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(HEAD + b'Content-Length: 100\r\n\r\n{"sess')
        async with asyncio.timeout(5):
            answer = await reader.read()  # until the server closes
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408")
    assert house.taken == []


async def test_an_expectant_caller_is_invited_once_its_head_is_welcome(house: House) -> None:
    host, _, port = house.base_url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = wire.dumps(EVENT)
    writer.write(
        HEAD + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(body)
        assert (await reader.read()).startswith(b"HTTP/1.1 202")
    writer.close()


async def test_an_expectant_stranger_is_not_invited(house: House) -> None:
    head = HEAD.replace(b"trk_", b"xxx_")
    answer = await house.said(
        head + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 99\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 401")


async def test_a_caller_that_hangs_up_in_mid_body_leaves_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = house.base_url.removeprefix("http://").rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(HEAD + b'Content-Length: 100\r\n\r\n{"sess')
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await house.post(EVENT)).status == 202
    assert len(house.taken) == 1
    assert caplog.records == []
