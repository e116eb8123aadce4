"""Lists for people, through a connection that cannot write and a thread of its own: no listing delays a commit."""

from collections.abc import Iterable, Iterator

import apsw

from relay.core.delivery import Failure, State, Trigger
from relay.core.moments import UnixMs
from relay.outbox.rows import (
    Attempt,
    AttemptRow,
    AuditRow,
    AuditSelection,
    DeliveryRow,
    EndpointRow,
    Selection,
)
from relay.outbox.sqlite.tally import Row
from relay.outbox.store import OpenSession

DELIVERIES = """
    SELECT d.id, e.event_id, e.type, d.endpoint, d.gateway, d.session_id, d.state, d.attempts, e.recorded_at,
           d.due, d.finished_at, a.status, a.failure
    FROM deliveries d JOIN events e ON e.id = d.event
    LEFT JOIN attempts a ON a.delivery = d.id AND a.number = d.attempts
    WHERE (?1 IS NULL OR d.state = ?1) AND (?2 IS NULL OR d.endpoint = ?2) AND (?3 IS NULL OR d.session_id = ?3)
      AND (?4 IS NULL OR e.recorded_at >= ?4)
    ORDER BY d.id DESC LIMIT ?5
"""
ATTEMPTS = """
    SELECT number, trigger, started_at, status, failure, headers_ms, total_ms, excerpt
    FROM attempts WHERE delivery = ? ORDER BY number
"""
AUDIT = """
    SELECT audit_id, at, gateway, session_id, guest_id, source, indicator, duration_ms, cause, success, status,
           error, message, latency_ms, attempts
    FROM audit WHERE (?1 IS NULL OR session_id = ?1) AND (?2 IS NULL OR at >= ?2) ORDER BY id DESC LIMIT ?3
"""
OPEN_SESSIONS = """
    SELECT gateway, session_id, guest_id, source FROM sessions WHERE state <> 'typing_stopped' ORDER BY id LIMIT ?
"""
# Heads of lanes only: a session's oldest delivery is its head, unless it is an older one being replayed.
OLDEST_PENDING = """
    SELECT recorded_at FROM events WHERE id = (SELECT event FROM deliveries WHERE id = (
        SELECT min(id) FROM deliveries INDEXED BY deliveries_due WHERE due IS NOT NULL))
"""


class Reads:
    """Queries over one read-only connection; every call comes from the same thread."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def deliveries(self, selection: Selection) -> list[DeliveryRow]:
        asked = (selection.state, selection.endpoint, selection.session, selection.since, selection.limit)
        return list(map(_delivery, self._connection.execute(DELIVERIES, asked)))

    def attempts(self, delivery_id: int) -> list[AttemptRow]:
        return list(_attempts(delivery_id, self._connection.execute(ATTEMPTS, (delivery_id,))))

    def audit(self, selection: AuditSelection) -> list[AuditRow]:
        asked = (selection.session, selection.since, selection.limit)
        return list(map(_audit, self._connection.execute(AUDIT, asked)))

    def open_sessions(self, limit: int) -> list[OpenSession]:
        rows = self._connection.execute(OPEN_SESSIONS, (limit,))
        return [OpenSession((gateway, session), guest, source) for gateway, session, guest, source in rows]

    def disabled(self) -> list[EndpointRow]:
        rows = self._connection.execute("SELECT name, reason, since FROM endpoints ORDER BY name")
        return [EndpointRow(*row) for row in rows]

    def oldest_pending_at(self) -> UnixMs | None:
        found: UnixMs | None = self._connection.execute(OLDEST_PENDING).get
        return found

    def close(self) -> None:
        self._connection.close()


def _delivery(row: Row) -> DeliveryRow:
    delivery_id, event_id, event_type, endpoint, gateway, session, state, *rest = row
    return DeliveryRow(delivery_id, event_id, event_type, endpoint, (gateway, session), State(state), *rest)


def _attempts(delivery_id: int, rows: Iterable[Row]) -> Iterator[AttemptRow]:
    for number, trigger, started_at, status, failure, headers_ms, total_ms, excerpt in rows:
        went = Failure(failure) if failure else None
        attempt = Attempt(started_at, status, went, headers_ms, total_ms, excerpt)
        yield AttemptRow(delivery_id, number, Trigger(trigger), attempt)


def _audit(row: Row) -> AuditRow:
    audit_id, at, gateway, session, guest, source, indicator, duration_ms, cause, success, *outcome = row
    key = (gateway, session)
    status, error, message, latency_ms, attempts = outcome
    sent = (audit_id, at, key, guest, source, indicator, duration_ms, cause)
    return AuditRow(*sent, bool(success), status, error, message, latency_ms, attempts)
