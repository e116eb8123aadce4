"""One signed POST to one endpoint: what is sent, how long it may take, and what became of it.

An answer, whatever it says, and a connection that broke are both values; nothing expected is raised. The receiver is
not trusted: its address is judged at each connection, its redirects are not followed, its cookies not kept, its body
not decompressed, and of that at most `READ_BYTES` are read before the connection is closed.
"""

import math
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.http import HttpProcessingError
from yarl import URL

from relay import __version__
from relay.core.delivery import Answer, Failure, answered, is_success
from relay.core.destination import Network
from relay.core.moments import Ms, UnixMs
from relay.core.retry_after import parse_retry_after
from relay.core.signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Keys
from relay.core.terms import DURABLE, Terms
from relay.names import Names
from relay.outbox.connection import Connector
from relay.outbox.formats import STANDARD, Format
from relay.outbox.guard import ForbiddenAddressError
from relay.outbox.rows import Attempt

READ_BYTES: Final = 16 * 1024
EXCERPT_BYTES: Final = 4 * 1024
USER_AGENT: Final = f"typing-relay/{__version__}"
CHUNK_BYTES: Final = 4096

UNORDERED_HEADER: Final = "webhook-unordered"
"""A hint beside the signature, not under it: an earlier event of this session is still to come. `sequence` proves it."""

# The first class that fits names the failure; so the narrow ones stand before those they derive from.
FAILURES: tuple[tuple[type[BaseException], Failure], ...] = (
    (
        aiohttp.InvalidUrlClientError,
        Failure.BLOCKED_ADDRESS,
    ),  # a host spelled as a number: aiohttp's own refusal
    (aiohttp.ClientConnectorDNSError, Failure.DNS),
    (UnicodeError, Failure.DNS),  # a label that is empty or too long: Python's look-up refuses it so
    (aiohttp.ClientProxyConnectionError, Failure.PROXY),
    (aiohttp.ClientHttpProxyError, Failure.PROXY),
    (aiohttp.ClientSSLError, Failure.TLS),
    (ssl.SSLError, Failure.TLS),
    (TimeoutError, Failure.TIMEOUT),
    (aiohttp.ClientConnectionError, Failure.CONNECT),
    (aiohttp.ClientPayloadError, Failure.CONNECT),
    (OSError, Failure.CONNECT),
    (aiohttp.ClientResponseError, Failure.PROTOCOL),
    (aiohttp.ClientError, Failure.PROTOCOL),
)

OVER_A_LIMIT: Final = ("more than", "Too many headers")
"""How a head or its trailers are said to be over a limit: aiohttp's 8 KiB a line and 128 headers, our 64 KiB in all."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an endpoint's deliveries go. `concurrency` is how many may be on their way at once, `rate_per_s` how many
    may begin in a second (None: as many as there are).

    `allow` are networks to be reached besides the public internet. With a `proxy` it is the proxy's address that is
    judged here, and where the url's name leads is the proxy's duty. `headers` and `proxy` may hold secrets.
    """

    url: str
    keys: Keys
    format: Format = STANDARD
    concurrency: int = 8
    rate_per_s: float | None = None
    connect_timeout_s: float = 5.0
    timeout_s: float = 15.0
    allow: tuple[Network, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    terms: Terms = DURABLE


class Letter(Protocol):
    """What is sent: a `Lease`, or a `Probe`."""

    @property
    def event_id(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def traceparent(self) -> str | None: ...
    @property
    def is_unordered(self) -> bool: ...
    @property
    def expires_at(self) -> UnixMs | None: ...


class Webhook:
    """Sends to one target over connections of its own, so that no other target's trouble can use them up."""

    def __init__(
        self,
        target: Target,
        *,
        wall: Callable[[], UnixMs],
        now: Callable[[], Ms],
        resolver: AbstractResolver | None = None,
    ) -> None:
        """Must be made on the event loop. `close` it in the end. Names are looked up by `resolver`, or the system's
        within the time a connection may take.

        Raises ValueError where the url cannot be read.
        """
        self._url = URL(target.url)
        self._proxy = target.proxy
        self._keys = target.keys
        self._format = target.format
        self._timeout_s, self._connect_timeout_s = target.timeout_s, target.connect_timeout_s
        self._timeout = aiohttp.ClientTimeout(total=target.timeout_s, sock_connect=target.connect_timeout_s)
        self._wall = wall
        self._now = now
        self._session = aiohttp.ClientSession(
            # Twice our own bound: at its limit aiohttp's pool is unfair (measured: p99 of 900 ms against 40).
            connector=Connector(
                limit=2 * target.concurrency,
                tls=target.tls,
                allow=target.allow,
                resolver=resolver or Names(timeout_s=target.connect_timeout_s),
            ),
            # Those that never change: set with each request they cost it three times as much.
            headers={**target.headers, "content-type": target.format.content_type, "user-agent": USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Accept", "Accept-Encoding"),
        )

    async def send(self, letter: Letter) -> tuple[Attempt, Answer]:
        """Signs afresh and posts once."""
        started_at, started = self._wall(), self._now()
        headers_ms: Ms | None = None
        body = self._format.body_of(letter.event_id, letter.body)
        status, hint_ms, excerpt = None, None, b""
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=self._signed(letter, body, started_at),
                proxy=self._proxy,
                allow_redirects=False,
                timeout=self._time_for(letter, started_at),
            ) as response:
                headers_ms, status = self._now() - started, response.status
                hint_ms = parse_retry_after(response.headers.get("Retry-After"), self._wall())
                excerpt = (await _first_bytes(response))[:EXCERPT_BYTES]
                answer = answered(status, hint_ms)
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeError) as why:
            answer = Answer(_told(status), failure_of(why), hint_ms)  # what the head said, it has said
        return Attempt(started_at, status, answer.failure, headers_ms, self._now() - started, excerpt), answer

    async def close(self) -> None:
        await self._session.close()

    def _time_for(self, letter: Letter, at: UnixMs) -> aiohttp.ClientTimeout:
        """As configured, but never past the end of the delivery's life. Raises TimeoutError where that has come."""
        if letter.expires_at is None:
            return self._timeout
        left_s = (letter.expires_at - at) / 1000
        if left_s <= 0:
            raise TimeoutError
        # aiohttp rounds five seconds and more up to whole ones, of the loop's clock.
        total_s = min(self._timeout_s, left_s)
        return aiohttp.ClientTimeout(
            total=total_s, sock_connect=self._connect_timeout_s, ceil_threshold=math.inf
        )

    def _signed(self, letter: Letter, body: bytes, at: UnixMs) -> Mapping[str, str]:
        timestamp_s = at // 1000
        headers = {
            ID_HEADER: letter.event_id,
            TIMESTAMP_HEADER: str(timestamp_s),
            SIGNATURE_HEADER: self._keys.sign(letter.event_id, timestamp_s, body),
        }
        if letter.is_unordered:
            headers[UNORDERED_HEADER] = "true"
        if letter.traceparent:
            headers["traceparent"] = letter.traceparent
        return headers


def failure_of(why: BaseException) -> Failure:
    """Where a POST broke, by aiohttp's exception. Of a name with several addresses, the last that was tried says it."""
    if isinstance(why, aiohttp.ClientConnectorError) and isinstance(why.os_error, ForbiddenAddressError):
        return Failure.BLOCKED_ADDRESS
    cause = why.__cause__
    if isinstance(cause, HttpProcessingError) and any(words in cause.message for words in OVER_A_LIMIT):
        return Failure.TOO_LARGE
    if isinstance(cause, ssl.SSLError):
        # Said after the handshake, as TLS 1.3 does about a client certificate (RFC 8446 4.4.2.4).
        return Failure.TLS
    return next((failure for kind, failure in FAILURES if isinstance(why, kind)), Failure.CONNECT)


def _told(status: int | None) -> int | None:
    """A status whose body never became whole: a success is not believed, anything else means what it says."""
    return None if status is None or is_success(status) else status


async def _first_bytes(response: aiohttp.ClientResponse) -> bytes:
    """At most `READ_BYTES` of the body; of a longer one the rest is cut off with the connection.

    The status has been said by then, so a long body makes no failure: asking again would only repeat the event.
    """
    kept = bytearray()
    while len(kept) < READ_BYTES and not response.content.at_eof():
        chunk = await response.content.read(min(CHUNK_BYTES, READ_BYTES - len(kept)))
        kept += chunk
    if not response.content.at_eof():
        response.close()
    return bytes(kept)
