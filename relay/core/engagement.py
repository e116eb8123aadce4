"""Engagement events: what trackers are told, in the Standard Webhooks shape {type, timestamp, data}.

Facts are made where they happen; the outbox turns a fact into an event, its id and its frozen bytes. A
`Transition` gets its per-session `sequence` from the outbox's record, so that it is gap-free across restarts.
"""

from dataclasses import dataclass
from enum import StrEnum

from relay.core.indicator import Cause, Indicator, SessionKey
from relay.core.moments import UnixMs
from relay.core.notice import Kind, Notice


class Reason(StrEnum):
    """Why a session changed; `reason` of a `session.*` event."""

    KEYSTROKE = "keystroke"
    THINKING = "thinking"
    SILENCE = "silence"
    MESSAGE = "message"
    CLEARED = "cleared"
    DONE = "done"
    LEASE_LOST = "lease_lost"
    MAX_LIFE = "max_life"
    ENDED = "ended"
    SHUTDOWN = "shutdown"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Transition:
    """A session became `state`. `actors` counts the public ones now typing, thinking or paused."""

    key: SessionKey
    guest_id: str | None
    source: str
    state: Indicator
    reason: Reason
    actors: int
    at: UnixMs
    platform: str | None = None  # "lapse" where the platform cannot be told and the display simply ends
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One broadcast attempt, answered or given up. `attempts` counts the tries of this wanted state so far.

    `is_given_up`: this was the last of its tries (`exhausted`), or the platform refused the session.
    """

    audit_id: str
    key: SessionKey
    guest_id: str | None
    source: str
    indicator: Indicator
    duration_ms: int
    cause: Cause
    success: bool
    status: int | None
    error: str | None
    message: str
    latency_ms: int
    attempts: int
    is_given_up: bool
    at: UnixMs
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Nothing was sent, and `why` (`breaker_open`, `muted`, `exhausted`); at most one per session, reason, episode."""

    key: SessionKey
    guest_id: str | None
    source: str
    indicator: Indicator
    why: str
    at: UnixMs


Fact = Transition | Broadcast | Suppressed | Notice

EVENT_OF_STATE: dict[Indicator, str] = {
    Indicator.TYPING: "session.typing",
    Indicator.PAUSED: "session.paused",
    Indicator.STOPPED: "session.stopped",
}

EVENT_TYPES: tuple[str, ...] = (
    *EVENT_OF_STATE.values(),
    "typing_indicator.broadcast",
    "typing_indicator.failed",
    "typing_indicator.suppressed",
    *Kind,
)
"""Every event there is."""


def event_type(fact: Fact) -> str | None:
    """The event's dotted name, or None for an attempt that is audited but tells a tracker nothing new."""
    match fact:
        case Transition(state=state):
            return EVENT_OF_STATE[state]
        case Broadcast(success=True):
            return "typing_indicator.broadcast"
        case Broadcast(is_given_up=True):
            return "typing_indicator.failed"
        case Broadcast():
            return None
        case Suppressed():
            return "typing_indicator.suppressed"
        case Notice():
            return fact.kind.value


def event_data(fact: Fact, sequence: int | None) -> dict[str, object]:
    """The event's `data`, JSON-ready and in a fixed order; `sequence` is a Transition's place in its session."""
    if isinstance(fact, Notice):
        return fact.data
    gateway, session_id = fact.key
    base: dict[str, object] = {"sessionId": session_id, "guestId": fact.guest_id, "gateway": gateway}
    match fact:
        case Transition():
            told = base | {"sequence": sequence, "reason": fact.reason.value, "actors": fact.actors}
            return told | {"platform": fact.platform} if fact.platform else told
        case Broadcast():
            return {"auditId": fact.audit_id} | base | _broadcast_data(fact)
        case Suppressed():
            return base | {"indicator": fact.indicator.value, "why": fact.why}


def _broadcast_data(fact: Broadcast) -> dict[str, object]:
    told: dict[str, object] = {
        "indicator": fact.indicator.value,
        "durationMs": fact.duration_ms,
        "latencyMs": fact.latency_ms,
        "success": fact.success,
        "status": fact.status,
        "attempts": fact.attempts,
        "cause": fact.cause.value,
    }
    return told if fact.success else told | {"error": fact.error, "message": fact.message}
