"""The one line of the log about each delivery attempt: everything that is asked of it later, and no bodies."""

from relay.core.delivery import State, Trigger, Verdict
from relay.core.moments import UnixMs
from relay.outbox.rows import Attempt
from relay.outbox.store import Lease


def outcome_of(attempt: Attempt) -> str:
    """`delivered`, or the class of the failure; a metric label, too."""
    return attempt.failure.value if attempt.failure else State.DELIVERED.value


def attempted(lease: Lease, attempt: Attempt, verdict: Verdict, due: UnixMs | None) -> dict[str, object]:
    """Its fields; `due` is when it is tried again."""
    return {
        "endpoint": lease.endpoint,
        "delivery_id": lease.delivery_id,
        "event_id": lease.event_id,
        "type": lease.event_type,
        "gateway": lease.key[0],
        "session_id": lease.key[1],
        "attempt": lease.number,
        "trigger": lease.trigger.value,
        "is_replay": lease.trigger is Trigger.REPLAY,
        "is_unordered": lease.is_unordered,
        "status": attempt.status,
        "outcome": outcome_of(attempt),
        "headers_ms": attempt.headers_ms,
        "latency_ms": round(attempt.total_ms, 1),
        "state": verdict.state.value,
        "next_at": due,
        "pause_ms": verdict.pause_ms,
        "disables_endpoint": verdict.disables_endpoint,
    }
