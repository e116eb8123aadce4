"""How much more may wait for receivers: by rows, and by the bytes of the bodies that have yet to be delivered.

Exact, because one thread writes and the tally is in step with each write. A body counts once for each endpoint it
waits for. The event that passes `max_bytes` is the last one taken.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

from relay.errors import OutboxFull
from relay.outbox.sqlite.tally import Tally


class Limit(StrEnum):
    """Which limit is reached; a metric label."""

    ROWS = "rows_full"
    BYTES = "bytes_full"


@dataclass(frozen=True, slots=True)
class Limits:
    rows: int
    body_bytes: int

    def words(self, limit: Limit) -> str:
        """What is seen and what to do, for the refused and for readiness."""
        held = (
            f"{self.rows} undelivered rows" if limit is Limit.ROWS else f"{self.body_bytes} undelivered bytes"
        )
        setting = "outbox.max_rows" if limit is Limit.ROWS else "outbox.max_bytes"
        return f"the outbox holds {held}, its limit: mend the endpoint behind, purge dead letters, or raise {setting}"


class NoRoom(OutboxFull):
    """A limit refused this fact; its session's number was used up in the same commit."""

    def __init__(self, message: str, limit: Limit) -> None:
        super().__init__(message)
        self.limit = limit


class Shortage(NamedTuple):
    """What was refused last: this many rows, for this limit."""

    limit: Limit
    rows: int


@dataclass(slots=True)
class Room:
    """What is left under the limits; below zero after a limit was lowered."""

    rows: int
    body_bytes: int

    @classmethod
    def left(cls, limits: Limits, tally: Tally) -> Self:
        return cls(limits.rows - tally.depth, limits.body_bytes - tally.body_bytes)

    def lacks(self, rows: int) -> Limit | None:
        """The limit that forbids so many rows more; None where there is room for them."""
        if rows > self.rows:
            return Limit.ROWS
        return Limit.BYTES if self.body_bytes <= 0 else None
