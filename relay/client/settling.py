"""What an answer means for each thing that was told: done, to be told again, or not to be told any more.

taken    ──► its figures; an open run rests until its heartbeat
away     ──► back to the front of what waits, unless it is too old by then
unusable ──► out with the events the relay names; nothing was applied, so the rest goes again
crowded  ──► the same: what goes on in sessions that are alive must not wait until there is room for another
refused  ──► dropped; an open run is tried again in place of its heartbeat
"""

from collections.abc import Iterator
from dataclasses import dataclass

from relay.client.answers import Answer, Fault, Trouble
from relay.client.runs import Known, Run, Runs
from relay.client.waiting import Entry, Letter, Taken, Waiting
from relay.core.moments import Ms


@dataclass(slots=True)
class Counts:
    """Events since the start. `dropped` ones were too old or too many, or over before a relay that took nothing could
    be told; `refused` ones the relay would not have."""

    taken: int = 0
    dropped: int = 0
    refused: int = 0


class Settling:
    """Puts each entry of a parcel where its answer sends it."""

    def __init__(self, waiting: Waiting, runs: Runs, counts: Counts) -> None:
        self._waiting = waiting
        self._runs = runs
        self._counts = counts

    def settle(self, taken: Taken, answer: Answer, *, is_new: bool, gate_at: Ms) -> None:
        trouble = answer.trouble
        if trouble is None:
            for entry, events in taken.parcel:
                self._taken(entry, answer, len(events), is_new=is_new)
        elif trouble.fault is Fault.AWAY:
            for entry, _ in reversed(taken.parcel):
                self._again(entry, answer, gate_at)
        elif trouble.fault is not Fault.REFUSED and len(taken.parcel) > 1:
            self._sort_out(taken, answer, trouble)
        else:
            for entry, events in taken.parcel:
                self._refused(entry, answer, len(events))

    def _taken(self, entry: Entry, answer: Answer, events: int, *, is_new: bool) -> None:
        self._counts.taken += events
        tell(entry, answer)
        if isinstance(entry, Letter):
            return
        entry.was_taken = True
        if not entry.is_open:
            entry.is_end_told = entry.is_end_said  # else it was left while its beginning was on its way
            return
        entry.is_alone = False
        if is_new and entry.known is Known.SURELY:  # it was a heartbeat
            entry.known = Known.PERHAPS
            self._waiting.mark(entry)
        else:
            entry.known = Known.SURELY
            self._runs.rest(entry)

    def _again(self, entry: Entry, answer: Answer, gate_at: Ms) -> None:
        if isinstance(entry, Run) and entry.known is Known.SURELY:
            entry.known = Known.PERHAPS
        if entry.expires_at <= gate_at:
            self.lose(entry, answer)
        else:
            self._waiting.put_back(entry)

    def _refused(self, entry: Entry, answer: Answer, events: int) -> None:
        self._counts.refused += events
        tell(entry, answer)
        if isinstance(entry, Letter):
            self._resume(entry)
        else:
            entry.known = Known.PERHAPS if entry.was_taken else Known.NOTHING
            entry.is_over |= answer.trouble is not None and answer.trouble.fault is Fault.UNUSABLE
            self._runs.rest(entry)

    def _sort_out(self, taken: Taken, answer: Answer, trouble: Trouble) -> None:
        """Nothing of the request was applied. Without the events it names the rest goes again; if it names none
        of ours, each by itself."""
        named = set(_indices(trouble))
        good: list[Entry] = []
        position = 0
        for entry, events in taken.parcel:
            if named.isdisjoint(range(position, position + len(events))):
                good.append(entry)
            else:
                self._refused(entry, answer, len(events))
            position += len(events)
        is_nobody = len(good) == len(taken.parcel)
        for entry in reversed(good):
            entry.is_alone = entry.is_alone or is_nobody
            self._waiting.put_back(entry)

    def lose(self, entry: Entry, answer: Answer) -> None:
        self._counts.dropped += len(entry.written) if isinstance(entry, Letter) else 1
        tell(entry, answer)
        if isinstance(entry, Letter):
            self._resume(entry)

    def _resume(self, letter: Letter) -> None:
        """The work goes on, and the guest has seen no message."""
        for run in letter.ended:
            if self._runs.resume(run):
                self._waiting.mark(run)


def tell(entry: Entry, answer: Answer) -> None:
    while entry.on_answer:
        entry.on_answer.pop()(answer)


def _indices(trouble: Trouble) -> Iterator[int]:
    firsts = (place.partition(".")[0] for place, _ in trouble.problems)
    return (int(first) for first in firsts if first.isdecimal())
