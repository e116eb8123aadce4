"""One event on its way to one endpoint: its states, who wants it, and what an answer makes of it.

    pending ──claim──► inflight ──2xx──────────► delivered
       ▲                  │ ──410──────────────► cancelled (and the endpoint is disabled)
       └──── retry ───────┤ ──budget spent─────► exhausted
                          │ ──life over────────► expired (also while it waits; or to make room, if ephemeral)
                          │ ──a newer waits────► superseded (also while it waits; ephemeral only)
                          └──(lease void)──► pending

Whatever has ended may be replayed: the same id, the same bytes, a new budget, a new life. Deliveries to one endpoint
about one session go one at a time, in the order they were recorded; those of other sessions do not wait for them. One
that is still refused after ten minutes is overtaken: the next goes on without it, and says so.
"""

from dataclasses import dataclass
from enum import StrEnum

from relay.core import backoff
from relay.core.moments import Ms, UnixMs
from relay.core.terms import DURABLE, UNORDERED_AFTER_MS, Terms


class State(StrEnum):
    PENDING = "pending"
    INFLIGHT = "inflight"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


LEADS_TO: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.INFLIGHT, State.EXPIRED, State.SUPERSEDED, State.CANCELLED}),
    State.INFLIGHT: frozenset(
        {State.PENDING, State.DELIVERED, State.EXHAUSTED, State.EXPIRED, State.SUPERSEDED, State.CANCELLED}
    ),
    State.DELIVERED: frozenset({State.PENDING}),
    State.EXHAUSTED: frozenset({State.PENDING}),
    State.EXPIRED: frozenset({State.PENDING}),
    State.SUPERSEDED: frozenset({State.PENDING}),
    State.CANCELLED: frozenset({State.PENDING}),
}
"""Complete: what is not here does not happen. From an end there is one way back, a replay."""

LIVE = frozenset({State.PENDING, State.INFLIGHT})
COUNTS_AS_DEPTH = LIVE | {State.EXHAUSTED}
"""What the depth limit counts: a dead letter nobody has looked at yet still holds its room."""


class Trigger(StrEnum):
    """Why an attempt was made."""

    SCHEDULE = "schedule"
    REPLAY = "replay"


class Failure(StrEnum):
    """Where an attempt broke; a metric label."""

    DNS = "dns"
    CONNECT = "connect"  # no connection, or it was lost before the answer was whole
    TLS = "tls"
    TIMEOUT = "timeout"
    BLOCKED_ADDRESS = "blocked_address"
    TOO_LARGE = "too_large"  # the answer's head; of a body only the first part is read
    PROTOCOL = "protocol"  # what came back is not HTTP
    PROXY = "proxy"
    STATUS = "status"  # answered, and not with 2xx


@dataclass(frozen=True, slots=True)
class Answer:
    """What one attempt brought: a status, or where it broke. `hint_ms` is a Retry-After, if one was given."""

    status: int | None
    failure: Failure | None = None
    hint_ms: Ms | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the delivery, its lane and its endpoint.

    `wait_ms` is meant where `state` is PENDING; `pause_ms` is how long the endpoint is sent nothing at all.
    """

    state: State
    wait_ms: Ms = 0
    pause_ms: Ms = 0
    disables_endpoint: bool = False


DELIVERED = Verdict(State.DELIVERED)
GONE = Verdict(State.CANCELLED, disables_endpoint=True)


def answered(status: int, hint_ms: Ms | None = None) -> Answer:
    """A whole answer: only 2xx is a success, and a redirect is never followed."""
    return Answer(status, None if is_success(status) else Failure.STATUS, hint_ms)


def judge(
    answer: Answer, *, attempts: int, jitter: float, terms: Terms = DURABLE, left_ms: Ms | None = None
) -> Verdict:
    """What this answer to the `attempts`-th try of a budget means; `jitter` as in `backoff.after`.

    `left_ms` is what is left of the delivery's life, if it has one: what could be tried again only after it ends now.
    An ephemeral one never becomes a dead letter, which would hold its room until somebody looked at it.
    """
    if answer.failure is None:
        return DELIVERED
    if answer.status == 410:
        return GONE
    hint_ms = min(answer.hint_ms or 0, terms.longest_hint_ms)
    pause_ms = hint_ms if answer.status in (429, 503) else 0
    match backoff.after(attempts, jitter=jitter, hint_ms=hint_ms, schedule_ms=terms.schedule_ms):
        case backoff.Wait(ms) if left_ms is None or ms < left_ms:
            return Verdict(State.PENDING, wait_ms=ms, pause_ms=pause_ms)
        case backoff.Exhausted() if not terms.is_ephemeral:
            return Verdict(State.EXHAUSTED, pause_ms=pause_ms)
        case _:
            return Verdict(State.EXPIRED, pause_ms=pause_ms)


def overtaken_at(
    first_attempt_at: UnixMs, due: UnixMs, *, after_ms: UnixMs = UNORDERED_AFTER_MS
) -> UnixMs | None:
    """From when on a delivery that is due again at `due` holds up nobody; None where it may still be in time."""
    until = first_attempt_at + after_ms
    return until if due > until else None


def is_success(status: int) -> bool:
    return 200 <= status <= 299


@dataclass(frozen=True, slots=True)
class Filter:
    """What an endpoint wants to hear: each part a set of patterns, all three must agree."""

    events: tuple[str, ...] = ("*",)
    gateways: tuple[str, ...] = ("*",)
    sources: tuple[str, ...] = ("*",)

    def admits(self, event: str, gateway: str, source: str) -> bool:
        return (
            matches(self.events, event) and matches(self.gateways, gateway) and matches(self.sources, source)
        )


def matches(patterns: tuple[str, ...], name: str) -> bool:
    """True if any pattern is the name, or ends in `*` and begins it: `*`, `session.*`."""
    return any(name == p or (p.endswith("*") and name.startswith(p[:-1])) for p in patterns)


def retry_room(free: int, *, retrying: int, concurrency: int) -> int:
    """How many of an endpoint's `free` places may go to retries; fresh deliveries take what is left.

    A quarter of the places is never given to retries, so that a backlog of failures cannot hold up news. A single
    place has to be shared, or its retries would never be made.
    """
    reserved = max(1, concurrency // 4) if concurrency > 1 else 0
    return max(0, min(free, concurrency - reserved - retrying))
