"""A tracker in a process of its own, on the other core, that notes when each event reached it."""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

_ID, _LENGTH = b"\r\nwebhook-id: ", b"\r\ncontent-length: "
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
START_S = 30
SILENT = "/silent"
"""Where a connection is taken, a request read, and nothing ever said."""

Arrivals = dict[tuple[str, str], float]
"""(path, event id) → when, on the machine's monotonic clock; the first time counts."""


class _Talk(asyncio.Protocol):
    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(received[: end + 2])
        if len(received) < end + 4 + int(_field(head, _LENGTH)):
            return
        received.clear()
        path = head.split(b" ", 2)[1].decode()
        self._arrivals.setdefault((path, _field(head, _ID).decode()), time.monotonic())
        if path != SILENT and self._transport is not None:
            self._transport.write(_OK)


def _field(head: bytes, name: bytes) -> bytes:
    at = head.lower().find(name)
    return b"0" if at < 0 else head[at + len(name) : head.find(b"\r\n", at + len(name))]


class Tracker:
    """`url` is its root."""

    def __init__(self, url: str, pipe: Connection) -> None:
        self.url = url
        self._pipe = pipe

    def arrivals(self) -> Arrivals:
        """What has come since the last question."""
        self._pipe.send("arrivals")
        found: Arrivals = self._pipe.recv()
        return found


def _serve(pipe: Connection, core: int) -> None:
    os.sched_setaffinity(0, {core})
    asyncio.run(_served(pipe))


async def _served(pipe: Connection) -> None:
    arrivals: Arrivals = {}
    over = asyncio.Event()
    server = await asyncio.get_running_loop().create_server(lambda: _Talk(arrivals), "127.0.0.1", 0)

    def asked() -> None:
        if pipe.recv() == "arrivals":
            pipe.send(dict(arrivals))
            arrivals.clear()
        else:
            over.set()

    asyncio.get_running_loop().add_reader(pipe.fileno(), asked)
    pipe.send(server.sockets[0].getsockname()[1])
    await over.wait()
    server.close()


@contextmanager
def tracking(core: int) -> Iterator[Tracker]:
    """A tracker on that core; it ends with the block."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, core), daemon=True)
    process.start()
    try:
        if not ours.poll(START_S):
            raise RuntimeError(f"the tracker did not start within {START_S} s")
        yield Tracker(f"http://127.0.0.1:{ours.recv()}", ours)
    finally:
        ours.send("over")
        process.join(START_S)
        process.kill()
