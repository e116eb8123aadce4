"""The only door to aiohttp: bytes to a relay, and what it answers, within a deadline. Loaded at the first use."""

import asyncio
from collections.abc import Callable
from ssl import SSLContext
from types import SimpleNamespace
from typing import Any, NamedTuple

import aiohttp
from aiohttp import hdrs

import relay
from relay.client.answers import CLOSED, Answer, answer_of, away, refusal, unopened
from relay.core.moments import UnixMs
from relay.names import Names

MOST_ANSWER_BYTES = 64 * 1024
EVENTS = "/v1/events"
STREAM = "/v1/stream"
PING_S = 10.0
"""A peer that is gone without a word is found out within one and a half of these."""


class Reached(NamedTuple):
    """`is_new`: this request went through a connection made for it, so another relay may be at its end."""

    answer: Answer
    is_new: bool


class Connection:
    """One pool of connections to one relay; belongs to the loop it is made on."""

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        timeout_s: float,
        wall: Callable[[], UnixMs],
        ssl: SSLContext | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._wall = wall
        self._timeout_s = timeout_s
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(_note_new)
        tracing.on_request_redirect.append(_stay)
        headers = {hdrs.USER_AGENT: f"typing-relay-client/{relay.__version__}"}
        if key is not None:
            headers[hdrs.AUTHORIZATION] = f"Bearer {key}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            # No limit: those who use it have bounds of their own.
            connector=aiohttp.TCPConnector(
                limit=0,
                ssl=ssl or True,
                resolver=Names(timeout_s=timeout_s),  # one that hangs keeps no bot from its end
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            trace_configs=[tracing],
            raise_for_status=_raise_for_no_stream,
        )

    async def post(self, body: bytes) -> Reached:
        """Never raises but CancelledError: no answer is an answer too."""
        noted = _Noted()
        try:
            async with self._session.post(
                self.url + EVENTS,
                data=body,
                headers={hdrs.CONTENT_TYPE: "application/json"},
                allow_redirects=False,
                trace_request_ctx=noted,
            ) as response:
                content = await _read(response.content)
                retry_after = response.headers.get(hdrs.RETRY_AFTER)
                answer = answer_of(response.status, content, retry_after=retry_after, wall=self._wall())
        except TimeoutError:
            answer = away(f"no answer within {self._timeout_s:g} s")
        except Exception as why:  # noqa: BLE001 - aiohttp's own, a resolver's, an executor's: no bot is to hear of any
            answer = self._unanswered(why)
        return Reached(answer, noted.is_new)

    async def open_stream(self, query: str) -> "Socket | Answer":
        """An open stream, or why there is none. Never raises but CancelledError."""
        try:
            async with asyncio.timeout(self._timeout_s):
                socket = await self._session.ws_connect(
                    self.url + STREAM + query, heartbeat=PING_S, max_msg_size=MOST_ANSWER_BYTES
                )
        except TimeoutError:
            return away(f"no answer within {self._timeout_s:g} s")
        except _UnopenedError as why:
            return unopened(why.status, why.body, retry_after=why.retry_after, wall=self._wall())
        except aiohttp.WSServerHandshakeError as why:
            return refusal(why.status, {"detail": "it opens no stream"})
        except Exception as why:  # noqa: BLE001 - as above
            return self._unanswered(why)
        return Socket(socket)

    async def close(self) -> None:
        await self._session.close()
        await asyncio.sleep(0)  # aiohttp closes its sockets with the next turn of the loop

    def _unanswered(self, why: Exception) -> Answer:
        return away(CLOSED if self._session.closed else _words(why))


class Socket:
    """One open stream; its methods raise OSError where it is over, TimeoutError where the relay does not read."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, frame: bytes, *, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            await self._socket.send_frame(frame, aiohttp.WSMsgType.TEXT)

    async def receive(self) -> str | None:
        """The next text, or None when it is over."""
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                text: str = message.data
                return text
            if message.type is not aiohttp.WSMsgType.BINARY:
                return None

    @property
    def close_code(self) -> int | None:
        """The relay's reason for closing (RFC 6455 section 7.4.1); None as long as it is open, or where there was none."""
        return self._socket.close_code

    async def close(self, *, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._socket.close()
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass  # it is gone either way


class _UnopenedError(Exception):
    """An answer in place of a stream."""

    def __init__(self, status: int, body: bytes, retry_after: str | None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.retry_after = retry_after


async def _raise_for_no_stream(response: aiohttp.ClientResponse) -> None:
    """What a relay says of a stream it does not open: aiohttp itself would keep nothing of it but the status."""
    if not response.url.path.endswith(STREAM) or response.status == 101:
        return
    async with response:
        body = await _read(response.content)
    raise _UnopenedError(response.status, body, response.headers.get(hdrs.RETRY_AFTER))


async def _stay(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, led: aiohttp.TraceRequestRedirectParams
) -> None:
    """What is told goes nowhere else than it was meant to: `ws_connect` has no `allow_redirects`."""
    await _raise_for_no_stream(led.response)


async def _read(content: aiohttp.StreamReader) -> bytes:
    """All of it, however many pieces it comes in; of a longer one than a relay's the beginning."""
    read = bytearray()
    async for piece in content.iter_any():
        read += piece
        if len(read) >= MOST_ANSWER_BYTES:
            break
    return bytes(read[:MOST_ANSWER_BYTES])


def _words(why: Exception) -> str:
    """Of what kind it was, and nothing of its text: there may be a URL in it."""
    kind = type(why).__name__
    if isinstance(why, aiohttp.ClientConnectorError):
        return f"no connection ({why.os_error.strerror or type(why.os_error).__name__})"
    if isinstance(why, ValueError):
        return f"no request can be made of the relay's URL ({kind})"
    if isinstance(why, (aiohttp.ClientError, OSError)):
        return f"the connection broke ({kind})"
    return f"no request can be made ({kind})"


class _Noted:
    """What a trace tells of one request."""

    __slots__ = ("is_new",)

    def __init__(self) -> None:
        self.is_new = False


async def _note_new(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: Any,  # Any: aiohttp's own, of which nothing is read
) -> None:
    if context.trace_request_ctx is not None:  # a stream's has none
        context.trace_request_ctx.is_new = True
