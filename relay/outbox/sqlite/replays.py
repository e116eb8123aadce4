"""What has ended is sent once more: the same id and bytes, a new budget, a new life, its place behind its session's.

Runs inside the writer's transaction.
"""

from collections.abc import Callable, Sequence

import apsw

from relay.core.delivery import COUNTS_AS_DEPTH, State
from relay.core.moments import UnixMs
from relay.errors import Rejected, RelayError
from relay.outbox.sqlite.room import Limits, NoRoom, Room
from relay.outbox.sqlite.roster import Roster
from relay.outbox.sqlite.tally import Row, Tally

REPLAY = """
    UPDATE deliveries AS mine
    SET state = 'pending', finished_at = NULL, claim = NULL, is_retry = 1, trigger = 'replay',
        overtaken_at = NULL, is_shed = 0, budget_start = attempts, expires_at = ?2 + life_ms, due = CASE WHEN EXISTS (
            SELECT 1 FROM deliveries AS other
            WHERE other.endpoint = mine.endpoint AND other.gateway = mine.gateway
              AND other.session_id = mine.session_id AND other.finished_at IS NULL AND other.overtaken_at IS NULL
        ) THEN NULL ELSE ?2 END
    WHERE id = ?1
"""
ENDED = """
    SELECT d.state, d.endpoint, length(e.body) FROM deliveries d JOIN events e ON e.id = d.event
    WHERE d.id = ? AND d.finished_at IS NOT NULL
"""


class Replays:
    """The deliveries of one connection; `limits` bound what waits."""

    def __init__(
        self,
        connection: apsw.Connection,
        tally: Tally,
        roster: Roster,
        *,
        limits: Limits,
        wall: Callable[[], UnixMs],
    ) -> None:
        self._connection = connection
        self._tally = tally
        self._roster = roster
        self._limits = limits
        self._wall = wall

    def one(self, delivery_ids: Sequence[int]) -> list[str | RelayError | None]:
        """The endpoint of each delivery that waits again now; None for one that is not there or has not ended."""
        return [self._replay(delivery_id) for delivery_id in delivery_ids]

    def _replay(self, delivery_id: int) -> str | RelayError | None:
        for row in self._found(delivery_id):
            return self._unwilling(row[1]) or self._lacking([row]) or self._wait_again(delivery_id, row)
        return None

    def slices(self, asked: Sequence[tuple[tuple[int, ...], State]]) -> list[tuple[list[str], int] | NoRoom]:
        """Of each slice (the endpoints of those that waited in its state, and wait again now; how many were left out)."""
        return [self._replay_slice(deliveries, state) for deliveries, state in asked]

    def _replay_slice(self, deliveries: Sequence[int], state: State) -> tuple[list[str], int] | NoRoom:
        found = [(one, row) for one in deliveries for row in self._found(one) if row[0] == state]
        willing = [(one, row) for one, row in found if not self._unwilling(row[1])]
        if full := self._lacking([row for _, row in willing]):
            return full
        return [self._wait_again(*one) for one in willing], len(found) - len(willing)

    def _found(self, delivery_id: int) -> list[Row]:
        return self._connection.execute(ENDED, (delivery_id,)).fetchall()

    def _unwilling(self, endpoint: str) -> Rejected | None:
        """Why nothing is sent to it: said before, since it would be cancelled again within a second."""
        if endpoint in self._tally.disabled:
            return Rejected(409, "Endpoint disabled", "its endpoint is disabled: resume it first")
        if endpoint not in self._roster.filters:
            return Rejected(
                409, "Endpoint unknown", "its endpoint is not configured any more: configure it first"
            )
        return None

    def _lacking(self, rows: Sequence[Row]) -> NoRoom | None:
        """Whole or not at all. A dead letter has its room already, and what is lighter makes none for what is old."""
        more = sum(State(state) not in COUNTS_AS_DEPTH for state, *_ in rows)
        limit = Room.left(self._limits, self._tally).lacks(more) if more else None
        return NoRoom(self._limits.words(limit), limit) if limit else None

    def _wait_again(self, delivery_id: int, row: Row) -> str:
        state, endpoint, body_bytes = row
        self._connection.execute(REPLAY, (delivery_id, self._wall()))
        self._tally.move(State(state), State.PENDING, endpoint, body_bytes=body_bytes)
        return str(endpoint)
