"""Searches for what has no index: dead letters by a filter, a session's rows, an event by its id.

An index would be paid for at every append; a search is a person's, now and then. Each looks through one stretch of
keys and says where to go on, so that no read lasts long. Over the connection and thread of `Reads`.
"""

import apsw

from relay.core.moments import UnixMs
from relay.outbox.rows import EventRow, Fate, Found, Kept, Pick
from relay.outbox.sqlite.reads import DELIVERY_COLUMNS, STRETCH_ROWS, delivery_row
from relay.outbox.sqlite.tally import Row

PICKED = """
    SELECT d.id FROM deliveries d CROSS JOIN events e ON e.id = d.event
    WHERE d.id > ?1 AND d.id <= ?2 AND d.state = ?3 AND (?4 IS NULL OR d.endpoint = ?4)
      AND (?5 IS NULL OR substr(e.type, 1, length(?5)) = ?5) AND (?6 IS NULL OR e.type = ?6)
      AND (?7 IS NULL OR e.recorded_at >= ?7) AND (?8 IS NULL OR e.recorded_at < ?8)
    ORDER BY d.id LIMIT ?9
"""
OF_SESSION = """
    SELECT id FROM {table}
    WHERE id < ?1 AND id >= ?2 AND session_id = ?3 AND (?4 IS NULL OR gateway = ?4) ORDER BY id DESC LIMIT ?5
"""
FIRST_FROM = "SELECT id, recorded_at FROM events WHERE id >= ? ORDER BY id LIMIT 1"
EVENT = """
    SELECT e.id, e.event_id, e.type, d.gateway, e.source, e.recorded_at, e.body
    FROM events e CROSS JOIN deliveries d ON d.event = e.id
    WHERE e.id BETWEEN ?1 AND ?2 AND e.event_id = ?3 LIMIT 1
"""
FATES = f"""
    SELECT {DELIVERY_COLUMNS}, d.attempts - d.budget_start, d.overtaken_at IS NULL, d.is_shed
    FROM deliveries d JOIN events e ON e.id = d.event
    LEFT JOIN attempts a ON a.delivery = d.id AND a.number = d.attempts
    WHERE d.event = ? ORDER BY d.endpoint
"""  # noqa: S608 - our own columns
HEAD = """
    SELECT e.event_id FROM deliveries d JOIN events e ON e.id = d.event
    WHERE d.endpoint = ? AND d.gateway = ? AND d.session_id = ? AND d.finished_at IS NULL
      AND d.overtaken_at IS NULL AND d.due IS NOT NULL
"""
NEWER = """
    SELECT e.event_id FROM deliveries d CROSS JOIN events e ON e.id = d.event
    WHERE d.id > ?1 AND d.id <= ?2 AND d.endpoint = ?3 AND d.gateway = ?4 AND d.session_id = ?5
    ORDER BY d.id LIMIT 1
"""


class Finds:
    """Every call comes from the same thread."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def picked(self, pick: Pick, after: int, most: int) -> Found:
        """Dead letters as asked, oldest first."""
        last = after + STRETCH_ROWS
        kind = pick.event_type or "*"
        begins, is_exactly = (kind[:-1], None) if kind.endswith("*") else (None, kind)
        narrowed = (pick.state, pick.endpoint, begins, is_exactly, pick.since, pick.until)
        keys = self._keys(PICKED, (after, last, *narrowed, most))
        if len(keys) == most:
            return Found(keys, keys[-1])
        return Found(keys, last if last < self._greatest("deliveries") else None)

    def of_session(
        self, kept: Kept, session: str, gateway: str | None, below: int | None, most: int
    ) -> Found:
        """A session's rows, newest first: its order is not upset when they go in that order."""
        below = below or 1 + self._greatest(kept)
        first = max(0, below - STRETCH_ROWS)
        keys = self._keys(OF_SESSION.format(table=kept.value), (below, first, session, gateway, most))
        if len(keys) == most:
            return Found(keys, keys[-1])
        return Found(keys, first or None)

    def event(self, event_id: str, recorded_at: UnixMs) -> tuple[int, EventRow] | None:
        """Its key and itself; None if it is not there.

        Keys ascend with the time of recording but for steps of the clock: so it is looked for around the place
        where its millisecond begins, and after a step back of more than some seconds under load it may be missed.
        """
        place = self._first_at(recorded_at)
        asked = (place - STRETCH_ROWS, place + STRETCH_ROWS, event_id)
        rows: list[Row] = self._connection.execute(EVENT, asked).fetchall()
        return next(((row[0], EventRow(*row[1:])) for row in rows), None)

    def fates(self, event: int) -> list[Fate]:
        """At each endpoint that has a delivery of it."""
        rows: list[Row] = self._connection.execute(FATES, (event,)).fetchall()
        return [self._fate(row) for row in rows]

    def _fate(self, row: Row) -> Fate:
        *columns, attempts, is_in_order, is_shed = row
        delivery = delivery_row(tuple(columns))
        lane = (delivery.endpoint, *delivery.key)
        is_behind = delivery.state == "pending" and delivery.due is None and is_in_order
        is_superseded = delivery.state == "superseded"
        span = (delivery.delivery_id, delivery.delivery_id + STRETCH_ROWS)
        return Fate(
            delivery,
            attempts,
            waits_for=self._connection.execute(HEAD, lane).get if is_behind else None,
            superseded_by=self._connection.execute(NEWER, (*span, *lane)).get if is_superseded else None,
            is_shed=bool(is_shed),
        )

    def _first_at(self, at: UnixMs) -> int:
        """The key of the first event recorded at `at` or later, by halving."""
        low, high = 1, 1 + self._greatest("events")
        while low < high:
            middle = (low + high) // 2
            found: Row | None = self._connection.execute(FIRST_FROM, (middle,)).fetchone()
            if found is not None and found[1] < at:
                low = found[0] + 1
            else:
                high = middle
        return low

    def _keys(self, query: str, asked: Row) -> tuple[int, ...]:
        return tuple(key for (key,) in self._connection.execute(query, asked))

    def _greatest(self, table: str) -> int:
        greatest: int | None = self._connection.execute(f"SELECT max(id) FROM {table}").get  # noqa: S608 - our names
        return greatest or 0
