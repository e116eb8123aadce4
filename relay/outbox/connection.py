"""One endpoint's connections: names looked up on threads of its own, addresses judged, heads bounded.

aiohttp's own resolver takes the loop's executor, six threads on two cores: six trackers whose names hang would hold up
every other's look-up, and the platform's. And it reads whatever comes before an answer: a receiver that says "100
Continue" for ever would hold up the loop with each piece of it.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

from relay.core.destination import Network
from relay.outbox.guard import guarded

MOST_LOOK_UPS: Final = 2
"""At once, of an endpoint: its own name and its proxy's. aiohttp asks for a name once in ten seconds."""

HEAD_BYTES: Final = 64 * 1024
"""Until an answer's head is whole, with everything that came before it."""

Infos = Sequence[tuple[int, int, int, str, tuple[Any, ...]]]  # Any: an address of either family


class Connector(aiohttp.TCPConnector):
    """For one endpoint."""

    def __init__(
        self,
        *,
        limit: int,
        tls: ssl.SSLContext | None,
        allow: tuple[Network, ...],
        resolver: AbstractResolver,
    ) -> None:
        super().__init__(limit=limit, ssl=tls or True, resolver=resolver, socket_factory=guarded(allow))
        # No parameter of aiohttp's: where that is renamed, the test of a receiver that floods us says so.
        self._factory = partial(_answering, loop=asyncio.get_running_loop())


class Answering(ResponseHandler):
    """Reads answers. One whose head has not ended after `HEAD_BYTES` is none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._head_left = HEAD_BYTES
        self._is_answered = False

    def set_response_params(self, **params: Any) -> None:  # Any: handed on
        """A request begins."""
        self._head_left, self._is_answered = HEAD_BYTES, False
        super().set_response_params(**params)

    def feed_data(self, data: Any, size: int = 0) -> None:  # Any: aiohttp's message and its body
        """A head is whole, if only an interim one's."""
        self._is_answered |= data[0].code >= 200 or data[0].code == 101
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        if self._is_answered or len(data) <= self._head_left:
            self._head_left -= len(data)
            super().data_received(data)
            return
        # A piece may be 256 KiB, and hold a short head with its body: read as much as a head may be, then see.
        first, rest = data[: self._head_left], data[self._head_left :]
        self._head_left = 0
        if first:
            super().data_received(first)
        if self._is_answered:
            super().data_received(rest)
        elif self.transport is not None:
            self.set_exception(HttpProcessingError(code=400, message=f"more than {HEAD_BYTES} bytes of head"))
            self.transport.close()


def _answering(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return Answering(loop)


class Names(AbstractResolver):
    """Looks names up with the system's own resolver, which cannot be called off: on a thread each, few at once."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._under_way = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError where there is none such, or none within the time; UnicodeError for what is no name."""
        if self._under_way >= MOST_LOOK_UPS:
            raise OSError("earlier look-ups of this endpoint's names hang")
        answer: asyncio.Future[Infos] = asyncio.get_running_loop().create_future()
        # A daemon: the end of the process does not wait for it.
        thread = threading.Thread(
            target=self._look_up, args=(answer, host, port, family), name="webhook-dns", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as why:  # the machine, or our share of it, has no thread left
            raise OSError("no thread could be had for the look-up") from why
        self._under_way += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                return [_result(host, info) for info in await answer]
        except TimeoutError:
            raise OSError("the look-up took too long") from None

    async def close(self) -> None:
        """What hangs ends by itself."""

    def _look_up(
        self, answer: "asyncio.Future[Infos]", host: str, port: int, family: socket.AddressFamily
    ) -> None:
        found: Infos | Exception
        try:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        except Exception as why:  # noqa: BLE001 - whatever it is, it is the caller's to hear
            found = why
        with suppress(RuntimeError):  # the loop is gone: nobody is left to tell
            answer.get_loop().call_soon_threadsafe(self._found, answer, found)

    def _found(self, answer: "asyncio.Future[Infos]", found: Infos | Exception) -> None:
        self._under_way -= 1
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)


def _result(host: str, info: tuple[int, int, int, str, tuple[Any, ...]]) -> ResolveResult:  # Any: as above
    family, _, proto, _, (address, port, *_) = info
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=proto, flags=flags)
