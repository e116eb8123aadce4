"""What the outbox file holds, counted, so that the depth limit costs no query inside a commit.

Exact because one thread writes: counted once at the start, kept in step by each write, put back by a rollback.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Self

import apsw

from relay.core.delivery import COUNTS_AS_DEPTH, State

Row = tuple[Any, ...]  # Any: the STRICT schema types the columns, apsw cannot

ATTEMPT_ROW_BYTES = 64
"""An attempt without its excerpt: key, times, trigger, class."""

ATTEMPTS_BYTES = "SELECT count(*) * ? + coalesce(sum(length(excerpt)), 0) FROM attempts"


@dataclass(slots=True)
class Tally:
    """`next_event` is the key of the event to come; `disabled` the endpoints that get no deliveries.

    `attempts_bytes` is what the attempts' rows come to; `doomed` are deliveries on their way that were purged.
    """

    by_state: Counter[State] = field(default_factory=Counter)
    audit_rows: int = 0
    attempts_bytes: int = 0
    doomed: frozenset[int] = frozenset()
    next_event: int = 1
    disabled: frozenset[str] = frozenset()

    @classmethod
    def count(cls, connection: apsw.Connection) -> Self:
        states = connection.execute("SELECT state, count(*) FROM deliveries GROUP BY state")
        return cls(
            by_state=Counter({State(state): count for state, count in states}),
            audit_rows=connection.execute("SELECT count(*) FROM audit").get,
            attempts_bytes=connection.execute(ATTEMPTS_BYTES, (ATTEMPT_ROW_BYTES,)).get,
            doomed=frozenset(delivery for (delivery,) in connection.execute("SELECT delivery FROM doomed")),
            next_event=1 + (connection.execute("SELECT max(id) FROM events").get or 0),
            disabled=frozenset(name for (name,) in connection.execute("SELECT name FROM endpoints")),
        )

    @property
    def depth(self) -> int:
        return sum(self.by_state[state] for state in COUNTS_AS_DEPTH)

    def move(self, before: State, after: State) -> None:
        self.by_state[before] -= 1
        self.by_state[after] += 1

    def copy(self) -> Self:
        return replace(self, by_state=self.by_state.copy())

    def restore(self, earlier: Self) -> None:
        """Back to a copy taken before a transaction that was undone."""
        self.by_state = earlier.by_state.copy()
        self.audit_rows = earlier.audit_rows
        self.attempts_bytes = earlier.attempts_bytes
        self.doomed = earlier.doomed
        self.next_event = earlier.next_event
        self.disabled = earlier.disabled
