"""The file behind the writer: transactions that happen whole or not at all, and everything that is written in them.

But for its making, `committed` and `recorder.trouble`, it belongs to the writer's thread.
"""

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from relay.core.delivery import Filter
from relay.core.moments import UnixMs
from relay.core.terms import Terms
from relay.outbox.sqlite.aftermath import Aftermath
from relay.outbox.sqlite.append import Recorder
from relay.outbox.sqlite.checkpoint import Checkpoints
from relay.outbox.sqlite.endings import Endings
from relay.outbox.sqlite.file import (
    MEDIUM,
    Synchronous,
    closed_on_failure,
    open_for_writing,
    refused,
    translated,
)
from relay.outbox.sqlite.hurry import Hurry
from relay.outbox.sqlite.lanes import Lanes
from relay.outbox.sqlite.numbers import Numbers
from relay.outbox.sqlite.purge import Purge
from relay.outbox.sqlite.replays import Replays
from relay.outbox.sqlite.room import Limits
from relay.outbox.sqlite.roster import Roster
from relay.outbox.sqlite.standings import Standings
from relay.outbox.sqlite.sweep import Keep, Sweep, left_behind
from relay.outbox.sqlite.tally import Tally
from relay.outbox.store import LastLife

ALIVE_UNTIL = "alive_until"
CLEAN_STOP = "clean_stop"
LIFE = "life"
FELL_MS: UnixMs = 5000
"""A mark this far ahead of the clock was written by a clock since set back; it may be two seconds ahead by itself."""

SET_MARK = "INSERT INTO marks VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2"


log = logging.getLogger("relay.outbox")


@dataclass(frozen=True, slots=True)
class Options:
    """How the file is kept. `max_queue` bounds what waits for the writer, `max_rows` and `max_bytes` what waits for
    receivers. `terms` are those of endpoints that are not served as usual.
    """

    path: Path
    filters: Mapping[str, Filter]
    keep: Keep
    max_rows: int
    max_queue: int
    synchronous: Synchronous = "full"
    inline: bool = False
    max_bytes: int = 1_073_741_824
    terms: Mapping[str, Terms] = field(default_factory=dict)


class Ledger:
    """Implements `writer.Ledger`; `recorder`, `lanes` and `sweep` hold the kinds of writes."""

    def __init__(
        self, options: Options, *, wall: Callable[[], UnixMs], new_id: Callable[[UnixMs], str]
    ) -> None:
        """Opens the file, gives back a dead process's leases and reads its last marks. Raises StoreError."""
        self._wall = wall
        self._connection = open_for_writing(options.path, options.synchronous)
        with refused(options.path), closed_on_failure(self._connection):
            self._take_over(options, new_id)

    def _take_over(self, options: Options, new_id: Callable[[UnixMs], str]) -> None:
        wall = self._wall
        self.tally = Tally.count(self._connection)
        marks = dict(self._connection.execute("SELECT name, value FROM marks"))
        self.last_life = _last_life(marks, wall())
        # Counted by lives and not by the clock, which may stand still or step back: no claim comes twice.
        life = marks.get(LIFE, 0) + 1
        self._numbers = Numbers(self._connection)
        self._roster = Roster(options.filters, options.terms)
        endings, limits = Endings(self._connection, self.tally), Limits(options.max_rows, options.max_bytes)
        self.recorder = Recorder(
            self._connection,
            self.tally,
            self._numbers,
            endings,
            roster=self._roster,
            limits=limits,
            new_id=new_id,
            wall=wall,
        )
        self.standings = Standings(self._connection, self.tally, wall=wall)
        self.aftermath = Aftermath(self.recorder, self.standings, self._roster, wall=wall)
        self.purge = Purge(self._connection, self.tally, wall=wall)
        self.lanes = Lanes(
            self._connection,
            self.tally,
            self.aftermath,
            endings,
            self._roster,
            bury=self.purge.bury,
            wall=wall,
            claims=itertools.count(life << 32),
        )
        self.hurry = Hurry(self._connection, wall=wall)
        self.replays = Replays(self._connection, self.tally, self._roster, limits=limits, wall=wall)
        unknown = left_behind(self._connection, options.filters)
        _warn_of(unknown)
        self.sweep = Sweep(
            self._connection,
            self.tally,
            self._numbers,
            endings,
            self.purge,
            keep=options.keep,
            wall=wall,
            unknown=frozenset(unknown),
        )
        with self._connection:
            if (fell_ms := marks.get(ALIVE_UNTIL, 0) - wall()) > FELL_MS:
                self.lanes.clock_fell([fell_ms])
            self.lanes.void_leases([None])
            self.purge.bury(wall())
            self.mark([(CLEAN_STOP, 0), (LIFE, life)])
        self.committed = self.tally.copy()
        self._checkpoints = Checkpoints(self._connection, options.path, inline=options.inline)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except MEDIUM as why:
            self._undo()
            raise translated(why) from why
        except BaseException:
            self._undo()
            raise
        self.committed = self.tally.copy()
        self._checkpoints.after_commit()

    def _undo(self) -> None:
        self.tally.restore(self.committed)
        self._numbers.forget()
        self.standings.forget()
        self.aftermath.forget()
        with contextlib.suppress(apsw.Error):  # a full disk has already undone it
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def idle(self) -> None:
        self._checkpoints.when_idle()

    def mark(self, marks: Sequence[tuple[str, int]]) -> list[None]:
        """A kind of write: named numbers that survive us."""
        self._connection.executemany(SET_MARK, marks)
        return [None] * len(marks)

    def say_goodbye(self, _: Sequence[None]) -> list[None]:
        """A kind of write: nothing is sent any more, as of now."""
        return self.mark([(ALIVE_UNTIL, self._wall()), (CLEAN_STOP, 1)])[:1]

    def close(self) -> None:
        self._checkpoints.close()
        with contextlib.suppress(apsw.Error):  # what is in the log stays there and is read at the next start
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._connection.close()
        self._checkpoints.let_go()


def _warn_of(unknown: Mapping[str, int]) -> None:
    for endpoint, count in unknown.items():
        fields = {
            "endpoint": endpoint,
            "deliveries": count,
            "remedy": "configure an endpoint of this name again and they are sent; if not, each is cancelled "
            "when outbox.dead_letter_days old, and counts in the depth and the oldest pending until then",
        }
        log.warning("outbox.endpoint_unknown", extra={"fields": fields})


def _last_life(marks: Mapping[str, int], now: UnixMs) -> LastLife:
    alive_until = marks.get(ALIVE_UNTIL)
    return LastLife(
        None if alive_until is None else min(alive_until, now), was_clean=marks.get(CLEAN_STOP) == 1
    )
