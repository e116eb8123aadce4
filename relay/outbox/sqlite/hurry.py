"""What waits for a later attempt is due now: somebody has mended its endpoint, and the schedule cannot know.

A new budget begins, or who says so too often would spend it. Order stays: one that is to be overtaken later and is not
yet is waited for again, so that neither it nor those behind it sit out the ten minutes. Runs inside the writer's
transaction.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import apsw

from relay.core.moments import UnixMs

# In the order of `deliveries_due`, which is read from now on: what is due already is not walked through. What waits
# for an overtaking yet to come goes behind the one that was to be overtaken, and so is none of these.
LATER = """
    SELECT d.id, d.gateway, d.session_id, d.overtaken_at > ?2 AND NOT EXISTS (
        SELECT 1 FROM deliveries AS n
        WHERE n.endpoint = d.endpoint AND n.gateway = d.gateway AND n.session_id = d.session_id
          AND n.finished_at IS NULL AND n.overtaken_at IS NULL AND n.state = 'inflight'
    ) FROM deliveries AS d INDEXED BY deliveries_due
    WHERE d.endpoint = ?1 AND d.is_retry = {is_retry} AND d.due > ?2 AND d.state = 'pending' AND NOT (
        d.overtaken_at IS NULL AND EXISTS (
            SELECT 1 FROM deliveries AS o
            WHERE o.endpoint = d.endpoint AND o.gateway = d.gateway AND o.session_id = d.session_id
              AND o.finished_at IS NULL AND o.overtaken_at > ?2
        )
    )
"""
RETRIES_FIRST = f"{LATER.format(is_retry=1)} UNION ALL {LATER.format(is_retry=0)} LIMIT ?3"
WAIT_AGAIN = """
    UPDATE deliveries SET due = NULL
    WHERE endpoint = ? AND gateway = ? AND session_id = ? AND finished_at IS NULL AND overtaken_at IS NULL
      AND due IS NOT NULL
"""
HURRY = """
    UPDATE deliveries SET due = ?1, budget_start = attempts,
        overtaken_at = CASE WHEN ?2 THEN NULL ELSE overtaken_at END
    WHERE id = ?3
"""


class _Later(NamedTuple):
    """`is_first`: it was to be overtaken later, and nothing has gone past it."""

    delivery_id: int
    gateway: str
    session_id: str
    is_first: int | None


class Hurry:
    """The deliveries of one connection."""

    def __init__(self, connection: apsw.Connection, *, wall: Callable[[], UnixMs]) -> None:
        self._connection = connection
        self._wall = wall

    def slices(self, asked: Sequence[tuple[str, int]]) -> list[int]:
        """A kind of write: of each endpoint at most so many are due now that were not; how many."""
        return [self._hurry(endpoint, most, self._wall()) for endpoint, most in asked]

    def _hurry(self, endpoint: str, most: int, now: UnixMs) -> int:
        found = list(map(_Later._make, self._connection.execute(RETRIES_FIRST, (endpoint, now, most))))
        first = [(endpoint, one.gateway, one.session_id) for one in found if one.is_first]
        self._connection.executemany(WAIT_AGAIN, first)
        self._connection.executemany(HURRY, [(now, bool(one.is_first), one.delivery_id) for one in found])
        return len(found)
