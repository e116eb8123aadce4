"""The only door to aiohttp: bytes to a relay, and what it answers, within a deadline. Loaded at the first use."""

import asyncio
from types import SimpleNamespace
from typing import Any, NamedTuple

import aiohttp
from aiohttp import hdrs

import relay
from relay.client.answers import Answer, answer_of, away
from relay.core.moments import UnixMs

MOST_ANSWER_BYTES = 64 * 1024
MOST_CONNECTIONS = 4
EVENTS = "/v1/events"


class Reached(NamedTuple):
    """`is_new`: this request went through a connection made for it, so another relay may be at its end."""

    answer: Answer
    is_new: bool


class Connection:
    """One pool of connections to one relay; belongs to the loop it is made on."""

    def __init__(self, url: str, key: str | None, *, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(_note_new)
        headers = {hdrs.USER_AGENT: f"typing-relay-client/{relay.__version__}"}
        if key is not None:
            headers[hdrs.AUTHORIZATION] = f"Bearer {key}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            trace_configs=[tracing],
        )

    async def post(self, body: bytes, wall: UnixMs) -> Reached:
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
                content = await response.content.read(MOST_ANSWER_BYTES)
                retry_after = response.headers.get(hdrs.RETRY_AFTER)
                answer = answer_of(response.status, content, retry_after=retry_after, wall=wall)
        except TimeoutError:
            answer = away(f"no answer within {self._timeout_s:g} s")
        except aiohttp.InvalidURL:
            answer = away("its URL is none")
        except aiohttp.ClientConnectorError as why:
            answer = away(f"no connection ({why.os_error.strerror or type(why.os_error).__name__})")
        except (aiohttp.ClientError, OSError) as why:
            answer = away(f"the connection broke ({type(why).__name__})")
        return Reached(answer, noted.is_new)

    async def close(self) -> None:
        await self._session.close()
        await asyncio.sleep(0)  # aiohttp closes its sockets with the next turn of the loop


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
    context.trace_request_ctx.is_new = True
