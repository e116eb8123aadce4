"""A trace through the machine on a virtual clock, and what a guest would have seen of it.

The machine is the relay's own core; the platform answers at once and never fails. So the figures are the
machine's alone: how many calls a stretch of writing costs, how often the indicator lapses while somebody
writes, how late it starts and how long it haunts.

Runs are the keys split at gaps over min(D, P + m), the longest pause the machine promises to bridge. Visible
means typing or paused shown; a lapse is darkness inside a run after it was shown; late means a run
of more than one key starts dark (with a network between: for longer than it may take); the ghost is what stays visible after a run's last key.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor

from relay.core.activity import Activity, Kind
from relay.core.indicator import Address, Cause, Indicator
from relay.core.moments import Ms
from relay.core.outcome import Shown
from relay.core.pacer import Pacer, reach_of
from relay.core.session import Change, Session
from relay.core.settling import send, settle
from relay.core.timings import Timings

_ADDRESS = Address("00000000-0000-4000-8000-000000000000", "guest")


@dataclass(frozen=True, slots=True)
class Call:
    """One accepted broadcast: what, when, and for how long it is displayed; `cause` None where nobody said."""

    at: Ms
    indicator: Indicator
    duration_ms: int
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Calls, lapses, late starts and ghost together: a low count alone can be bought with darkness."""

    keys: int
    calls: int
    by_indicator: dict[str, int]
    runs: int
    lapses: int
    late_starts: int
    dark_share: float
    ghost_mean_ms: float
    ghost_max_ms: float
    fewest_clairvoyant: int
    fewest_online: int


@dataclass(slots=True)
class Machine:
    """One session on a virtual clock, driven key by key."""

    timings: Timings
    calls: list[Call] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        reach = reach_of(self.timings.stop_mode, shows_paused=True, can_stop=True, message_clears=False)
        key = ("guest", _ADDRESS.session_id)
        self.session = Session(key, _ADDRESS, "replay", self.timings, reach, Pacer())

    def key(self, at: Ms) -> None:
        self.run_until(at)
        typed = Activity("guest", _ADDRESS, "replay", "writer", Kind.KEYSTROKE)
        self.session.observe(typed, at, self.changes)
        self._tell(at)

    def run_until(self, end: Ms) -> None:
        """Serve every deadline before `end`."""
        now = self.session.touched
        while (due := self.session.next_deadline(now)) < end:
            if due >= self.session.rests_at():
                return
            now = due
            self.session.lapse(now, self.changes)
            self._tell(now)

    def _tell(self, now: Ms) -> None:
        wish = self.session.wish(now)
        if wish is None:
            return
        pacer, timings = self.session.pacer, self.timings
        send(pacer, wish, now, timings, jitter=0.0)
        settle(pacer, Shown(200, 0.0), now, timings, self.session.reach, jitter=0.0)
        self.calls.append(Call(now, wish.indicator, wish.duration_ms, wish.cause))


def replay(keys: Sequence[Ms], timings: Timings) -> Figures:
    """The figures of a whole trace; `keys` are ascending milliseconds."""
    machine = Machine(timings)
    for at in keys:
        machine.key(at)
    machine.run_until(keys[-1] + 10 * timings.stop_after_ms)
    return measure(keys, machine.calls, timings)


def measure(
    keys: Sequence[Ms], calls: Sequence[Call], timings: Timings, *, late_after_ms: Ms = 0.0
) -> Figures:
    """What a guest saw of these calls while these keys were pressed; late is what starts over `late_after_ms` dark."""
    spans = visible_spans(calls)
    runs = split_runs(keys, float(min(timings.duration_ms, timings.pause_after_ms + timings.margin_ms)))
    next_keys = [*(first for first, _ in runs[1:]), float("inf")]
    seen = [
        _Seen.of(*run, spans, next_key, late_after_ms) for run, next_key in zip(runs, next_keys, strict=True)
    ]
    written = sum(last - first for first, last in runs)
    spans_d = [(last - first) / timings.duration_ms for first, last in runs]
    return Figures(
        keys=len(keys),
        calls=len(calls),
        by_indicator=dict(Counter(call.indicator.value for call in calls)),
        runs=len(runs),
        lapses=sum(one.lapses for one in seen),
        late_starts=sum(one.is_late for one in seen),
        dark_share=sum(one.dark_ms for one in seen) / written if written else 0.0,
        ghost_mean_ms=sum(one.ghost_ms for one in seen) / len(seen),
        ghost_max_ms=max(one.ghost_ms for one in seen),
        fewest_clairvoyant=sum(floor(span) + 1 for span in spans_d),
        fewest_online=sum(ceil(span) + 1 if span else 1 for span in spans_d),
    )


def split_runs(keys: Sequence[Ms], longest_gap: Ms) -> list[tuple[Ms, Ms]]:
    """(first key, last key) of each stretch without a gap over `longest_gap`."""
    runs: list[tuple[Ms, Ms]] = []
    first = last = keys[0]
    for at in keys[1:]:
        if at - last > longest_gap:
            runs.append((first, last))
            first = at
        last = at
    return [*runs, (first, last)]


def visible_spans(calls: Sequence[Call]) -> list[tuple[Ms, Ms]]:
    """Disjoint half-open [from, until) stretches in which something was shown."""
    spans: list[tuple[Ms, Ms]] = []
    for call in calls:
        shown_until = call.at if call.indicator is Indicator.STOPPED else call.at + call.duration_ms
        if spans and call.at <= spans[-1][1]:
            spans[-1] = (spans[-1][0], shown_until)
        elif shown_until > call.at:
            spans.append((call.at, shown_until))
    return spans


@dataclass(frozen=True, slots=True)
class _Seen:
    lapses: int
    is_late: bool
    dark_ms: Ms
    ghost_ms: Ms

    @classmethod
    def of(
        cls, first: Ms, last: Ms, spans: Sequence[tuple[Ms, Ms]], next_key: Ms, late_after_ms: Ms
    ) -> "_Seen":
        inside = [(a, b) for a, b in spans if b > first and a <= last]
        if not inside:
            return cls(0, is_late=last > first, dark_ms=last - first, ghost_ms=0.0)
        lit = sum(min(b, last) - max(a, first) for a, b in inside)
        ends_dark = inside[-1][1] <= last and last > first
        return cls(
            lapses=len(inside) - 1 + (ends_dark and inside[-1][1] < last),
            is_late=first < last and inside[0][0] > first + late_after_ms,
            dark_ms=max(0.0, last - first - lit),
            ghost_ms=max(0.0, min(inside[-1][1], next_key) - last),
        )
