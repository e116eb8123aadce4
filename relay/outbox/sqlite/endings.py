"""Deliveries that end without an answer: too old, overtaken by newer news, or given up to make room.

    expired      past its life, wherever it waits; or, while it was still worth sending, for lack of room
    superseded   ephemeral, and its session's newest took its place

What was given up for room ends as `expired`: nothing newer stands in for it, which is what `superseded` promises.
It is told apart by having ended before its `expires_at`, and counted as shed. Runs inside the writer's transaction.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import NamedTuple

import apsw

from relay.core.delivery import State
from relay.core.indicator import SessionKey
from relay.core.moments import UnixMs
from relay.core.terms import SUPERSEDES, Weight
from relay.outbox.sqlite.tally import Tally

MOST_SHED = 1024
"""Looked at to make room for one fact: a limit lowered by more is not made up for at once."""

COLUMNS = """
    d.id, d.state, d.due IS NOT NULL AND d.overtaken_at IS NULL, d.endpoint, d.gateway, d.session_id,
    (SELECT length(body) FROM events WHERE id = d.event)
"""
# What is in flight and in time is left to its answer; a lease that ended has nobody to settle it.
EXPIRED = f"""
    SELECT {COLUMNS} FROM deliveries d INDEXED BY deliveries_expiring
    WHERE d.expires_at <= ?1 AND d.finished_at IS NULL AND (d.state = 'pending' OR d.due <= ?1)
    ORDER BY d.expires_at LIMIT ?2
"""  # noqa: S608 - columns of our own
# A replay was asked for by somebody: nothing takes its place.
SUPERSEDED = f"""
    SELECT {COLUMNS} FROM deliveries d INDEXED BY deliveries_lane
    WHERE d.endpoint = ? AND d.gateway = ? AND d.session_id = ? AND d.finished_at IS NULL
      AND d.state = 'pending' AND d.weight <= ? AND d.trigger = 'schedule'
"""  # noqa: S608 - as above
LIGHTEST = f"""
    SELECT {COLUMNS} FROM deliveries d INDEXED BY deliveries_lightest
    WHERE d.weight IS NOT NULL AND d.state = 'pending' ORDER BY d.weight, d.id LIMIT ?
"""  # noqa: S608 - as above
END = "UPDATE deliveries SET state = ?2, due = NULL, claim = NULL, finished_at = ?3 WHERE id = ?1"
RELEASE_NEXT = """
    UPDATE deliveries SET due = ?1 WHERE id = (
        SELECT min(id) FROM deliveries
        WHERE endpoint = ?2 AND gateway = ?3 AND session_id = ?4 AND finished_at IS NULL AND overtaken_at IS NULL
    )
"""


class Live(NamedTuple):
    """A delivery that has not ended. `is_head`: the others of its endpoint and session wait for it."""

    delivery_id: int
    state: State
    is_head: bool
    endpoint: str
    key: SessionKey
    body_bytes: int


class Endings:
    """Ends deliveries of one connection, and lets those that waited for them go on."""

    def __init__(self, connection: apsw.Connection, tally: Tally) -> None:
        self._connection = connection
        self._tally = tally

    def end(self, gone: Sequence[Live], state: State, now: UnixMs) -> None:
        """Each of these ends now, as `state`."""
        self._connection.executemany(END, [(one.delivery_id, state.value, now) for one in gone])
        heads = [(now, one.endpoint, *one.key) for one in gone if one.is_head]
        self._connection.executemany(RELEASE_NEXT, heads)
        for one in gone:
            self._tally.move(one.state, state, one.endpoint, body_bytes=one.body_bytes)

    def expire(self, now: UnixMs, most: int) -> int:
        """Ends at most so many whose life is over; how many there were."""
        gone = self.found(EXPIRED, now, most)
        if gone:
            self.end(gone, State.EXPIRED, now)
        return len(gone)

    def supersede(self, endpoint: str, key: SessionKey, weight: Weight, now: UnixMs) -> None:
        """One of this weight is about to be recorded: what waits for the same endpoint and session makes way."""
        gone = self.found(SUPERSEDED, endpoint, *key, SUPERSEDES[weight])
        if gone:
            self.end(gone, State.SUPERSEDED, now)

    def shed(self, rows: int, body_bytes: int, now: UnixMs) -> bool:
        """Gives up the lightest and oldest until so much is free; none at all where that is not enough."""
        gone: list[Live] = []
        with closing(self._each(LIGHTEST, MOST_SHED)) as lightest:
            while (rows > 0 or body_bytes > 0) and (one := next(lightest, None)):
                gone.append(one)
                rows, body_bytes = rows - 1, body_bytes - one.body_bytes
        if rows > 0 or body_bytes > 0:
            return False
        self.end(gone, State.EXPIRED, now)
        self._tally.shed += len(gone)
        return True

    @property
    def can_shed(self) -> bool:
        return bool(self.found(LIGHTEST, 1))

    def found(self, query: str, *asked: object) -> list[Live]:
        """The rows of a query for `COLUMNS`."""
        return list(self._each(query, *asked))

    def _each(self, query: str, *asked: object) -> Generator[Live, None, None]:
        with closing(self._connection.execute(query, asked)) as rows:
            for row_id, state, is_head, endpoint, gateway, session_id, body_bytes in rows:
                yield Live(row_id, State(state), bool(is_head), endpoint, (gateway, session_id), body_bytes)
