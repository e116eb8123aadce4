"""What an operator has forgotten before its time, slice by slice: dead letters, or all there is of a session.

Runs inside the writer's transaction. A delivery that is on its way cannot be called back: it is doomed, durably, and
goes the moment it has landed, or its lease has ended, or the next process finds it. Until then it holds its place in
its session's order.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import apsw

from relay.core.delivery import LIVE, State
from relay.core.moments import UnixMs
from relay.outbox.rows import Purged
from relay.outbox.sqlite.drop import SLICE_ROWS, drop
from relay.outbox.sqlite.endings import RELEASE_NEXT
from relay.outbox.sqlite.tally import Row, Tally

LOOK = """
    SELECT id, state, due, endpoint, gateway, session_id, due IS NOT NULL AND overtaken_at IS NULL
    FROM deliveries WHERE id = ?
"""
DOOM = "INSERT OR IGNORE INTO doomed VALUES (?)"
FORGET_AUDIT = "DELETE FROM audit WHERE id = ? RETURNING 1"
FORGET_GUEST = "UPDATE sessions SET guest_id = NULL WHERE id = ? AND guest_id IS NOT NULL RETURNING 1"


class Slice(NamedTuple):
    """Deliveries to go: those in `state`, or where that is None whatever their state is."""

    deliveries: tuple[int, ...]
    state: State | None = None


class Purge:
    """Forgets on one connection."""

    def __init__(self, connection: apsw.Connection, tally: Tally, *, wall: Callable[[], UnixMs]) -> None:
        self._connection = connection
        self._tally = tally
        self._wall = wall

    def deliveries(self, slices: Sequence[Slice]) -> list[Purged]:
        """A kind of write: `waiting_to_land` of those asked for are on their way and go later."""
        return [self._purge(one) for one in slices]

    def _purge(self, asked: Slice) -> Purged:
        rows = self._looked_at(asked.deliveries)
        if asked.state is not None:
            rows = [row for row in rows if row[1] == asked.state]
        landed = [row for row in rows if row[1] != State.INFLIGHT]
        on_their_way = [row[0] for row in rows if row[1] == State.INFLIGHT]
        self._doom(on_their_way)
        return replace(self._drop(landed), waiting_to_land=len(on_their_way))

    def audit(self, slices: Sequence[tuple[int, ...]]) -> list[int]:
        """A kind of write: how many rows of the audit went, of each slice."""
        dropped = [self._changed(FORGET_AUDIT, rows) for rows in slices]
        self._tally.audit_rows -= sum(dropped)
        return dropped

    def guests(self, slices: Sequence[tuple[int, ...]]) -> list[int]:
        """A kind of write: the sessions' guests are forgotten, their numbers go on."""
        return [self._changed(FORGET_GUEST, rows) for rows in slices]

    def bury(self, now: UnixMs) -> None:
        """Of the doomed, those nobody will settle any more: their lease has ended, or was given back."""
        rows = self._looked_at(sorted(self._tally.doomed)[:SLICE_ROWS])
        self._drop([row for row in rows if row[1] != State.INFLIGHT or row[2] <= now])

    def _looked_at(self, deliveries: Sequence[int]) -> list[Row]:
        return self._connection.executemany(LOOK, [(delivery,) for delivery in deliveries]).fetchall()

    def _doom(self, deliveries: Sequence[int]) -> None:
        self._connection.executemany(DOOM, [(delivery,) for delivery in deliveries])
        self._tally.doomed |= frozenset(deliveries)

    def _drop(self, rows: Sequence[Row]) -> Purged:
        purged = drop(self._connection, self._tally, [row[0] for row in rows])
        now = self._wall()
        # Whoever waited behind one that went is next: also what its session records while it is being purged.
        freed = [(now, *lane) for _, state, _, *lane, is_head in rows if is_head and state in LIVE]
        self._connection.executemany(RELEASE_NEXT, freed)
        return purged

    def _changed(self, statement: str, rows: Sequence[int]) -> int:
        return len(self._connection.executemany(statement, [(row,) for row in rows]).fetchall())
