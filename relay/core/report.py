"""From what happened to the fact that trackers and the audit are told: pure renderings of values."""

from relay.core.engagement import Broadcast, Suppressed, Transition
from relay.core.indicator import Indicator, Wish
from relay.core.moments import Ms, UnixMs
from relay.core.outcome import CoolOff, Expired, Held, Outcome, Refused, Shown, Unauthorised, Unreachable
from relay.core.session import Change, Session
from relay.core.settling import Settled


def error_class(outcome: Outcome) -> str | None:
    """The outcome in one word, a metric label; None for success."""
    match outcome:
        case Shown():
            return None
        case CoolOff() | Held():
            return "rate_limited"
        case Expired() | Unauthorised():
            return "unauthorised"
        case Refused():
            return "refused"
        case Unreachable():
            return outcome.kind.value


def said(outcome: Outcome) -> str:
    """The platform's own words, then our advice; empty for success.

    The semicolon keeps them apart where the platform speaks in sentences and where it does not.
    """
    match outcome:
        case Shown() | Expired():
            return ""
        case Held():
            return outcome.message
        case CoolOff() | Unauthorised() | Refused() | Unreachable():
            words = outcome.message.rstrip(". ") if outcome.advice else outcome.message
            return "; ".join(part for part in (words, outcome.advice) if part)


def transition_of(session: Session, change: Change, at: UnixMs) -> Transition:
    """`platform` is "lapse" where the platform has no word for the new state and the display simply ends."""
    reach = session.reach
    can_be_told = {
        Indicator.TYPING: True,
        Indicator.PAUSED: reach.shows_paused,
        Indicator.STOPPED: reach.can_stop,
    }[change.state]
    return Transition(
        key=session.key,
        guest_id=session.address.guest_id,
        source=session.source,
        state=change.state,
        reason=change.reason,
        actors=change.actors,
        at=at,
        platform=None if can_be_told else "lapse",
        traceparent=session.traceparent,
    )


def broadcast_of(
    session: Session,
    wish: Wish,
    outcome: Outcome,
    settled: Settled,
    *,
    audit_id: str,
    latency_ms: Ms,
    at: UnixMs,
) -> Broadcast:
    return Broadcast(
        audit_id=audit_id,
        key=session.key,
        guest_id=session.address.guest_id,
        source=session.source,
        indicator=wish.indicator,
        duration_ms=wish.duration_ms,
        cause=wish.cause,
        success=isinstance(outcome, Shown),
        status=outcome.status,
        error="exhausted" if settled.is_exhausted else error_class(outcome),
        message=said(outcome),
        latency_ms=round(latency_ms),
        attempts=settled.attempts,
        is_given_up=settled.is_given_up,
        at=at,
        traceparent=session.traceparent,
    )


def suppressed_of(session: Session, indicator: Indicator, why: str, at: UnixMs) -> Suppressed:
    return Suppressed(
        key=session.key,
        guest_id=session.address.guest_id,
        source=session.source,
        indicator=indicator,
        why=why,
        at=at,
    )
