"""What is past its time goes, a slice at a time, so that no sweep ever holds up a commit.

Never a delivery that is still alive, and never an event one of whose deliveries is kept. Runs inside the writer's
transaction.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import apsw

from relay.core.delivery import LIVE, State
from relay.core.moments import UnixMs
from relay.outbox.sqlite.attempts import AttemptLog
from relay.outbox.sqlite.drop import SLICE_ROWS, drop
from relay.outbox.sqlite.endings import COLUMNS, Endings
from relay.outbox.sqlite.numbers import Numbers
from relay.outbox.sqlite.purge import Purge
from relay.outbox.sqlite.tally import Row, Tally

SESSION_KEPT_MS = 24 * 3_600_000
"""How long a stopped session's number goes on counting; one that returns later begins at 1 again."""

ENDED = tuple(state for state in State if state not in LIVE)
OLDEST = "SELECT id FROM deliveries WHERE state = ? AND finished_at <= ? ORDER BY finished_at LIMIT ?"
CANCEL = """
    UPDATE deliveries SET state = 'cancelled', due = NULL, finished_at = ?1
    WHERE id IN (SELECT id FROM deliveries WHERE endpoint = ?2 AND finished_at IS NULL AND state = 'pending' LIMIT ?3)
    RETURNING (SELECT length(body) FROM events WHERE events.id = event)
"""
LEFT_BEHIND = """
    SELECT endpoint, count(*) FROM deliveries INDEXED BY deliveries_lane
    WHERE finished_at IS NULL GROUP BY endpoint ORDER BY endpoint
"""
OVERDUE = f"""
    SELECT {COLUMNS} FROM deliveries d JOIN events e ON e.id = d.event
    WHERE d.id BETWEEN ? AND ? AND d.state = 'pending' AND e.recorded_at <= ?
"""  # noqa: S608 - columns of our own
# Rows come in the order of their time, but for what was written while the clock was wrong: so a hand goes round these,
# too, or what was stamped years ahead would keep all behind it.
NEXT_AUDIT = "SELECT id, at FROM audit WHERE id > ? ORDER BY id LIMIT ?"
FORGET_AUDIT = "DELETE FROM audit WHERE id = ?"
FORGET_SESSIONS = """
    DELETE FROM sessions WHERE id BETWEEN ? AND ? AND state = 'typing_stopped' AND changed_at <= ?
"""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long and how much is kept. `history_rows` bounds what has ended and is no dead letter.

    Attempts are kept as long as what has ended, and the oldest go before that past `attempts_bytes`.
    """

    ended_ms: UnixMs
    dead_letter_ms: UnixMs
    history_rows: int
    audit_ms: UnixMs
    audit_rows: int
    attempts_bytes: int = 268_435_456


def left_behind(connection: apsw.Connection, configured: Collection[str]) -> dict[str, int]:
    """The endpoints nobody sends to any more, each with how many deliveries wait for it."""
    return {name: count for name, count in connection.execute(LEFT_BEHIND) if name not in configured}


class Sweep:
    """Drops one slice of everything at each call."""

    def __init__(
        self,
        connection: apsw.Connection,
        tally: Tally,
        numbers: Numbers,
        endings: Endings,
        purge: Purge,
        *,
        keep: Keep,
        wall: Callable[[], UnixMs],
        unknown: frozenset[str],
    ) -> None:
        """`unknown` endpoints have deliveries that wait and no configuration: nobody claims those."""
        self._connection = connection
        self._tally = tally
        self._numbers = numbers
        self._endings = endings
        self._purge = purge
        self._attempts = AttemptLog(connection, tally, keep_ms=keep.ended_ms, keep_bytes=keep.attempts_bytes)
        self._keep = keep
        self._wall = wall
        self._unknown = unknown
        self._hand = 0
        self._audit_hand = 0
        self._unknown_hand = 0

    def sweep(self, _: Sequence[None]) -> list[bool]:
        """True where some slice was full: there is more to drop."""
        now = self._wall()
        dropped = [
            self._endings.expire(now, SLICE_ROWS),
            *(self._cancel(endpoint, now) for endpoint in sorted(self._tally.disabled)),
            *(self._forget_ended(state, now) for state in ENDED),
            self._forget_history(now),
            self._forget_audit(now),
            self._attempts.sweep(now),
        ]
        self._purge.bury(now)
        self._forget_sessions(now)
        if self._unknown:
            self._cancel_unclaimed(now)
        return [max(dropped) >= SLICE_ROWS]

    def _cancel(self, endpoint: str, now: UnixMs) -> int:
        rows: list[Row] = self._connection.execute(CANCEL, (now, endpoint, SLICE_ROWS)).fetchall()
        self._tally.move(
            State.PENDING,
            State.CANCELLED,
            endpoint,
            rows=len(rows),
            body_bytes=sum(size for (size,) in rows),
        )
        return len(rows)

    def _cancel_unclaimed(self, now: UnixMs) -> None:
        """What nobody has claimed for as long as a dead letter is kept. A hand goes round, as for sessions."""
        first, self._unknown_hand = self._unknown_hand, self._unknown_hand + SLICE_ROWS
        until = now - self._keep.dead_letter_ms
        # Should the endpoint come back, its sessions' later ones go on: none waits for ever behind a cancelled head.
        waiting = self._endings.found(OVERDUE, first, self._unknown_hand, until)
        self._endings.end([one for one in waiting if one.endpoint in self._unknown], State.CANCELLED, now)
        if self._unknown_hand > (self._connection.execute("SELECT max(id) FROM deliveries").get or 0):
            self._unknown_hand = 0

    def _forget_ended(self, state: State, now: UnixMs) -> int:
        kept_ms = self._keep.dead_letter_ms if state is State.EXHAUSTED else self._keep.ended_ms
        return self._forget(state, now - kept_ms, SLICE_ROWS)

    def _forget_history(self, now: UnixMs) -> int:
        """Past the bound the oldest of the most numerous state go, whatever their age."""
        history = {state: self._tally.by_state[state] for state in ENDED if state is not State.EXHAUSTED}
        excess = sum(history.values()) - self._keep.history_rows
        if excess <= 0:
            return 0
        return self._forget(max(history, key=history.__getitem__), now, min(excess, SLICE_ROWS))

    def _forget(self, state: State, until: UnixMs, most: int) -> int:
        rows: list[Row] = self._connection.execute(OLDEST, (state.value, until, most)).fetchall()
        return drop(self._connection, self._tally, [delivery for (delivery,) in rows]).deliveries

    def _forget_audit(self, now: UnixMs) -> int:
        excess = self._tally.audit_rows - self._keep.audit_rows
        if excess > 0:
            oldest: list[Row] = self._connection.execute(NEXT_AUDIT, (0, min(excess, SLICE_ROWS))).fetchall()
            return self._drop_audit([row_id for row_id, _ in oldest])
        rows: list[Row] = self._connection.execute(NEXT_AUDIT, (self._audit_hand, SLICE_ROWS)).fetchall()
        self._audit_hand = rows[-1][0] if len(rows) == SLICE_ROWS else 0
        return self._drop_audit([row_id for row_id, at in rows if at <= now - self._keep.audit_ms])

    def _drop_audit(self, rows: Sequence[int]) -> int:
        self._connection.executemany(FORGET_AUDIT, [(row_id,) for row_id in rows])
        self._tally.audit_rows -= len(rows)
        return len(rows)

    def _forget_sessions(self, now: UnixMs) -> None:
        """A hand goes round the table a slice at a time: no index, and so nothing to pay at each transition."""
        first, self._hand = self._hand, self._hand + SLICE_ROWS
        self._connection.execute(FORGET_SESSIONS, (first, self._hand, now - SESSION_KEPT_MS))
        if self._connection.changes():
            self._numbers.forget()
        last = self._connection.execute("SELECT max(id) FROM sessions").get or 0
        if self._hand > last:
            self._hand = 0
