"""What of a client belongs to one loop, and ends there."""

import asyncio
import random
import time
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


class Engine(NamedTuple):
    """Its sender, its streams and their connection."""

    loop: asyncio.AbstractEventLoop
    sender: Sender
    streams: WeakSet[Stream]
    open_stream: Callable[[str], Awaitable[Socket | Answer]]
    close: Callable[[], Awaitable[None]]

    async def answer(self, work: Coroutine[Any, Any, Answer], *, within_s: float) -> Answer:
        """What `work` comes to on this loop, for whoever asks on any other too."""
        if self.loop is asyncio.get_running_loop():
            return await work
        try:
            told = asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:  # its loop was closed in between
            work.close()
            return away(CLOSED)
        try:
            async with asyncio.timeout(
                within_s
            ):  # `work` has its own, which a loop that stands still does not keep
                return await asyncio.wrap_future(told)
        except TimeoutError:
            return away(f"no answer within {within_s:g} s: the loop of this client stands still")

    async def closed(self) -> None:
        """Ends open runs and sends what waits, for two seconds at most."""
        try:
            closing = (stream.close() for stream in self.streams)
            await asyncio.gather(self.sender.close(within_s=CLOSE_S), *closing)
        finally:
            await self.close()


def load() -> type["Connection"]:
    """The door to aiohttp, which takes 0.2 s the first time: what only imports this does not pay for it."""
    from relay.client.connection import Connection  # noqa: PLC0415 - as said

    return Connection


def started(url: str, key: str | None, *, timeout_s: float, ssl: SSLContext | None, counts: Counts) -> Engine:
    """An engine on the running loop."""
    connection = load()(url, key, timeout_s=timeout_s, ssl=ssl, wall=lambda: time.time_ns() // 1_000_000)
    loop = asyncio.get_running_loop()
    sender = Sender(connection.post, loop=loop, jitter=random.random, counts=counts)
    return Engine(loop, sender, WeakSet(), connection.open_stream, connection.close)
