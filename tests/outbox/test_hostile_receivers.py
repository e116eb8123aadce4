"""What a receiver may do to whoever sends to it: each ends in its class, within the deadline and a few megabytes."""

import asyncio
import gzip
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest

from relay.core.delivery import Failure
from relay.outbox.webhook import EXCERPT_BYTES
from tests.outbox.receiver import Receiver
from tests.outbox.test_webhook import BODY, lease, webhook

Talk = Callable[[asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
DEADLINE_S = 0.3
MOST_BYTES = 4 * 2**20
"""A connection's buffers and one answer's head; none of what follows is kept."""

SENT_BYTES = 2**30

FLOOD = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
connection.recv(65536)
try:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\\r\\n\\r\\n" * 4000)
except OSError:
    pass
"""
"""In a process of its own: what is measured is our loop, not theirs."""


@asynccontextmanager
async def hostile(talk: Talk) -> AsyncIterator[str]:
    """Takes each request and then talks, for as long as somebody listens."""
    serving = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(BODY)
                await talk(writer)

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer), name="hostile-receiver")
        serving.add(task)
        task.add_done_callback(lambda _: writer.close())

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def saying(text: bytes) -> Talk:
    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    return talk


def repeating(begin: bytes, again: bytes, *, pause_s: float = 0) -> Talk:
    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        await asyncio.sleep(pause_s)
        for _ in range(SENT_BYTES // len(again)):
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return talk


async def closing_its_half(writer: asyncio.StreamWriter) -> None:
    writer.write_eof()
    await asyncio.sleep(60)


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("talk", "failure"),
    [
        pytest.param(repeating(OK, b"X", pause_s=0.01), Failure.TIMEOUT, id="a head in drips"),
        pytest.param(
            repeating(OK + b"Content-Length: 1000\r\n\r\n", b"x", pause_s=0.01),
            Failure.TIMEOUT,
            id="a body in drips",
        ),
        pytest.param(
            repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 3000),
            Failure.TOO_LARGE,
            id="always to continue",
        ),
        pytest.param(
            repeating(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 65_536),
            Failure.TIMEOUT,
            id="a chunk's extension without end",
        ),
        pytest.param(
            repeating(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 1000, pause_s=0.01),
            Failure.TOO_LARGE,
            id="trailers without end",
        ),
        pytest.param(
            saying(OK + b"".join(b"x-%d: y\r\n" % n for n in range(10_000)) + b"\r\n"),
            Failure.TOO_LARGE,
            id="10,000 headers",
        ),
        pytest.param(repeating(OK, b"x: y\r\n" * 1000), Failure.TOO_LARGE, id="headers without end"),
        pytest.param(
            repeating(b"HTTP/1.1 200 ", b"x" * 65_536), Failure.TOO_LARGE, id="a reason without end"
        ),
        pytest.param(
            saying(OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            Failure.PROTOCOL,
            id="two lengths (RFC 9112 6.3)",
        ),
        pytest.param(saying(OK + b"Content-Length: -1\r\n\r\n"), Failure.PROTOCOL, id="a negative length"),
        pytest.param(
            saying(OK + b"Content-Length: 99999999999999999999999\r\n\r\n"),
            Failure.PROTOCOL,
            id="a length beyond 64 bits",
        ),
        pytest.param(saying(OK + b"X: a\x00b\r\n\r\n"), Failure.PROTOCOL, id="a NUL in a header"),
        pytest.param(
            saying(b"HTTP/1.1 99999 OK\r\nContent-Length: 0\r\n\r\n"),
            Failure.PROTOCOL,
            id="a status of five digits",
        ),
        pytest.param(
            saying(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            Failure.STATUS,
            id="another protocol",
        ),
        pytest.param(closing_its_half, Failure.CONNECT, id="a half-closed connection"),
    ],
)
async def test_it_ends_in_its_class_in_time_and_in_little_memory(talk: Talk, failure: Failure) -> None:
    async with hostile(talk) as url, webhook(url, timeout_s=DEADLINE_S) as hook:
        with little_memory():
            async with asyncio.timeout(10 * DEADLINE_S):
                attempt, answer = await hook.send(lease())
    assert answer.failure is attempt.failure is failure


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(OK + b"Content-Length: %d\r\n\r\n" % SENT_BYTES, id="a gigabyte, as declared"),
        pytest.param(OK + b"\r\n", id="until the connection closes"),
    ],
)
async def test_of_a_gigabyte_the_first_part_is_read_and_the_connection_closed(begin: bytes) -> None:
    async with hostile(repeating(begin, b"x" * 65_536)) as url, webhook(url) as hook:
        with little_memory():
            attempt, answer = await hook.send(lease())
    assert (answer.status, answer.failure, len(attempt.excerpt)) == (200, None, EXCERPT_BYTES)


async def test_a_compressed_gigabyte_is_never_unpacked() -> None:
    packed = gzip.compress(bytes(2**24)) * 64
    answer_bytes = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    async with hostile(saying(answer_bytes)) as url, webhook(url) as hook:
        with little_memory():
            attempt, answer = await hook.send(lease())
    assert answer.failure is None
    assert attempt.excerpt == packed[:EXCERPT_BYTES]


async def test_a_second_answer_to_one_request_is_nobodys() -> None:
    """Else the next event would be taken for gone, and its endpoint disabled."""
    gone = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
    async with hostile(saying(EMPTY + gone)) as url, webhook(url) as hook:
        answers = [(await hook.send(lease()))[1] for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]


async def test_a_redirect_to_itself_is_asked_once(receiver: Receiver) -> None:
    receiver.answers = [302, 302]
    receiver.headers = {"Location": receiver.url}
    async with webhook(receiver.url) as hook:
        _, answer = await hook.send(lease())
    assert answer.failure is Failure.STATUS
    assert len(receiver.got) == 1


async def test_a_hostile_receiver_does_not_hold_up_another(receiver: Receiver) -> None:
    flood = repeating(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 65_536)
    async with (
        hostile(flood) as url,
        webhook(url, timeout_s=1) as hostage,
        webhook(receiver.url) as hook,
        asyncio.TaskGroup() as group,
    ):
        sending = group.create_task(hostage.send(lease()))
        for _ in range(20):
            assert (await hook.send(lease()))[1].failure is None
        assert not sending.done(), "twenty deliveries took less than its deadline"


@pytest.fixture
def flooding() -> Iterator[str]:
    """The url of a receiver that never comes to its answer."""
    server = subprocess.Popen([sys.executable, "-c", FLOOD], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    yield f"http://127.0.0.1:{server.stdout.readline().strip()}/hook"
    server.kill()
    server.communicate()


async def test_a_flood_before_the_answer_costs_the_loop_a_moment_and_no_more(flooding: str) -> None:
    """It was read piece after piece, each some 50 ms of the loop, until the attempt's time was over."""
    loop = asyncio.get_running_loop()
    lags: list[float] = []

    async def watch() -> None:
        while True:
            began = loop.time()
            await asyncio.sleep(0.002)
            lags.append(loop.time() - began)

    watching = asyncio.create_task(watch())
    async with webhook(flooding, timeout_s=5) as hook:
        attempt, answer = await hook.send(lease())
    watching.cancel()
    assert answer.failure is Failure.TOO_LARGE
    assert attempt.total_ms < 2500
    assert sum(lag > 0.1 for lag in lags) <= 5, "a busy machine has such turns, a flooded loop has no others"


async def test_an_answer_whose_long_body_comes_with_its_head_is_an_answer() -> None:
    body = b"x" * 200_000
    async with hostile(saying(OK + b"Content-Length: 200000\r\n\r\n" + body)) as url, webhook(url) as hook:
        _, answer = await hook.send(lease())
    assert answer.failure is None
