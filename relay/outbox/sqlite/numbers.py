"""Every session's last number, of which the recently active ones are remembered between commits.

A remembered session is a single write by its row; found by its name it is four times as dear. Runs inside the
writer's transaction; `forget` whatever may no longer be as remembered: after a rollback, after rows were deleted.
"""

from typing import NamedTuple

import apsw

from relay.core.indicator import SessionKey
from relay.core.moments import UnixMs
from relay.outbox.sqlite.tally import Row

REMEMBERED_SESSIONS = 16_384

FIRST = """
    INSERT INTO sessions (gateway, session_id, guest_id, source, state, sequence, changed_at)
    VALUES (?1, ?2, ?3, ?4, coalesce(?5, 'typing_stopped'), ?6, ?7)
    ON CONFLICT (gateway, session_id) DO UPDATE SET
        guest_id = coalesce(excluded.guest_id, guest_id), source = coalesce(nullif(excluded.source, ''), source),
        state = coalesce(?5, state), sequence = sequence + ?6, changed_at = ?7
    RETURNING id, sequence
"""
NEXT = """
    UPDATE sessions SET guest_id = coalesce(?2, guest_id), source = coalesce(nullif(?3, ''), source),
        state = coalesce(?4, state), sequence = ?5, changed_at = ?6
    WHERE id = ?1
"""


class Step(NamedTuple):
    """A session moves on by so many `numbers`. What is None, or empty, stays as it was."""

    key: SessionKey
    guest_id: str | None
    source: str
    state: str | None
    numbers: int


class Numbers:
    """The sessions of one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._known: dict[SessionKey, tuple[int, int]] = {}  # its row, its last number
        self._changed: list[Row] = []

    def take(self, step: Step, now: UnixMs) -> int:
        """The session's number after this step. It is written when `write` is called, before the commit."""
        known = self._known.pop(step.key, None)
        if known is None:
            row_id, number = self._first(step, now)
        else:
            row_id, number = known[0], known[1] + step.numbers
            self._changed.append((row_id, step.guest_id, step.source, step.state, number, now))
        self._known[step.key] = (row_id, number)  # at the end: the first are the longest unused
        return number

    def write(self) -> None:
        changed, self._changed = self._changed, []
        if changed:
            self._connection.executemany(NEXT, changed)
        # Only now: a session dropped before its change was written would be read with its old number.
        while len(self._known) > REMEMBERED_SESSIONS:
            del self._known[next(iter(self._known))]

    def forget(self) -> None:
        self._known.clear()
        self._changed.clear()

    def _first(self, step: Step, now: UnixMs) -> tuple[int, int]:
        row = (*step.key, step.guest_id, step.source, step.state, step.numbers, now)
        ((row_id, number),) = self._connection.execute(FIRST, row)
        return row_id, number
