"""What the operator is shown of sessions, audit and deliveries: JSON-ready values from rows and live objects."""

from relay import wire
from relay.core.actor import Actor
from relay.core.endpoint import Circuit, Failing, Standing
from relay.core.indicator import SessionKey
from relay.core.moments import Ms, rfc3339
from relay.core.pacer import Pacer, Reach, standing
from relay.core.rest import Rest, actors_of
from relay.core.session import Session
from relay.core.timings import Timings
from relay.core.why import Verdict
from relay.outbox.endpoints import Resumed
from relay.outbox.rows import Attempt, AttemptRow, AuditRow, DeliveryRow, EndpointRow, Purged

SHOWN_BYTES = 1024


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
        "givenUpForMs": _until(pacer.given_up_until, now),
        "mutedBecause": pacer.mute_code if now < pacer.muted_until else None,
        "actors": [_actor_view(actor, now) for actor in session.actors],
    }


def rest_view(key: SessionKey, rest: Rest, now: Ms) -> dict[str, object]:
    """One at rest: the next activity would find it so, whatever its gateway's timings are."""
    actors = actors_of(rest)
    session = Session(key, rest.address, rest.source, Timings(), Reach(), Pacer(), actors=actors)
    return session_view(session, now)


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


def endpoint_view(
    name: str, row: EndpointRow | None, circuit: Circuit | None, *, waiting: int, failing: Failing | None
) -> dict[str, object]:
    """`row` is None where nothing was ever sent to it, `circuit` where it is no longer configured.

    `lastSuccess` may be a minute old: the file is told of a success that often.
    """
    succeeded_at = row.succeeded_at if row else None
    standing = row.standing if row else Standing.ACTIVE
    return {
        "name": name,
        "state": standing.value if circuit else "unknown",
        "circuit": circuit.value if circuit else None,
        "reason": row.reason if row and row.reason else None,
        "since": rfc3339(row.since) if row else None,
        "lastSuccess": None if succeeded_at is None else rfc3339(succeeded_at),
        "failing": failing_view(failing) if failing else None,
        "waiting": waiting,
    }


def failing_view(failing: Failing) -> dict[str, object]:
    return {"since": rfc3339(failing.since), "attempts": failing.attempts, "last": failing.last}


def resumed_view(resumed: Resumed) -> dict[str, object]:
    return {
        "resumed": resumed.before is not Standing.ACTIVE,
        "was": resumed.before.value,
        "hurried": resumed.hurried,
        "more": resumed.is_more,
    }


def tested_view(attempt: Attempt) -> dict[str, object]:
    """A test as it went; of the answer its first kilobyte, as text."""
    return {
        "success": attempt.failure is None,
        "status": attempt.status,
        "failure": attempt.failure.value if attempt.failure else None,
        "headersMs": None if attempt.headers_ms is None else round(attempt.headers_ms, 1),
        "totalMs": round(attempt.total_ms, 1),
        "answer": plain_text(attempt.excerpt[:SHOWN_BYTES]),
    }


def attempt_view(row: AttemptRow) -> dict[str, object]:
    """The answer's excerpt as text: what is no UTF-8, and control characters, as marks."""
    attempt = row.attempt
    return {
        "delivery": row.delivery_id,
        "number": row.number,
        "trigger": row.trigger.value,
        "startedAt": rfc3339(attempt.started_at),
        "status": attempt.status,
        "failure": attempt.failure.value if attempt.failure else None,
        "headersMs": None if attempt.headers_ms is None else round(attempt.headers_ms, 1),
        "totalMs": round(attempt.total_ms, 1),
        "excerpt": plain_text(attempt.excerpt),
    }


def plain_text(content: bytes) -> str:
    """Safe to print: a receiver's bytes must not move an operator's cursor, nor turn a line around."""
    text = content.decode("utf-8", "replace")
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in text)


def body_view(body: bytes) -> wire.Json:
    """An event's body; as text where it is not JSON, which only a damaged file could bring."""
    try:
        return wire.loads(body)
    except wire.NotJson:
        return plain_text(body)


def purged_view(purged: Purged) -> dict[str, object]:
    """`waitingToLand`: on their way, and gone when they have landed."""
    return {
        "events": purged.events,
        "deliveries": purged.deliveries,
        "attempts": purged.attempts,
        "audit": purged.audit_rows,
        "waitingToLand": purged.waiting_to_land,
    }


def verdict_view(endpoint: str, verdict: Verdict) -> dict[str, object]:
    """Why an event was delivered to this endpoint, or was not."""
    return {
        "endpoint": endpoint,
        "why": verdict.why.value,
        "sentence": verdict.sentence,
        "at": None if verdict.at is None else rfc3339(verdict.at),
        "event": verdict.event_id,
    }
