"""Who is calling: by an API key, by a signature over the body, by a ticket; and the one case where none is needed.

Keys are kept only as SHA-256. A key is 32 random bytes: its hash cannot be guessed back, so a slow password hash
would only help a flood.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from secrets import token_bytes

from aiohttp import hdrs

from relay.core.moments import UnixMs, unix_ms_of
from relay.core.ticket import PREFIX as TICKET_PREFIX
from relay.core.ticket import Ticket
from relay.errors import Rejected, SettingsError
from relay.ingest.hosts import Headers, foreign_page, is_forwarded
from relay.ingest.signed import SOURCE_HEADER, Signers
from relay.ingest.tickets import Tickets
from relay.settings.models import LOCAL, Settings, is_loopback
from relay.settings.upstream import ApiKey, Source

PREFIX = "trk_"
WRITE = "events:write"
_ID = slice(4, 12)
_SCHEME = "bearer "

_NOBODY = sha256(b"").digest()  # compared with when there is no such key, so that both take as long


@dataclass(frozen=True, slots=True)
class Caller:
    """A source, the gateway of its events where they name none, and what it may do."""

    source: str
    gateway: str | None
    scopes: frozenset[str]
    ticket: Ticket | None = None
    """What it is limited to, where it came with a ticket."""
    good_until: UnixMs | None = None
    """When its key ends, where it came with one that does."""


@dataclass(frozen=True, slots=True)
class _Key:
    caller: Caller
    digest: bytes
    good_from: UnixMs | None

    def is_good(self, wall: Callable[[], UnixMs]) -> bool:
        good_until = self.caller.good_until
        if self.good_from is None and good_until is None:
            return True
        now = wall()
        return (self.good_from or 0) <= now and (good_until is None or now < good_until)


def unauthorised() -> Rejected:
    """The one answer to everything missing, wrong, early, late or malformed."""
    return Rejected(
        401,
        "Unauthorised",
        "an API key (Authorization: Bearer trk_…), a signed request or a ticket is wanted",
    )


def forbidden(scope: str) -> Rejected:
    return Rejected(403, "Forbidden", f"these credentials lack the scope {scope}")


class Credentials:
    """Answers who a request is from. Built anew when the settings change.

    Raises SettingsError where nobody could be told from anybody: no source, and not only loopback listening.
    """

    def __init__(
        self, settings: Settings, *, wall: Callable[[], UnixMs], tickets: Tickets | None = None
    ) -> None:
        """`tickets` are those of the credentials before, so that what they sealed stays good."""
        self._wall = wall
        self.tickets = tickets or Tickets(token_bytes(32), wall)
        self._keys = _keys(settings)
        self._signers = Signers(settings)
        self._pages = {name: frozenset(one.origins) for name, one in settings.sources.items()}
        self._signing = {name: _signing_caller(name, one, settings) for name, one in settings.sources.items()}
        self.is_open = not settings.sources
        """True where any caller on this machine is the source `local`."""
        self._local = Caller(LOCAL, only_gateway(settings), frozenset({WRITE}))
        if self.is_open and not is_loopback(settings.server.host):
            raise SettingsError(
                "server.host: listening off loopback needs at least one [sources.NAME] with a key; "
                "make one with `typing-relay keys new`"
            )

    def caller(self, headers: Headers, scope: str) -> Caller:
        """Who this is, if it may do `scope`. Raises Rejected (401, 403)."""
        return _allowed(self._local_caller(headers) if self.is_open else self._bearer(headers), scope)

    def ticket_bearer(self, text: str, headers: Headers) -> Caller:
        """Whose ticket this is, shown by one of its source's own pages. Raises Rejected (401)."""
        caller = self._ticketed_caller(text, headers)
        if caller is None:
            raise unauthorised()
        return caller

    def pages(self, source: str) -> frozenset[str]:
        """From where a ticket of this source is good."""
        return self._pages.get(source, frozenset())

    def is_signed(self, headers: Headers) -> bool:
        """True where the body is to be read before anybody can say who sent it; then ask `signer`."""
        return SOURCE_HEADER in headers and not self.is_open

    def signer(self, headers: Headers, body: bytes, scope: str) -> Caller:
        """Who signed this body, if it may do `scope`. Raises Rejected (401, 403)."""
        source = self._signers.source(headers, body, self._wall())
        is_page = foreign_page(headers) is not None
        return _allowed(None if source is None or is_page else self._signing[source], scope)

    def _local_caller(self, headers: Headers) -> Caller | None:
        return None if is_forwarded(headers) else self._local

    def _bearer(self, headers: Headers) -> Caller | None:
        said = headers.get(hdrs.AUTHORIZATION, "")
        token = said[len(_SCHEME) :]
        is_bearer = said[: len(_SCHEME)].lower() == _SCHEME
        if is_bearer and token.startswith(TICKET_PREFIX):
            return self._ticketed_caller(token, headers)
        caller = self._keyed_caller(token)
        return caller if is_bearer and foreign_page(headers) is None else None

    def _ticketed_caller(self, text: str, headers: Headers) -> Caller | None:
        ticket = self.tickets.opened(text)
        if ticket is None or headers.get(hdrs.ORIGIN) not in self.pages(ticket.source):
            return None
        return Caller(ticket.source, ticket.gateway, frozenset({WRITE}), ticket)

    def _keyed_caller(self, token: str) -> Caller | None:
        """Hashes and compares whatever was said, so that every refusal takes as long."""
        key = self._keys.get(token[_ID])
        digest = sha256(token.encode(errors="backslashreplace")).digest()
        is_right = compare_digest(digest, _NOBODY if key is None else key.digest)
        return key.caller if key is not None and is_right and key.is_good(self._wall) else None


def _allowed(caller: Caller | None, scope: str) -> Caller:
    if caller is None:
        raise unauthorised()
    if scope not in caller.scopes:
        raise forbidden(scope)
    return caller


def _signing_caller(name: str, source: Source, settings: Settings) -> Caller:
    return Caller(name, source.gateway or only_gateway(settings), frozenset({WRITE}))


def _keys(settings: Settings) -> dict[str, _Key]:
    keys: dict[str, _Key] = {}
    for name, source in settings.sources.items():
        for key in source.keys:
            if key.id in keys:
                raise SettingsError(f"sources.{name}.keys: another key has the same id; make a new one")
            keys[key.id] = _key(key, name, source, settings)
    return keys


def _key(key: ApiKey, name: str, source: Source, settings: Settings) -> _Key:
    gateway = source.gateway or only_gateway(settings)
    return _Key(
        caller=Caller(name, gateway, frozenset(key.scopes), good_until=unix_ms_of(key.not_after)),
        digest=bytes.fromhex(key.sha256),
        good_from=unix_ms_of(key.not_before),
    )


def only_gateway(settings: Settings) -> str | None:
    """That of events which name none, where there is no choice."""
    return next(iter(settings.gateways)) if len(settings.gateways) == 1 else None
