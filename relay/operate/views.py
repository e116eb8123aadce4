"""What the operator is shown of sessions, audit and deliveries: JSON-ready values from rows and live objects."""

from relay.core.actor import Actor
from relay.core.moments import Ms, rfc3339
from relay.core.pacer import standing
from relay.core.session import Session
from relay.outbox.rows import AuditRow, DeliveryRow, EndpointRow


def session_view(session: Session, now: Ms) -> dict[str, object]:
    """A live session; spans are milliseconds from now, null where they do not apply."""
    session.catch_up()
    pacer = session.pacer
    return {
        "gateway": session.key[0],
        "sessionId": session.key[1],
        "guestId": session.address.guest_id,
        "state": session.stated.value,
        "standing": standing(pacer, now).value,
        "shown": pacer.shown.value if pacer.shown is not None and now < pacer.shown_until else None,
        "visibleForMs": _until(pacer.visible_until, now),
        "gateOpensInMs": _until(pacer.gate_at, now),
        "owesStop": pacer.owes_stop,
        "tries": pacer.tries,
        "mutedBecause": pacer.mute_code if now < pacer.muted_until else None,
        "actors": [_actor_view(actor, now) for actor in session.actors],
    }


def _actor_view(actor: Actor, now: Ms) -> dict[str, object]:
    return {
        "id": actor.id,
        "state": actor.state.name.lower(),
        "public": actor.is_public,
        "silentForMs": round(now - actor.last) if actor.last > 0 else None,
        "thinkingId": actor.thinking_id,
    }


def _until(at: Ms, now: Ms) -> int | None:
    return round(at - now) if at > now else None


def audit_view(row: AuditRow) -> dict[str, object]:
    gateway, session_id = row.key
    return {
        "auditId": row.audit_id,
        "timestamp": rfc3339(row.at),
        "gateway": gateway,
        "sessionId": session_id,
        "guestId": row.guest_id,
        "source": row.source,
        "type": row.indicator,
        "durationMs": row.duration_ms,
        "cause": row.cause,
        "success": row.success,
        "status": row.status,
        "error": row.error,
        "message": row.message,
        "latencyMs": row.latency_ms,
        "attempts": row.attempts,
    }


def delivery_view(row: DeliveryRow) -> dict[str, object]:
    gateway, session_id = row.key
    return {
        "id": row.delivery_id,
        "eventId": row.event_id,
        "type": row.event_type,
        "endpoint": row.endpoint,
        "gateway": gateway,
        "sessionId": session_id,
        "state": row.state.value,
        "attempts": row.attempts,
        "recordedAt": rfc3339(row.recorded_at),
        "dueAt": None if row.due is None else rfc3339(row.due),
        "finishedAt": None if row.finished_at is None else rfc3339(row.finished_at),
        "lastStatus": row.last_status,
        "lastFailure": row.last_failure,
    }


def endpoint_view(name: str, disabled: EndpointRow | None) -> dict[str, object]:
    """`state` is active or disabled; why and since when where it is disabled."""
    if disabled is None:
        return {"name": name, "state": "active"}
    return {"name": name, "state": "disabled", "reason": disabled.reason, "since": rfc3339(disabled.since)}
