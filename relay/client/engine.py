"""What of a client belongs to one loop, and ends there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from weakref import WeakSet

from relay.client.answers import Answer
from relay.client.sending import Sender
from relay.client.streaming import Socket, Stream

CLOSE_S = 2.0
CLOSED = "this client is closed"


class Engine(NamedTuple):
    """Its sender, its streams and their connection."""

    loop: asyncio.AbstractEventLoop
    sender: Sender
    streams: WeakSet[Stream]
    open_stream: Callable[[str], Awaitable[Socket | Answer]]
    close: Callable[[], Awaitable[None]]

    async def closed(self) -> None:
        """Ends open runs and sends what waits, for two seconds at most."""
        try:
            closing = (stream.close() for stream in self.streams)
            await asyncio.gather(self.sender.close(within_s=CLOSE_S), *closing)
        finally:
            await self.close()
