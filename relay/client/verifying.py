"""For trackers: from the headers and bytes of a callback to an event that can be believed.

    event = verify(request.headers, await request.read(), [new_secret, old_secret])

Pass the body as it came: parsed and written again it is other bytes, which nobody signed. A callback may come twice;
`Event.id` is the same then. Within a session `Event.sequence` says what came first, and a hole in it that something
could not be recorded for you.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from relay import ed25519, wire
from relay.core.moments import UnixMs
from relay.core.signature import (
    ID_HEADER,
    SECRET_PREFIX,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    TOLERANCE_S,
    Check,
    Matcher,
    check,
    hmac_signer,
    matcher_of,
)
from relay.errors import RelayError

T = TypeVar("T")

NOT_AN_EVENT = "not_an_event"

_SAID: Mapping[Check, str] = {
    Check.MISSING_HEADER: f"{ID_HEADER}, {TIMESTAMP_HEADER} and {SIGNATURE_HEADER} are wanted, and not all are there",
    Check.BAD_TIMESTAMP: f"{TIMESTAMP_HEADER} is not whole seconds since 1970",
    Check.TOO_OLD: "signed too long ago: sent again by somebody else, or one of the two clocks is wrong",
    Check.TOO_NEW: "signed in the future: one of the two clocks is wrong",
    Check.NO_MATCH: "signed by none of these secrets, or not over these bytes: pass the body as it came",
}


class VerificationFailed(RelayError):  # noqa: N818 - reads as what happened, like the rest of the tree
    """Do not believe this callback: answer 401.

    `reason` is one of `Check`'s words (`missing_header`, `bad_timestamp`, `too_old`, `too_new`, `no_match`), or
    `not_an_event` for a body that was signed and is not one. Neither it nor the message holds anything received.
    """

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(said)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """A callback that was verified. `id` is its `webhook-id`, `at` when it happened, not when it was sent."""

    id: str
    type: str
    at: datetime
    data: Mapping[str, Any]  # Any: JSON

    @property
    def session_id(self) -> str | None:
        return _if_is(str, self.data.get("sessionId"))

    @property
    def sequence(self) -> int | None:
        """The event's place in its session, from 1 and without holes; only `session.*` events have one.

        A session that returns more than a day after it stopped begins at 1 again, with a later timestamp.
        """
        return _if_is(int, self.data.get("sequence"))


class Headers(Protocol):
    """What a framework has them in: a mapping, with a name several times or not, or `http.server`'s message."""

    def items(self) -> Iterable[tuple[str, str]]: ...


Pairs = Iterable[tuple[str | bytes, str | bytes]]
"""As an ASGI scope has them."""


def verify(
    headers: Headers | Pairs,
    body: bytes,
    secrets: str | Iterable[str],
    *,
    now: UnixMs | None = None,
    tolerance_s: int = TOLERANCE_S,
) -> Event:
    """The event in a callback that one of `secrets` signed at most `tolerance_s` before or after `now`.

    `headers` in any case, as text or bytes; `body` in either format. `secrets` are `whsec_` ones, during a rotation the old and the
    new, or `whpk_` public keys (extra `ed25519`). `now` is in milliseconds since 1970; this machine's clock if None.

    Raises VerificationFailed whatever else arrives, ValueError where a secret of yours cannot be used, and TypeError for
    a body that is not bytes any more.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"the raw body's bytes are wanted, as they came, and this is {type(body).__name__}")
    matchers = [_matcher(secret) for secret in _listed(secrets)]
    if not matchers:
        raise ValueError("no secret given: the one the relay signs with is wanted")
    named = _named(headers)
    message_id, timestamp, signature = map(named.get, (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
    at = time.time_ns() // 1_000_000 if now is None else now
    found = check(message_id, timestamp, signature, body, matchers=matchers, now=at, tolerance_s=tolerance_s)
    if found is not Check.VERIFIED or message_id is None:
        raise VerificationFailed(found.value, _SAID[found])
    return _event(message_id, body)


def _named(headers: object) -> dict[str, str]:
    """By name in lower case; what is no header, like a name without a value, is not there."""
    items = getattr(headers, "items", None)
    pairs = items() if callable(items) else headers
    listed = [pair for pair in pairs if _is_pair(pair)] if isinstance(pairs, Iterable) else []
    texts = [(_text(name), _text(value)) for name, value in listed]
    return {name.lower(): value for name, value in texts if name is not None and value is not None}


def _is_pair(told: object) -> bool:
    return isinstance(told, Sequence) and len(told) == 2


def _text(told: object) -> str | None:
    return told.decode("latin-1") if isinstance(told, bytes) else _if_is(str, told)


def _listed(secrets: object) -> Iterable[object]:
    if isinstance(secrets, str | bytes):
        return [secrets]
    return secrets if isinstance(secrets, Iterable) else []


def _hmac_matcher(secret: str) -> Matcher:
    return matcher_of(hmac_signer(secret))


_MATCHERS: Mapping[str, Callable[[str], Matcher]] = {
    SECRET_PREFIX: _hmac_matcher,
    ed25519.PUBLIC_PREFIX: ed25519.matcher,
}


def _matcher(secret: object) -> Matcher:
    if not isinstance(secret, str):
        raise ValueError(f"a secret is text, and this one is {type(secret).__name__}")  # noqa: TRY004 - as promised
    for prefix, make in _MATCHERS.items():
        if secret.startswith(prefix):
            return make(secret)
    raise ValueError(f"a secret begins with {' or '.join(_MATCHERS)}, and this one does not")


def _event(message_id: str, body: bytes) -> Event:
    """Either format; which one is told by `specversion`, an attribute every CloudEvent has."""
    try:
        told = wire.loads(body)
        kind, data = told["type"], told["data"]
        at = datetime.fromisoformat(told["time" if "specversion" in told else "timestamp"])
    except (ValueError, TypeError, LookupError):
        raise _not_an_event() from None
    if not (isinstance(kind, str) and isinstance(data, dict) and at.tzinfo):
        raise _not_an_event()
    return Event(message_id, kind, at, data)


def _not_an_event() -> VerificationFailed:
    return VerificationFailed(
        NOT_AN_EVENT,
        "the body is not an event, JSON with type, timestamp and data: who else signs with this secret?",
    )


def _if_is(kind: type[T], value: object) -> T | None:
    return (
        value if isinstance(value, kind) and not isinstance(value, bool) else None
    )  # true is not the number 1
