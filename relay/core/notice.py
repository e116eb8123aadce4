"""Operational events: what the operator of a tracker should hear of, told to endpoints that ask for it by name.

    endpoint.degraded   its circuit opened            endpoint.recovered   and closed again
    endpoint.disabled   it is sent nothing any more         … or it was resumed
    message.attempt.failing    one of its messages failed for the fourth time
    message.attempt.exhausted  one is a dead letter

They are recorded and delivered as any event is, but never through the endpoint they are about, and none is made about
another's delivery: a tracker that is down cannot set off a cascade. Each kind is told once an hour for each endpoint,
with how many were left unsaid since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from relay.core.delivery import Failure, Filter, State, matches
from relay.core.endpoint import News, Turn
from relay.core.indicator import SessionKey
from relay.core.moments import UnixMs, rfc3339

OPERATIONAL = ("endpoint.", "message.")
"""What the names begin with. A pattern that begins so asks for them; `*` alone means the events of sessions."""

FAILING_AT = 4
"""The fourth failed attempt is some 35 minutes after the first: past a restart, and days before the last."""

TOLD_EVERY_MS: UnixMs = 3_600_000


class Kind(StrEnum):
    DEGRADED = "endpoint.degraded"
    RECOVERED = "endpoint.recovered"
    DISABLED = "endpoint.disabled"
    FAILING = "message.attempt.failing"
    EXHAUSTED = "message.attempt.exhausted"


TURNS = frozenset({Kind.DEGRADED, Kind.RECOVERED, Kind.DISABLED})
"""Each says how its endpoint is from now on, and makes what was told before untrue."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One operational event. `since`: from when on it has been so; `event_id` is the message's it is about, if any.

    `attempts` and `failures` are what it was judged by; `unsaid`, how many of its kind were not told since the last.
    """

    kind: Kind
    endpoint: str
    why: str
    since: UnixMs
    at: UnixMs
    attempts: int | None = None
    failures: int | None = None
    event_id: str | None = None
    event_type: str | None = None
    unsaid: int = 0

    @property
    def key(self) -> SessionKey:
        """What is said about one endpoint arrives in order. No gateway is called so, so no session is meant."""
        return ("", self.endpoint)

    @property
    def source(self) -> str:
        """Nobody posted it."""
        return ""

    @property
    def data(self) -> dict[str, object]:
        """The event's `data`, JSON-ready and in a fixed order."""
        told: dict[str, object] = {
            "endpoint": self.endpoint,
            "why": self.why,
            "since": rfc3339(self.since),
            "attempts": self.attempts,
            "failures": self.failures,
            "eventId": self.event_id,
            "eventType": self.event_type,
        }
        return {name: value for name, value in told.items() if value is not None} | {"unsaid": self.unsaid}


def is_operational(event_type: str) -> bool:
    return event_type.startswith(OPERATIONAL)


def asking(filters: Mapping[str, Filter], notice: Notice) -> tuple[str, ...]:
    """The endpoints that ask for this notice, but for the one it is about."""
    return tuple(
        name
        for name, wanted in filters.items()
        if name != notice.endpoint and matches(tuple(filter(is_operational, wanted.events)), notice.kind)
    )


def turned(endpoint: str, turn: Turn, at: UnixMs) -> Notice:
    """Its circuit has opened, or closed."""
    kind = Kind.DEGRADED if turn.news is News.DEGRADED else Kind.RECOVERED
    return Notice(kind, endpoint, turn.why, turn.since, at, turn.attempts, turn.failures)


def disabled(endpoint: str, why: str, since: UnixMs, at: UnixMs) -> Notice:
    """It is sent nothing any more; `since` is when a delivery last succeeded."""
    return Notice(Kind.DISABLED, endpoint, why, since, at)


def back(endpoint: str, why: str, since: UnixMs, at: UnixMs) -> Notice:
    """What was told of it is over, though no circuit closed: it was resumed, or the relay was started anew."""
    return Notice(Kind.RECOVERED, endpoint, why, since, at)


def said(status: int | None, failure: Failure) -> str:
    """A failed attempt in a word or two."""
    return f"it answered {status}" if failure is Failure.STATUS else f"it failed: {failure.value}"


def kind_of_failure(event_type: str, state: State, attempts: int) -> Kind | None:
    """What the `attempts`-th failed attempt of a budget, which leaves its delivery in `state`, gives cause to say."""
    if is_operational(event_type):
        return None
    if state is State.EXHAUSTED:
        return Kind.EXHAUSTED
    return Kind.FAILING if state is State.PENDING and attempts == FAILING_AT else None


class _Told(NamedTuple):
    at: UnixMs
    unsaid: int = 0


@dataclass(slots=True)
class Hush:
    """Keeps a notice from being told too often.

    `turned` is the last of an endpoint's turns that was told: it is kept with the endpoint, and put in from there.
    """

    turned: dict[str, Kind] = field(default_factory=dict)
    _told: dict[tuple[Kind, str], _Told] = field(default_factory=dict)

    def passed(self, notice: Notice) -> Notice | None:
        """The notice as it is to be told, or None: one of its kind was told within the hour.

        Of an endpoint's turns none is told twice in a row, and a recovery whenever a trouble was: whoever listens
        is never left with the opposite of what is so for longer than that hour.
        """
        here = (notice.kind, notice.endpoint)
        before = self._told.get(here, _NEVER)
        if self._is_stale(notice, before.at):
            self._told[here] = before._replace(unsaid=before.unsaid + 1)
            return None
        self._told[here] = _Told(notice.at)
        if notice.kind in TURNS:
            self.turned[notice.endpoint] = notice.kind
        return replace(notice, unsaid=before.unsaid)

    def forget(self) -> None:
        """What was told may not have been recorded: rather twice than not at all."""
        self._told = {here: told._replace(at=_NEVER.at) for here, told in self._told.items()}
        self.turned.clear()

    def _is_stale(self, notice: Notice, last: UnixMs) -> bool:
        turned = self.turned.get(notice.endpoint)
        if turned is notice.kind:
            return True
        if notice.kind is Kind.RECOVERED and turned is not None:
            return False
        return 0 <= notice.at - last < TOLD_EVERY_MS


_NEVER = _Told(-TOLD_EVERY_MS)
