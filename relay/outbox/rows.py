"""What a store shows to people: its rows as values, and which of them are asked for."""

from dataclasses import dataclass, field, fields
from enum import StrEnum

from relay.core.delivery import Failure, State, Trigger
from relay.core.endpoint import Standing
from relay.core.indicator import SessionKey
from relay.core.moments import Ms, UnixMs


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST as it went. `headers_ms` is None where no answer came; `excerpt` is at most 4 KiB of it."""

    started_at: UnixMs
    status: int | None
    failure: Failure | None
    headers_ms: Ms | None
    total_ms: Ms
    excerpt: bytes = b""


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One delivery for people: where it stands. `due` is None while it waits for the one before, and at the end."""

    delivery_id: int
    event_id: str
    event_type: str
    endpoint: str
    key: SessionKey
    state: State
    attempts: int
    recorded_at: UnixMs
    due: UnixMs | None
    finished_at: UnixMs | None
    last_status: int | None
    last_failure: str | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt for people."""

    delivery_id: int
    number: int
    trigger: Trigger
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One broadcast attempt for people and auditors."""

    audit_id: str
    at: UnixMs
    key: SessionKey
    guest_id: str | None
    source: str
    indicator: str
    duration_ms: int
    cause: str
    success: bool
    status: int | None
    error: str | None
    message: str
    latency_ms: int
    attempts: int
    row_id: int = 0
    """Its place in the record: later rows have greater ones."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it was recorded. `source` is empty where an older release recorded it."""

    event_id: str
    event_type: str
    gateway: str
    source: str
    recorded_at: UnixMs
    body: bytes


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of an event at one endpoint. `waits_for` is the earlier event of its session that comes first;
    `superseded_by` the one that took its place; `is_shed`: its endpoint held more than its share of the room."""

    delivery: DeliveryRow
    budget_attempts: int
    waits_for: str | None = None
    superseded_by: str | None = None
    is_shed: bool = False


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """Where an endpoint stands since when, and why if it is sent nothing.

    `last_success` is its first use, or its resume, where nothing has succeeded since, and `succeeded_at` None where
    nothing ever did; `first_exhausted` is the first message since then that spent all its attempts in vain.
    """

    name: str
    standing: Standing
    reason: str
    since: UnixMs
    last_success: UnixMs
    first_exhausted: UnixMs | None
    succeeded_at: UnixMs | None


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session whose last recorded state is not stopped."""

    key: SessionKey
    guest_id: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Depth:
    """How much is kept, by state. `oldest_pending_at`: when the oldest undelivered one was recorded.

    `body_bytes` is what the undelivered and the dead letters weigh, a body once for each endpoint. Since the store was
    opened: `ended`, by how, and `shed`, those of them that were given up for want of room.
    """

    by_state: dict[State, int]
    oldest_pending_at: UnixMs | None
    audit_rows: int
    body_bytes: int = 0
    ended: dict[State, int] = field(default_factory=dict)
    shed: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries to list, newest first: all that is given must agree.

    `before` is the delivery a page before this one ended with.
    """

    state: State | None = None
    endpoint: str | None = None
    session: str | None = None
    since: UnixMs | None = None
    limit: int = 100
    before: int | None = None


@dataclass(frozen=True, slots=True)
class AuditSelection:
    """Which audit rows to list, newest first; `before` is the `row_id` a page before this one ended with."""

    session: str | None = None
    since: UnixMs | None = None
    limit: int = 100
    before: int | None = None


@dataclass(frozen=True, slots=True)
class AttemptSelection:
    """Which attempts of an endpoint to list, those of the newest deliveries first.

    `before` is the delivery and number a page before this one ended with.
    """

    endpoint: str
    since: UnixMs | None = None
    limit: int = 100
    before: tuple[int, int] | None = None


DEAD = (State.EXHAUSTED, State.EXPIRED, State.SUPERSEDED, State.CANCELLED)
"""Ends without success: what may be replayed or purged by a filter."""


@dataclass(frozen=True, slots=True)
class Pick:
    """Which dead letters a deed is for: all that is given must agree. `event_type` may end in `*`.

    `since` is inclusive, `until` exclusive; both are about when the event was recorded.
    """

    state: State = State.EXHAUSTED
    endpoint: str | None = None
    event_type: str | None = None
    since: UnixMs | None = None
    until: UnixMs | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Keys of rows, in the order of the search. `go_on` is where to search on; None at the end."""

    keys: tuple[int, ...]
    go_on: int | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """So many are on their way again; `left_out` are for an endpoint that is disabled, or not configured any more."""

    count: int
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Purged:
    """What went. `waiting_to_land`: deliveries on their way, which go when they have landed."""

    events: int = 0
    deliveries: int = 0
    attempts: int = 0
    audit_rows: int = 0
    waiting_to_land: int = 0

    def __add__(self, other: "Purged") -> "Purged":
        return Purged(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class Kept(StrEnum):
    """The tables that hold rows of a session."""

    DELIVERIES = "deliveries"
    AUDIT = "audit"
    SESSIONS = "sessions"
