"""The one door through which a gateway talks HTTP: bytes out, an answer or the way it was lost back.

Foreign exceptions end here. What matters about a lost call is *where* it was lost: before the request left
(DNS, connect, TLS: the platform never saw it) or after (timeout, reset: it may have been applied).
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp
from yarl import URL

from relay import __version__, wire
from relay.core.answer import Answer
from relay.core.destination import is_loopback
from relay.core.moments import Ms
from relay.core.outcome import Failure
from relay.errors import SettingsError
from relay.names import Names

MOST_BODY_BYTES = 65_536
"""Unless a call allows more: an error body is a few hundred. The rest is not read, nor the connection used again."""

KEEPALIVE_S = 15.0
"""Shorter than any common load balancer's idle limit, so that a request seldom meets a closing connection."""

LOOK_UP_S = 10.0
"""For a name, whoever waits for it no longer: what the system's resolver takes for two tries at one server."""


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer. `was_sent`: the request may have reached the other side."""

    kind: Failure
    was_sent: bool


class HttpDoor:
    """One platform's connections: kept alive, no cookies, no redirects, no proxies from the environment.

    `carriers` calls at once never wait for a connection. `key` is the setting that names the host. Raises SettingsError
    for a base URL that would send a secret in clear: https is needed, unless the host is loopback or `allow_http`.
    """

    def __init__(
        self, base_url: str, *, name: str, carriers: int, allow_http: bool = False, key: str = "base_url"
    ) -> None:
        problem = base_url_problem(base_url, allow_http=allow_http)
        if problem is not None:
            raise SettingsError(f"gateways.{name}.{key}: {problem}")
        self.key = key
        self._base = base_url.rstrip("/")
        self._carriers = carriers
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_sent)
        self._session = aiohttp.ClientSession(
            # Twice the carriers: probes run beside them, some of which nobody waits for any more, and nothing queues
            # inside the pool, whose waiting room is not fair.
            connector=aiohttp.TCPConnector(
                limit=2 * self._carriers, keepalive_timeout=KEEPALIVE_S, resolver=Names(timeout_s=LOOK_UP_S)
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),  # each call brings its own deadline
            headers={"user-agent": f"typing-relay/{__version__}", "accept-encoding": "identity"},
            trace_configs=[trace],
        )

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        deadline_ms: Ms,
        most_bytes: int = MOST_BODY_BYTES,
    ) -> Answer | Lost:
        """One request; `path` begins with `/` and is percent-encoded already. Never raises for the network."""
        if self._session is None:
            return Lost(Failure.CONNECT, was_sent=False)
        loop = asyncio.get_running_loop()
        sent = SimpleNamespace(was_sent=False)
        began = loop.time()
        try:
            async with (
                asyncio.timeout_at(deadline_ms / 1000),
                self._session.request(
                    method,
                    URL(self._base + path, encoded=True),
                    data=body or None,
                    headers=headers,
                    allow_redirects=False,
                    trace_request_ctx=sent,
                ) as response,
            ):
                read = await _read_capped(response, most_bytes)
                latency_ms = (loop.time() - began) * 1000
                is_whole = len(read) <= most_bytes
                known = _json_object(read) if is_whole else {}
                return Answer(response.status, response.headers, known, latency_ms, is_whole=is_whole)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as why:
            # ValueError: aiohttp's word for an answer it cannot parse.
            return Lost(_kind_of(why, was_sent=sent.was_sent), was_sent=sent.was_sent)


def base_url_problem(base_url: str, *, allow_http: bool = False) -> str | None:
    """What keeps a base URL from being used, in words and without its value; None if it is fine."""
    try:
        url = URL(base_url)
    except ValueError:
        return "not a URL; write it as https://host"
    if url.scheme not in {"http", "https"} or not url.host:
        return "not a web address; write it as https://host"
    if url.user is not None or url.password is not None:
        return "holds credentials; put them in client_id and client_secret"
    if url.query_string or url.fragment:
        return "holds a query or a fragment; leave only scheme, host, port and path"
    if url.scheme == "http" and not (allow_http or is_loopback(url.host)):
        return "is http, so the client secret would travel in clear; use https, or set allow_http = true"
    return None


async def _note_sent(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    context.trace_request_ctx.was_sent = True


async def _read_capped(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The body, or a little more than `most_bytes` of it."""
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > most_bytes:
            response.close()
            break
    return bytes(read)


def _json_object(body: bytes) -> Mapping[str, object]:
    try:
        value = wire.loads(body)
    except wire.NotJson:
        return {}
    return value if isinstance(value, dict) else {}


def _kind_of(why: Exception, *, was_sent: bool) -> Failure:
    match why:
        case TimeoutError():
            return Failure.TIMEOUT
        case aiohttp.ClientConnectorDNSError():
            return Failure.DNS
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Failure.TLS
        case _:
            return Failure.RESET if was_sent else Failure.CONNECT
