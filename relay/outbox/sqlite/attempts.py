"""The attempts' log is bounded by age and by bytes, and never loses a row of a delivery that is still alive.

A hand goes round the log in the order its events were recorded, a slice at a time. Past the bytes it starts with the
oldest. Inside the bytes the last attempt of a delivery stays as long as the delivery: a dead letter says why it died.
Runs inside the writer's transaction.
"""

from collections.abc import Iterator, Sequence

import apsw

from relay.core.moments import UnixMs
from relay.outbox.sqlite.drop import SLICE_ROWS
from relay.outbox.sqlite.tally import ATTEMPT_ROW_BYTES, Row, Tally

NEXT = """
    SELECT a.delivery, a.number, a.started_at, length(a.excerpt), d.finished_at IS NULL, a.number = d.attempts
    FROM attempts a JOIN deliveries d ON d.id = a.delivery
    WHERE (a.delivery, a.number) > (?, ?) ORDER BY a.delivery, a.number LIMIT ?
"""
FORGET = "DELETE FROM attempts WHERE delivery = ? AND number = ?"
OLDEST = (0, 0)


class AttemptLog:
    """Sweeps one connection's attempts."""

    def __init__(
        self, connection: apsw.Connection, tally: Tally, *, keep_ms: UnixMs, keep_bytes: int
    ) -> None:
        self._connection = connection
        self._tally = tally
        self._keep_ms = keep_ms
        self._keep_bytes = keep_bytes
        self._hand = OLDEST
        self._was_over = False

    def sweep(self, now: UnixMs) -> int:
        """How many of one slice went; a whole slice where more should go at once."""
        if self._is_over and not self._was_over:
            self._hand = OLDEST
        self._was_over = self._is_over
        rows: list[Row] = self._connection.execute(NEXT, (*self._hand, SLICE_ROWS)).fetchall()
        self._hand = OLDEST if len(rows) < SLICE_ROWS else (rows[-1][0], rows[-1][1])
        gone = list(self._going(rows, now - self._keep_ms))
        self._connection.executemany(FORGET, gone)
        return SLICE_ROWS if gone and self._is_over else len(gone)

    @property
    def _is_over(self) -> bool:
        return self._tally.attempts_bytes > self._keep_bytes

    def _going(self, rows: Sequence[Row], until: UnixMs) -> Iterator[tuple[int, int]]:
        """Counts each out as it names it, so that no more go than must."""
        for delivery, number, started_at, excerpt_bytes, is_live, is_last in rows:
            is_due = self._is_over or (started_at <= until and not is_last)
            if is_due and not is_live:
                self._tally.attempts_bytes -= ATTEMPT_ROW_BYTES + excerpt_bytes
                yield delivery, number
