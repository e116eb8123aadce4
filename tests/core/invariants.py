"""The machine's promises, each a check of the diary one `Machine` leaves; the formula stands above the code.

Letters: I interval, D display, R refresh, P pause, S stop, g the wheel's tick, L one way to the platform and
RTT there and back. `EVERYWHERE` holds whatever the platform does; the rest says what it presupposes.
Everything is read from what was sent, answered and put in, never from what the pacer believes.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from relay.core.activity import Kind
from relay.core.actor import State
from relay.core.engagement import Reason
from relay.core.indicator import Indicator
from relay.core.moments import NEVER, Ms
from relay.core.outcome import Expired, Held, Refused
from relay.core.timings import MUTE_MS, TICK_MS
from tests.core.diary import Cleared, Crashed, Entry, Freed, Sent, Told
from tests.core.machine import Machine

TYPING, PAUSED, STOPPED = Indicator.TYPING, Indicator.PAUSED, Indicator.STOPPED
Check = Callable[[Machine], None]
EPSILON_MS: Ms = 1e-6


def rate(m: Machine) -> None:
    """1: sent(n+1) >= done(n) + I; with a limit N a minute, sent(n+N) >= done(n) + 60 s within one process.

    A 401 whose token was just renewed showed nothing and is repeated at once; what was held was no call. A crashed process's request has
    no completion: the successor waits from the crash.
    """
    calls = [s for s in m.sent if not isinstance(s.answer.outcome, Expired | Held)]
    for one, following in pairwise(calls):
        if one.done_at is not None:
            assert following.at >= one.done_at + m.timings.min_interval_ms - EPSILON_MS, (one, following)
    limit = m.timings.max_per_minute
    for one, later in zip(calls, calls[limit or len(calls) :], strict=False):
        assert (
            one.done_at is None or one.life != later.life or later.at >= one.done_at + 60_000 - EPSILON_MS
        ), (one, later)


def arrivals(m: Machine) -> None:
    """1: arrival(n+1) >= arrival(n) + I, where an aborted request is applied within `late_ms` or not at all."""
    times = [s.arrives_at for s in m.sent if s.arrives_at is not None]
    for one, following in pairwise(times):
        assert following >= one + m.timings.min_interval_ms - EPSILON_MS, (one, following)


def restart(m: Machine) -> None:
    """1, 13: after a crash nothing is sent before last sign of life + the longer of request timeout and `late_ms` + I."""
    for crash in (entry for entry in m.diary if isinstance(entry, Crashed)):
        after = [s.at for s in m.sent if s.at > crash.at]
        assert not after or after[0] >= crash.gate_at, (crash, after[0])


def cool_off_honoured(m: Machine) -> None:
    """1: sent(n+1) >= done(n) + max(I, Retry-After) after a 429, within one process."""
    for one, following in pairwise(m.sent):
        wait_ms = getattr(one.answer.outcome, "wait_ms", None)
        if one.done_at is not None and wait_ms and one.life == following.life:
            assert following.at >= one.done_at + wait_ms - EPSILON_MS, (one, following)


def mute_honoured(m: Machine) -> None:
    """MUTE: a session the platform refused is left alone for 60 s, within one process."""
    for one, following in pairwise(m.sent):
        if isinstance(one.answer.outcome, Refused) and one.done_at is not None and one.life == following.life:
            assert following.at >= one.done_at + MUTE_MS, (one, following)


def single_flight(m: Machine) -> None:
    """2: sent(n+1) >= done(n); one process never has two in flight."""
    for one, following in pairwise(m.sent):
        if one.life == following.life:
            assert one.done_at is not None, (one, following)
            assert following.at >= one.done_at, (one, following)


def no_phantom(m: Machine) -> None:
    """3, 16: what is sent is what the public actors add up to at that instant (direct orders aside)."""
    for sent in m.sent:
        assert sent.is_direct or sent.indicator is sent.desired, sent


def leading_edge(m: Machine) -> None:
    """4: gate open and desired becomes typing => on the wire at that instant (a timer's: within g).

    The gate is open where the last call was accepted I ago and nothing is in flight. Not where a typing is
    shown already: then there is nothing to tell.
    """
    for told in m.changes:
        if told.change.state is TYPING and told.may_send and not _shows_typing(m, told):
            late = TICK_MS if told.change.reason is Reason.THINKING else 0
            at = told.change.at
            if late and any(at < other.change.at <= at + late for other in m.changes):
                continue  # over before the tick that would have shown it
            assert any(s.indicator is TYPING and at <= s.at <= at + late for s in m.sent), told


def _shows_typing(m: Machine, told: Told) -> bool:
    """An accepted typing is on display at that instant, as far as its sender can know."""
    shown_until = -NEVER
    for entry in m.diary[: told.known]:
        if isinstance(entry, Cleared | Crashed):
            shown_until = -NEVER
        elif isinstance(entry, Sent) and entry.is_accepted and entry.done_at is not None:
            is_typing = entry.indicator is TYPING
            shown_until = entry.done_at + entry.wish.duration_ms if is_typing else -NEVER
    return told.change.at < shown_until


def convergence(m: Machine) -> None:
    """7: finite input => stopped, nothing owed or in flight, no wheel entry, the object freed."""
    assert m.session is None, (m.session, m.now)
    assert m.flight is None
    assert m.wheel.live == 0
    assert not m.changes or m.changes[-1].change.state is STOPPED or m.changes[-1].life != m.life


def stops(m: Machine) -> None:
    """12: an episode ends with exactly one accepted stop; it opens and closes as `_episode` says.

    `explicit` on a gateway that can stop: none is open when the session is freed. Elsewhere nothing is owed.
    """
    is_open, cleared_at = False, -NEVER
    for entry in m.diary:
        if isinstance(entry, Cleared):
            cleared_at = entry.at
        elif (
            isinstance(entry, Sent)
            and entry.is_accepted
            and entry.indicator is STOPPED
            and not entry.is_direct
        ):
            was_open = is_open or cleared_at >= entry.at  # the message arrived while the stop was on its way
            assert was_open or not m.reach.owes_stops, ("a stop nobody owed", entry)
            assert m.reach.can_stop, ("a stop to a platform that has none", entry)
        assert not (is_open and isinstance(entry, Freed)), ("an episode without its stop", entry)
        is_open = _episode(m, entry, is_open)
    assert not is_open, "an episode without its stop"


def _episode(m: Machine, entry: Entry, is_open: bool) -> bool:  # noqa: FBT001 - a fold's state
    """Opened by an accepted typing or one of unknown fate; closed by an accepted stop, a clearing, a refusal,
    a crash, or the stop's last try.
    """
    if not isinstance(entry, Sent) or isinstance(entry.answer.outcome, Refused):
        return False
    if entry.indicator is STOPPED:
        is_given_up = entry.settled is not None and entry.settled.is_given_up and not entry.is_direct
        return is_open and not entry.is_accepted and not is_given_up
    opens = m.reach.owes_stops and not entry.is_direct
    if entry.is_accepted:
        return is_open or opens
    return is_open or (opens and entry.is_unknown and entry.indicator is TYPING)


def crash_darkens(m: Machine) -> None:
    """13: what a dead process showed is gone by crash + late_ms + D, whatever its successor does meanwhile."""
    for crash in (entry for entry in m.diary if isinstance(entry, Crashed)):
        limit = crash.at + m.timings.late_ms
        for sent in m.sent:
            if sent.at <= crash.at and sent.arrives_at is not None:
                assert sent.arrives_at <= limit, sent


def transitions(m: Machine) -> None:
    """15: the states of one session alternate; the first is never *stopped*; time never runs back."""
    for one, following in pairwise(m.changes):
        if (one.life, one.session_no) == (following.life, following.session_no):
            assert one.change.state is not following.change.state, (one, following)
            assert one.change.at <= following.change.at, (one, following)
        else:
            _starts(following)
    if m.changes:
        _starts(m.changes[0])


def _starts(told: Told) -> None:
    assert told.change.state is not STOPPED, told


def tries(m: Machine) -> None:
    """At most three tries in a row of one wanted state, and then none for a minute."""
    streak: list[Sent] = []
    for sent in m.sent:
        is_same = (
            streak and sent.indicator is streak[-1].indicator and not _changed_between(m, streak[-1], sent)
        )
        streak = [*streak, sent] if is_same and not _is_rested(streak, sent) else [sent]
        streak = [] if sent.done_at is None or sent.is_accepted or sent.is_direct else streak
        if isinstance(sent.answer.outcome, Expired | Held | Refused):
            streak = []
        assert len(streak) <= 3, streak


def _is_rested(streak: list[Sent], sent: Sent) -> bool:
    done_at = streak[-1].done_at
    return len(streak) == 3 and done_at is not None and sent.at >= done_at + MUTE_MS


def _changed_between(m: Machine, one: Sent, following: Sent) -> bool:
    assert one.done_at is not None
    return any(one.at <= told.change.at <= following.at for told in m.changes)


EVERYWHERE: tuple[Check, ...] = (
    rate,
    arrivals,
    restart,
    cool_off_honoured,
    mute_honoured,
    single_flight,
    no_phantom,
    leading_edge,
    transitions,
    tries,
    crash_darkens,
)
AT_REST: tuple[Check, ...] = (convergence, stops)


def hold_everywhere(m: Machine) -> None:
    """Every promise that holds whatever the platform does; call `m.finish()` first."""
    for check in (*EVERYWHERE, *AT_REST):
        check(m)


# While it lives (`Machine.watch`).


def join(m: Machine) -> None:
    """9: the stated state is typing if any public actor types, else paused if any pauses, else stopped."""
    assert m.session is not None or not m.actors()
    if m.session is not None:
        seen = m.public_indicators()
        wanted = TYPING if TYPING in seen else PAUSED if PAUSED in seen else STOPPED
        assert m.session.stated is wanted is m.session.pacer.wanted, (m.session.stated, seen)


def one_entry(m: Machine) -> None:
    """14: at most one live wheel entry per session."""
    assert m.wheel.live <= 1
    is_armed = m.flight is not None or m.wheel.live == 1
    assert m.session is None or not m.ticks or is_armed, "a session nothing will wake"


class Lives:
    """11: nobody thinks one thought for longer than its life (+ g), and a dead id stays dead for the tombstone."""

    def __init__(self) -> None:
        self.life = 0
        self.since: dict[tuple[str, str | None], Ms] = {}
        self.dead: dict[tuple[str, str | None], Ms] = {}

    def __call__(self, m: Machine) -> None:
        if m.life != self.life:  # thoughts are not persisted
            self.life, self.since, self.dead = m.life, {}, {}
        thinking = {(a.id, a.thinking_id) for a in m.actors() if a.state is State.THINKING}
        for actor in m.actors():
            if actor.state is State.EXHAUSTED and (actor.id, actor.thinking_id) in self.since:
                self.dead[actor.id, actor.thinking_id] = m.now + m.timings.tombstone_ms - TICK_MS
        self.since = {key: self.since.get(key, m.now) for key in thinking}
        for key, since in self.since.items():
            assert m.now <= since + m.timings.thinking_life_ms + TICK_MS, (key, since, m.now)
            assert m.now >= self.dead.get(key, -NEVER), (key, m.now)


# What the guest saw.


def visible(m: Machine, *, only: Indicator | None = None) -> list[tuple[Ms, Ms]]:
    """Disjoint half-open stretches with something (or `only` that) on the guest's screen, from arrivals alone."""
    marks = [(s.arrives_at, s.indicator, s.wish.duration_ms) for s in m.sent if s.arrives_at is not None]
    marks += [(e.at, STOPPED, 0) for e in m.diary if isinstance(e, Cleared)]
    marks.sort(key=lambda mark: mark[0])
    ends = [*(at for at, _, _ in marks[1:]), NEVER][: len(marks)]
    spans: list[tuple[Ms, Ms]] = []
    for (at, indicator, shown_ms), following in zip(marks, ends, strict=True):
        until = min(at + shown_ms, following)
        if indicator is STOPPED or (only and indicator is not only) or until <= at:
            continue
        if spans and spans[-1][1] >= at:
            spans[-1] = (spans[-1][0], until)
        else:
            spans.append((at, until))
    return spans


def lapses(m: Machine, first: Ms, last: Ms, *, only: Indicator | None = None) -> list[tuple[Ms, Ms]]:
    """The dark stretches between the first arrival after `first` and `last`."""
    spans = [span for span in visible(m, only=only) if span[1] > first and span[0] <= last]
    dark = [(one[1], following[0]) for one, following in pairwise(spans)]
    return dark + ([(spans[-1][1], last)] if spans and spans[-1][1] < last else [])


def visible_after(m: Machine, last: Ms) -> Ms:
    """How long after `last` the guest's screen still showed something."""
    return max((until - last for _, until in visible(m) if until > last), default=0.0)


def keys_of(m: Machine) -> Sequence[Ms]:
    return [at for at, activity, _ in m.inputs if activity.kind is Kind.KEYSTROKE]


def runs_of(keys: Sequence[Ms], longest_gap: Ms) -> Iterator[tuple[Ms, Ms]]:
    """(first, last) of each stretch without a longer gap."""
    cuts = [i + 1 for i, (one, following) in enumerate(pairwise(keys)) if following - one > longest_gap]
    for start, end in pairwise([0, *cuts, len(keys)]):
        yield keys[start], keys[end - 1]


def calls_within(m: Machine, start: Ms, end: Ms, indicator: Indicator) -> int:
    times = [s.at for s in m.sent if s.indicator is indicator]
    return bisect_right(times, end) - bisect_right(times, start - EPSILON_MS)
