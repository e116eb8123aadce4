"""One endpoint's connections: addresses judged, heads bounded.

aiohttp reads whatever comes before an answer: a receiver that says "100 Continue" for ever would hold up the loop with
each piece of it.
"""

import asyncio
import ssl
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

from relay.core.destination import Network
from relay.outbox.guard import guarded

HEAD_BYTES: Final = 64 * 1024
"""Until an answer's head is whole, with everything that came before it."""


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
