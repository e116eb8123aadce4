"""What the outbox file holds, counted, so that the depth limits cost no query inside a commit.

Exact because one thread writes: counted once at the start, kept in step by each write, put back by a rollback.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Self

import apsw

from relay.core.delivery import COUNTS_AS_DEPTH, LIVE, State

DISABLED = "SELECT name FROM endpoints WHERE state = 'disabled'"

Row = tuple[Any, ...]  # Any: the STRICT schema types the columns, apsw cannot

ATTEMPT_ROW_BYTES = 64
"""An attempt without its excerpt: key, times, trigger, class."""

ATTEMPTS_BYTES = "SELECT count(*) * ? + coalesce(sum(length(excerpt)), 0) FROM attempts"
HELD = """
    SELECT d.endpoint, count(*), sum(length(e.body)) FROM deliveries d NOT INDEXED JOIN events e ON e.id = d.event
    WHERE d.finished_at IS NULL OR d.state = 'exhausted' GROUP BY d.endpoint
"""


@dataclass(slots=True)
class Tally:
    """`body_bytes` is what the depth weighs, `rows_of` and `bytes_of` what each endpoint has of it; `next_event` the key of the event to come; `disabled` the endpoints
    that get no deliveries. `attempts_bytes` is what the attempts' rows come to; `doomed` are deliveries on their way
    that were purged. `ended` and `shed` count since the start, the rest counts what the file holds.
    """

    by_state: Counter[State] = field(default_factory=Counter)
    body_bytes: int = 0
    rows_of: Counter[str] = field(default_factory=Counter)
    bytes_of: Counter[str] = field(default_factory=Counter)
    audit_rows: int = 0
    attempts_bytes: int = 0
    doomed: frozenset[int] = frozenset()
    next_event: int = 1
    disabled: frozenset[str] = frozenset()
    ended: Counter[State] = field(default_factory=Counter)
    shed: int = 0

    @classmethod
    def count(cls, connection: apsw.Connection) -> Self:
        held: list[Row] = connection.execute(HELD).fetchall()
        states = connection.execute("SELECT state, count(*) FROM deliveries GROUP BY state")
        return cls(
            by_state=Counter({State(state): count for state, count in states}),
            body_bytes=sum(size for _, _, size in held),
            rows_of=Counter({name: rows for name, rows, _ in held}),
            bytes_of=Counter({name: size for name, _, size in held}),
            audit_rows=connection.execute("SELECT count(*) FROM audit").get,
            attempts_bytes=connection.execute(ATTEMPTS_BYTES, (ATTEMPT_ROW_BYTES,)).get,
            doomed=frozenset(delivery for (delivery,) in connection.execute("SELECT delivery FROM doomed")),
            next_event=1 + (connection.execute("SELECT max(id) FROM events").get or 0),
            disabled=frozenset(name for (name,) in connection.execute(DISABLED)),
        )

    @property
    def depth(self) -> int:
        return sum(self.by_state[state] for state in COUNTS_AS_DEPTH)

    def add(self, state: State, rows: int) -> None:
        """So many new rows; what each of them weighs is told to `hold`."""
        self.by_state[state] += rows
        self._count_end(state, rows)

    def hold(self, endpoint: str, rows: int, body_bytes: int) -> None:
        """So many rows more of it count as depth; fewer, where it is less than none."""
        self.rows_of[endpoint] += rows
        self.bytes_of[endpoint] += body_bytes
        self.body_bytes += body_bytes

    def move(self, before: State, after: State, endpoint: str, *, rows: int = 1, body_bytes: int) -> None:
        """Rows of one endpoint; `body_bytes` is what all of their bodies weigh."""
        self.by_state[before] -= rows
        self.by_state[after] += rows
        comes = (after in COUNTS_AS_DEPTH) - (before in COUNTS_AS_DEPTH)
        if comes:
            self.hold(endpoint, comes * rows, comes * body_bytes)
        self._count_end(after, rows)

    def drop(self, state: State, endpoint: str, *, body_bytes: int) -> None:
        """One row is gone from the file, as if it had never been."""
        self.by_state[state] -= 1
        if state in COUNTS_AS_DEPTH:
            self.hold(endpoint, -1, -body_bytes)

    def _count_end(self, state: State, rows: int) -> None:
        if state not in LIVE:
            self.ended[state] += rows

    def copy(self) -> Self:
        return replace(
            self,
            by_state=self.by_state.copy(),
            rows_of=self.rows_of.copy(),
            bytes_of=self.bytes_of.copy(),
            ended=self.ended.copy(),
        )

    def restore(self, earlier: Self) -> None:
        """Back to a copy taken before a transaction that was undone."""
        self.by_state = earlier.by_state.copy()
        self.body_bytes = earlier.body_bytes
        self.rows_of, self.bytes_of = earlier.rows_of.copy(), earlier.bytes_of.copy()
        self.audit_rows = earlier.audit_rows
        self.attempts_bytes = earlier.attempts_bytes
        self.doomed = earlier.doomed
        self.next_event = earlier.next_event
        self.disabled = earlier.disabled
        self.ended = earlier.ended.copy()
        self.shed = earlier.shed
