"""What of a client belongs to one loop, and ends there."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from relay.client.answers import CLOSED, Answer, away
from relay.client.sending import Sender
from relay.client.settling import Counts
from relay.client.streaming import CLOSE_S, Socket, Stream

if TYPE_CHECKING:
    from relay.client.connection import Connection

SLACK_S = 5.0
"""Beyond the client's own deadlines, for a thread that gets no turn on a busy machine."""


class Handed:
    """What is to be done on a loop, from any thread, in the order in which it is handed over.

    Handed over on the loop itself it is done at once, behind what other threads have handed over before.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._acts: deque[Callable[[], None]] = deque()

    def soon(self, act: Callable[[], None]) -> bool:
        """False where the loop is closed, and nothing will be done."""
        self._acts.append(act)
        if self._loop is running_loop():
            self.catch_up()
            return True
        try:
            self._loop.call_soon_threadsafe(self.catch_up)
        except RuntimeError:
            return False
        return True

    def catch_up(self) -> None:
        for _ in range(len(self._acts)):  # and no more: other threads may go on for ever
            if self._acts:  # what is done may hand over more, as a handler of logs does
                self._acts.popleft()()


class Engine(NamedTuple):
    """Its sender, its streams and their connection."""

    loop: asyncio.AbstractEventLoop
    handed: Handed
    sender: Sender
    streams: WeakSet[Stream]
    open_stream: Callable[[str], Awaitable[Socket | Answer]]
    close: Callable[[], Awaitable[None]]

    async def answer(self, work: Coroutine[Any, Any, Answer], *, within_s: float) -> Answer:
        """What `work` comes to on this loop, for whoever asks on any other too."""
        if self.loop is asyncio.get_running_loop():
            self.handed.catch_up()
            return await work
        try:
            told = asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:  # its loop was closed in between
            work.close()
            return away(CLOSED)
        try:
            # `work` has a deadline of its own, which a loop that stands still does not keep.
            async with asyncio.timeout(within_s + SLACK_S):
                return await asyncio.wrap_future(told)
        except TimeoutError:
            return away(f"no answer within {within_s + SLACK_S:g} s: the loop of this client stands still")

    async def closed(self) -> None:
        """Ends open runs and sends what waits, for two seconds at most."""
        self.handed.catch_up()
        try:
            closing = (stream.close() for stream in self.streams)
            await asyncio.gather(self.sender.close(within_s=CLOSE_S), *closing)
        finally:
            await self.close()


def load() -> type["Connection"]:
    """The door to aiohttp, which takes 0.2 s the first time: what only imports this does not pay for it."""
    from relay.client.connection import Connection  # noqa: PLC0415 - as said

    return Connection


class Way:
    """The way to the relay. Where there can be none, as where no file can be opened, that is an answer; the next try
    asks for one again."""

    def __init__(self, made: Callable[[], "Connection"]) -> None:
        self._made = made
        self._connection: Connection | None = None
        self._is_closed = False
        self._here()  # loads aiohttp before there is any work to be in the way of

    async def post(self, body: bytes) -> tuple[Answer, bool]:
        here = self._here()
        return (here, False) if isinstance(here, Answer) else await here.post(body)

    async def open_stream(self, query: str) -> Socket | Answer:
        here = self._here()
        return here if isinstance(here, Answer) else await here.open_stream(query)

    async def close(self) -> None:
        self._is_closed = True
        if self._connection is not None:
            await self._connection.close()

    def _here(self) -> "Connection | Answer":
        if self._connection is None and self._is_closed:
            return away(CLOSED)
        try:
            self._connection = self._connection or self._made()
        except (ImportError, OSError) as why:
            return away(f"no connection can be made ({type(why).__name__})")
        return self._connection


def started(url: str, key: str | None, *, timeout_s: float, ssl: SSLContext | None, counts: Counts) -> Engine:
    """An engine on the running loop."""

    def made() -> "Connection":
        return load()(url, key, timeout_s=timeout_s, ssl=ssl, wall=lambda: time.time_ns() // 1_000_000)

    way = Way(made)
    loop = asyncio.get_running_loop()
    sender = Sender(way.post, loop=loop, jitter=random.random, counts=counts)
    return Engine(loop, Handed(loop), sender, WeakSet(), way.open_stream, way.close)


def running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
