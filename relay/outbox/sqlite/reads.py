"""Lists for people, through a connection that cannot write and a thread of its own: no listing delays a commit."""

from collections.abc import Iterable, Iterator

import apsw

from relay.core.delivery import Failure, State, Trigger
from relay.core.endpoint import Standing
from relay.core.moments import UnixMs
from relay.outbox.rows import (
    Attempt,
    AttemptRow,
    AttemptSelection,
    AuditRow,
    AuditSelection,
    DeliveryRow,
    EndpointRow,
    OpenSession,
    Selection,
)
from relay.outbox.sqlite.tally import Row

STRETCH_ROWS = 20_000
"""Looked through in one read: about 10 ms. While a read is open the log cannot begin anew, so a long search is many."""

DELIVERY_COLUMNS = """
    d.id, e.event_id, e.type, d.endpoint, d.gateway, d.session_id, d.state, d.attempts, e.recorded_at, d.due,
    d.finished_at, a.status, a.failure
"""
DELIVERIES = f"""
    SELECT {DELIVERY_COLUMNS} FROM deliveries d CROSS JOIN events e ON e.id = d.event
    LEFT JOIN attempts a ON a.delivery = d.id AND a.number = d.attempts
    WHERE d.id < ?1 AND d.id >= ?2 AND (?3 IS NULL OR d.state = ?3) AND (?4 IS NULL OR d.endpoint = ?4)
      AND (?5 IS NULL OR d.session_id = ?5) AND (?6 IS NULL OR e.recorded_at >= ?6)
    ORDER BY d.id DESC LIMIT ?7
"""  # noqa: S608 - our own columns
DELIVERY = f"""
    SELECT {DELIVERY_COLUMNS}, e.body FROM deliveries d JOIN events e ON e.id = d.event
    LEFT JOIN attempts a ON a.delivery = d.id AND a.number = d.attempts WHERE d.id = ?
"""  # noqa: S608 - our own columns
ATTEMPTS = """
    SELECT delivery, number, trigger, started_at, status, failure, headers_ms, total_ms, excerpt
    FROM attempts WHERE delivery = ? ORDER BY number
"""
AUDIT = """
    SELECT id, audit_id, at, gateway, session_id, guest_id, source, indicator, duration_ms, cause, success, status,
           error, message, latency_ms, attempts
    FROM audit WHERE id < ?1 AND id >= ?2 AND (?3 IS NULL OR session_id = ?3) AND (?4 IS NULL OR at >= ?4)
    ORDER BY id DESC LIMIT ?5
"""
ENDPOINTS_ATTEMPTS = """
    SELECT a.delivery, a.number, a.trigger, a.started_at, a.status, a.failure, a.headers_ms, a.total_ms, a.excerpt
    FROM attempts a CROSS JOIN deliveries d ON d.id = a.delivery
    WHERE (a.delivery, a.number) < (?1, ?2) AND a.delivery >= ?3 AND d.endpoint = ?4
      AND (?5 IS NULL OR a.started_at >= ?5)
    ORDER BY a.delivery DESC, a.number DESC LIMIT ?6
"""
OPEN_SESSIONS = """
    SELECT gateway, session_id, guest_id, source FROM sessions WHERE state <> 'typing_stopped' ORDER BY id LIMIT ?
"""
ENDPOINTS = """
    SELECT name, state, reason, since, last_success, first_exhausted, succeeded_at FROM endpoints ORDER BY name
"""
# Reads the index of what is live and no table.
WAITING = """
    SELECT endpoint, count(*) FROM deliveries INDEXED BY deliveries_lane WHERE finished_at IS NULL GROUP BY endpoint
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

    def deliveries(self, selection: Selection, below: int | None) -> tuple[list[DeliveryRow], int | None]:
        """One stretch of the search, and where the next begins: None at the end of the search."""
        first, below = self._stretch("deliveries", below)
        narrowed = (selection.state, selection.endpoint, selection.session, selection.since)
        found = self._connection.execute(DELIVERIES, (below, first, *narrowed, selection.limit))
        return list(map(delivery_row, found)), first if first > 0 else None

    def delivery(self, delivery_id: int) -> tuple[DeliveryRow, bytes] | None:
        """With its event's body."""
        rows: list[Row] = self._connection.execute(DELIVERY, (delivery_id,)).fetchall()
        return next(((delivery_row(row[:-1]), row[-1]) for row in rows), None)

    def attempts(self, delivery_id: int) -> list[AttemptRow]:
        return list(_attempts(self._connection.execute(ATTEMPTS, (delivery_id,))))

    def endpoints_attempts(
        self, selection: AttemptSelection, below: int | None
    ) -> tuple[list[AttemptRow], int | None]:
        """As `deliveries`; `below` is a delivery."""
        first, below = self._stretch("deliveries", below)
        last = min((below, 0), selection.before or (below, 0))
        asked = (*last, first, selection.endpoint, selection.since, selection.limit)
        found = self._connection.execute(ENDPOINTS_ATTEMPTS, asked)
        return list(_attempts(found)), first if first > 0 else None

    def audit(self, selection: AuditSelection, below: int | None) -> tuple[list[AuditRow], int | None]:
        """As `deliveries`."""
        first, below = self._stretch("audit", below)
        asked = (below, first, selection.session, selection.since, selection.limit)
        return list(map(_audit, self._connection.execute(AUDIT, asked))), first if first > 0 else None

    def _stretch(self, table: str, below: int | None) -> tuple[int, int]:
        """(first key, one past the last) of what is looked through in one go, from the newest row down.

        A `below` past the newest row is that row's: what is not there is not walked through.
        """
        newest: int = 1 + (self._connection.execute(f"SELECT max(id) FROM {table}").get or 0)  # noqa: S608 - our names
        below = newest if below is None else min(below, newest)
        return max(0, below - STRETCH_ROWS), below

    def open_sessions(self, limit: int) -> list[OpenSession]:
        rows = self._connection.execute(OPEN_SESSIONS, (limit,))
        return [OpenSession((gateway, session), guest, source) for gateway, session, guest, source in rows]

    def endpoints(self) -> list[EndpointRow]:
        return [
            EndpointRow(name, Standing(state), *rest)
            for name, state, *rest in self._connection.execute(ENDPOINTS)
        ]

    def waiting(self) -> dict[str, int]:
        return dict(self._connection.execute(WAITING))

    def oldest_pending_at(self) -> UnixMs | None:
        found: UnixMs | None = self._connection.execute(OLDEST_PENDING).get
        return found

    def close(self) -> None:
        self._connection.close()


def delivery_row(row: Row) -> DeliveryRow:
    """Of `DELIVERY_COLUMNS`."""
    delivery_id, event_id, event_type, endpoint, gateway, session, state, *rest = row
    return DeliveryRow(delivery_id, event_id, event_type, endpoint, (gateway, session), State(state), *rest)


def _attempts(rows: Iterable[Row]) -> Iterator[AttemptRow]:
    for delivery_id, number, trigger, started_at, status, failure, headers_ms, total_ms, excerpt in rows:
        went = Failure(failure) if failure else None
        attempt = Attempt(started_at, status, went, headers_ms, total_ms, excerpt)
        yield AttemptRow(delivery_id, number, Trigger(trigger), attempt)


def _audit(row: Row) -> AuditRow:
    (
        row_id,
        audit_id,
        at,
        gateway,
        session,
        guest,
        source,
        indicator,
        duration_ms,
        cause,
        success,
        *outcome,
    ) = row
    key = (gateway, session)
    status, error, message, latency_ms, attempts = outcome
    sent = (audit_id, at, key, guest, source, indicator, duration_ms, cause)
    return AuditRow(*sent, bool(success), status, error, message, latency_ms, attempts, row_id)
