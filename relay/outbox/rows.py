"""What a store shows to people: its rows as values, and which of them are asked for."""

from dataclasses import dataclass

from relay.core.delivery import Failure, State, Trigger
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


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint that was disabled, why and when."""

    name: str
    reason: str
    since: UnixMs


@dataclass(frozen=True, slots=True)
class Depth:
    """How much is kept, by state. `oldest_pending_at`: when the oldest undelivered one was recorded."""

    by_state: dict[State, int]
    oldest_pending_at: UnixMs | None
    audit_rows: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries to list, newest first: all that is given must agree."""

    state: State | None = None
    endpoint: str | None = None
    session: str | None = None
    since: UnixMs | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AuditSelection:
    """Which audit rows to list, newest first."""

    session: str | None = None
    since: UnixMs | None = None
    limit: int = 100
