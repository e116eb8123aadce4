"""What waits to be told: bounded, in order for each session, what is late falls out.

    put ──► [ letter, run, letter … ] ──take──► on its way ──┬─ release     (answered)
                    ▲                                        └─ put_back    (to be tried again)
                    └────────────────────────────────────────┘

Sessions overtake each other, their events do not: while something of a session is on its way, the rest of it waits.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from relay.client.answers import Answer
from relay.client.runs import Run
from relay.core.moments import Ms

MOST_TOGETHER = 100
MOST_ALONE = 3
"""On their way at once, one request less than a client has: those who wait for answers of their own, however many and
however patient, keep back no heartbeat until its lease is over, and no end until it is late."""

MOST_RUNS = 20_000
"""Twice the runs that may be open: those that have ended meanwhile are there to be told so."""


@dataclass(slots=True, eq=False)
class Letter:
    """Events that go together, worth sending until `expires_at`.

    `is_alone` ones get a request, and so an answer, of their own; `on_answer` are told of it.
    """

    written: Sequence[bytes]
    sessions: frozenset[str]
    expires_at: Ms
    is_ending: bool
    is_alone: bool = False
    on_answer: list[Callable[[Answer], None]] = field(default_factory=list)
    ended: Sequence[Run] = ()
    """The open runs it ends, once it is taken."""

    def composed(self, _now: Ms) -> Sequence[bytes]:
        return self.written


Entry = Letter | Run


class Taken(NamedTuple):
    """What may go now, each with what it says; and what has become too old to go at all."""

    parcel: list[tuple[Entry, Sequence[bytes]]]
    expired: list[Entry]

    def told(self) -> list[bytes]:
        return [event for _, events in self.parcel for event in events]


class Waiting:
    """Never holds more than `most` letters: of a full one the oldest that ends nothing falls out."""

    def __init__(self, *, most: int, most_runs: int = MOST_RUNS) -> None:
        self._most = most
        self._most_runs = most_runs
        self._entries: OrderedDict[Entry, None] = OrderedDict()
        self._letters = 0
        self._busy: set[str] = set()
        self._alone = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, letter: Letter) -> Letter | None:
        """The letter that had to give way, if one had to."""
        crowded_out = self._least() if self._letters >= self._most else None
        if crowded_out is not None:
            self.drop(crowded_out)
        self._entries[letter] = None
        self._letters += 1
        return crowded_out

    def mark(self, run: Run) -> Run | None:
        """There is something to say of this run; what, is decided when it goes.

        Returns the ended run that had to give way, if one had to: open ones are bounded by `Runs`.
        """
        self._entries[run] = None
        self._entries.move_to_end(run)
        if len(self._entries) - self._letters <= self._most_runs:
            return None
        ended = (one for one in self._entries if isinstance(one, Run) and not one.is_open)
        crowded_out = next(ended, None)
        if crowded_out is not None:
            self.drop(crowded_out)
        return crowded_out

    def drop(self, entry: Entry) -> bool:
        """Whether it did wait."""
        if entry not in self._entries:
            return False
        del self._entries[entry]
        self._letters -= isinstance(entry, Letter)
        return True

    def emptied(self) -> list[Entry]:
        """All that waited."""
        entries = list(self._entries)
        self._entries.clear()
        self._letters = 0
        return entries

    def take(self, now: Ms) -> Taken:
        """Takes out what may go in one request; `release` or `put_back` it afterwards."""
        taken = Taken([], [])
        passed = set(self._busy)
        size = 0
        for entry in list(self._entries):
            if entry.expires_at <= now:
                taken.expired.append(entry)
                continue
            if not passed.isdisjoint(entry.sessions) or (entry.is_alone and self._alone >= MOST_ALONE):
                passed |= entry.sessions
                continue
            if size and (entry.is_alone or size >= MOST_TOGETHER):
                break
            events = entry.composed(now)
            taken.parcel.append((entry, events))
            size += len(events)
            if entry.is_alone:
                break
        for entry in [*taken.expired, *(entry for entry, _ in taken.parcel)]:
            self.drop(entry)
        for entry, _ in taken.parcel:
            self._busy |= entry.sessions
            self._alone += entry.is_alone
        return taken

    def release(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._busy -= entry.sessions
            self._alone -= entry.is_alone

    def put_back(self, entry: Entry) -> None:
        """To the front; several in reverse of their order. A run that was marked meanwhile stays where it is."""
        if entry in self._entries:
            return
        self._entries[entry] = None
        self._entries.move_to_end(entry, last=False)
        self._letters += isinstance(entry, Letter)

    def _least(self) -> Letter | None:
        letters = [entry for entry in self._entries if isinstance(entry, Letter)]
        return next((one for one in letters if not one.is_ending), letters[0] if letters else None)
