"""Random lives of one session, and the promises it keeps in all of them.

`tests.core.invariants` holds the checks by number. Here they are asked of seeded lives, of a state machine
whose failures hypothesis shrinks, and (5, 6, 8, 9, 13, 17) of scripts made for one promise each.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, pairwise
from math import ceil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.core.activity import Activity, Kind
from relay.core.indicator import Indicator
from relay.core.moments import Ms
from relay.core.pacer import Reach
from relay.core.timings import TICK_MS, Timings
from tests.core.answers import Answer, accepted, script, timed_out
from tests.core.invariants import (
    EVERYWHERE,
    calls_within,
    hold_everywhere,
    keys_of,
    lapses,
    runs_of,
    visible_after,
)
from tests.core.lives import GAPS_MS, PEOPLE, REACHES, SETTINGS, Weather, live, watch, word
from tests.core.machine import GUEST, TERMINAL, Machine, typed

TYPING, PAUSED, STOPPED = Indicator.TYPING, Indicator.PAUSED, Indicator.STOPPED
T = Timings()
PLAIN = Reach(shows_paused=False)


# Everything, over whatever may happen.


@pytest.mark.parametrize("batch", range(5))
def test_seeded_lives_keep_every_promise(batch: int) -> None:
    for seed in range(batch * 100, batch * 100 + 100):
        live(seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("batch", range(100))
def test_very_many_seeded_lives_keep_every_promise(batch: int) -> None:
    for seed in range(10_000 + batch * 1000, 10_000 + batch * 1000 + 1000):
        live(seed, steps=60)


class Life(RuleBasedStateMachine):
    """The same world with hypothesis in charge, so that a broken promise comes as a short script."""

    machine: Machine
    number = 0

    @initialize(
        timings=st.sampled_from(SETTINGS),
        reach=st.sampled_from(REACHES),
        ticks=st.booleans(),
        seed=st.integers(0, 1000),
        storm=st.sampled_from((0.0, 0.2, 0.8)),
        has_jitter=st.booleans(),
    )
    def begin(
        self,
        *,
        timings: Timings,
        reach: Reach,
        ticks: bool,
        seed: int,
        storm: float,
        has_jitter: bool,
    ) -> None:
        chance = random.Random(seed)
        draw = random.Random(seed).random if has_jitter else (lambda: 0.0)
        self.machine = Machine(
            timings, reach, iter(Weather(chance, timings, storm)), ticks=ticks, jitter=draw
        )
        self.machine.watch = watch()

    @rule(gap=st.sampled_from(GAPS_MS) | st.integers(0, 5000))
    def time_passes(self, gap: int) -> None:
        self.machine.run_until(self.machine.now + gap)

    @rule(actor=st.sampled_from(PEOPLE), gap=st.integers(0, 900), times=st.integers(1, 6))
    def somebody_types(self, actor: str, gap: int, times: int) -> None:
        for _ in range(times):
            self.machine.keystroke(actor=actor, at=self.machine.now + gap, is_public=actor != "shy")

    @rule(seed=st.integers(0, 10_000))
    def something_is_done(self, seed: int) -> None:
        self.number += 1
        self.machine.hear(word(random.Random(seed), seq=self.number))

    @precondition(lambda self: bool(self.machine.inputs))
    @rule(back=st.integers(0, 20))
    def an_old_activity_comes_again(self, back: int) -> None:
        self.machine.hear(self.machine.inputs[max(0, len(self.machine.inputs) - 1 - back)][1])

    @rule(indicator=st.sampled_from(list(Indicator)), duration_ms=st.sampled_from((100, 3000, 10_000)))
    def an_order_comes(self, indicator: Indicator, duration_ms: int) -> None:
        self.machine.order(indicator, duration_ms=duration_ms)

    @rule()
    def the_process_dies(self) -> None:
        self.machine.crash()

    @invariant()
    def every_promise_holds(self) -> None:
        for check in EVERYWHERE:
            check(self.machine)

    def teardown(self) -> None:
        if hasattr(self, "machine"):
            self.machine.finish()
            hold_everywhere(self.machine)


QUIET = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=200, stateful_step_count=30, deadline=None, suppress_health_check=QUIET
)


class LongLife(Life):
    """The same, by hand and for hours."""


TestLongLife = pytest.mark.timeout(36_000)(pytest.mark.long(LongLife.TestCase))
TestLongLife.settings = settings(
    max_examples=5000, stateful_step_count=80, deadline=None, suppress_health_check=QUIET
)


# Within budget: latencies for which the timings were made, I + RTT + L + g <= D and dL + g <= m.


def steady(one_way_ms: Ms, spread_ms: Ms, seed: int) -> Iterator[Answer]:
    """L in [one_way - spread, one_way], answered after twice that."""
    chance = random.Random(seed)
    while True:
        way = one_way_ms - chance.uniform(0, spread_ms)
        yield accepted(2 * way, one_way_ms=way)


def in_budget(timings: Timings, one_way_ms: Ms, spread_ms: Ms) -> bool:
    rtt_ms = 2 * one_way_ms
    holds_display = timings.min_interval_ms + rtt_ms + one_way_ms + TICK_MS <= timings.duration_ms
    return holds_display and spread_ms + TICK_MS <= timings.margin_ms


LINES = st.sampled_from([(0.0, 0.0), (20.0, 10.0), (120.0, 120.0), (300.0, 300.0)])  # L, dL
TIMED = (
    T,
    Timings(refresh_jitter=0.0),
    Timings(6000, 5000, 700, 2500, 9000),
    Timings(4000, 2000, 700, 3500, 8000),
)
MODES = (GUEST, PLAIN, TERMINAL)
GAPS = st.lists(st.integers(1, 900) | st.integers(900, 3100) | st.integers(3100, 12_000), max_size=25)


@st.composite
def writing(draw: st.DrawFn, modes: tuple[Reach, ...] = MODES) -> tuple[Machine, Ms, Ms]:
    """Somebody wrote for a while on a line within budget; the machine at rest, with L and dL of its line."""
    timings, reach, line = draw(st.sampled_from(TIMED)), draw(st.sampled_from(modes)), draw(LINES)
    if not in_budget(timings, *line):
        line = (0.0, 0.0)
    answers = steady(*line, seed=draw(st.integers(0, 99)))
    keys = accumulate(draw(GAPS), initial=0)
    chance = random.Random(draw(st.integers(0, 99)))
    machine = Machine(timings, reach, answers, ticks=draw(st.booleans()), jitter=chance.random)
    for at in keys:
        machine.keystroke(at=at)
    machine.finish()
    return machine, *line


def bridged_ms(timings: Timings, spread_ms: Ms) -> Ms:
    """The longest gap a run is promised to bridge: min(D, P + m - g) - dL."""
    return min(timings.duration_ms, timings.pause_after_ms + timings.margin_ms - TICK_MS) - spread_ms


@given(writing())
@settings(max_examples=400, deadline=None)
def test_no_lapse_while_somebody_writes(written: tuple[Machine, Ms, Ms]) -> None:
    """5: gaps <= min(D, P + m - g) - dL => something visible from the run's first arrival to its last key."""
    machine, _, spread_ms = written
    for first, last in runs_of(keys_of(machine), bridged_ms(machine.timings, spread_ms)):
        begins = [s.arrives_at for s in machine.sent if s.at >= first and s.indicator is TYPING]
        if begins and begins[0] is not None and begins[0] < last:
            assert lapses(machine, begins[0], last) == []


@given(writing(modes=(PLAIN, TERMINAL)))
@settings(max_examples=200, deadline=None)
def test_without_pauses_it_is_typing_that_is_visible(written: tuple[Machine, Ms, Ms]) -> None:
    """5: in modes without *paused*, typing is what does not lapse."""
    machine, _, spread_ms = written
    for first, last in runs_of(keys_of(machine), bridged_ms(machine.timings, spread_ms)):
        begins = [s.arrives_at for s in machine.sent if s.at >= first and s.indicator is TYPING]
        if begins and begins[0] is not None and begins[0] < last:
            assert lapses(machine, begins[0], last, only=TYPING) == []


HESITANT = (0, 1290, 3500)
"""A gap of 2210 ms: within D and within the default P, longer than P + m - g = 1600 of a P under R."""


def test_a_pause_shorter_than_the_refresh_must_lapse() -> None:
    """5, the counter-check: were P of no consequence, the proof above would prove nothing."""
    short = typed(HESITANT, Timings(pause_after_ms=1000), reach=TERMINAL)
    assert lapses(short, 0, 3500) == [(3000, 3500)]
    assert lapses(typed(HESITANT, T, reach=TERMINAL), 0, 3500) == []


@given(writing(modes=(TERMINAL,)))
@settings(max_examples=200, deadline=None)
def test_the_ghost_of_terminal_mode_is_bounded(written: tuple[Machine, Ms, Ms]) -> None:
    """6: invisible by last + min(P, max(R, I + RTT)) + D + L + g."""
    machine, one_way_ms, _ = written
    t = machine.timings
    refresh = max(t.refresh_ms(t.duration_ms), t.min_interval_ms + 2 * one_way_ms)
    limit = min(t.pause_after_ms, refresh) + t.duration_ms + one_way_ms + TICK_MS
    assert visible_after(machine, keys_of(machine)[-1]) <= limit


@given(writing(modes=(GUEST,)))
@settings(max_examples=200, deadline=None)
def test_the_ghost_of_explicit_mode_is_bounded(written: tuple[Machine, Ms, Ms]) -> None:
    """6: invisible by last + max(S, P + I + RTT, min(P, R) + 2(I + RTT)) + L + 3g."""
    machine, one_way_ms, _ = written
    t = machine.timings
    turn = t.min_interval_ms + 2 * one_way_ms
    early = min(t.pause_after_ms, t.refresh_ms(t.duration_ms))
    limit = max(t.stop_after_ms, t.pause_after_ms + turn, early + 2 * turn) + one_way_ms + 3 * TICK_MS
    assert visible_after(machine, keys_of(machine)[-1]) <= limit


@given(
    st.lists(st.integers(1, 2500), min_size=1, max_size=12),
    LINES,
    st.sampled_from([Kind.MESSAGE_SENT, Kind.CLEARED, Kind.ACTOR_LEFT, Kind.SESSION_ENDED]),
    st.sampled_from(MODES),
)
@settings(max_examples=200, deadline=None)
def test_a_terminal_activity_darkens_the_screen_within_an_interval(
    gaps: list[int], line: tuple[Ms, Ms], kind: Kind, reach: Reach
) -> None:
    """6: invisible by end + RTT + I + L + g: what was on its way, its interval, the stop."""
    machine = Machine(T, reach, steady(*line, seed=1))
    for at in accumulate(gaps, initial=0):
        machine.keystroke(at=at)
    end = machine.now + 1
    machine.act(kind, at=end)
    machine.finish()
    one_way_ms = line[0]
    assert visible_after(machine, end) <= 2 * one_way_ms + T.min_interval_ms + one_way_ms + TICK_MS


@given(writing())
@settings(max_examples=200, deadline=None)
def test_a_run_costs_no_more_than_its_length_asks(written: tuple[Machine, Ms, Ms]) -> None:
    """8: per run of length L at most ceil(L / R) + 1 typing, R after jitter."""
    machine, _, _ = written
    t = machine.timings
    refresh = max(t.min_interval_ms, t.refresh_ms(t.duration_ms) * (1 - t.refresh_jitter))
    for first, last in runs_of(keys_of(machine), t.pause_after_ms + TICK_MS):
        calls = calls_within(machine, first, last + min(t.pause_after_ms, refresh), TYPING)
        assert calls <= ceil((last - first) / refresh) + 1


@given(writing(modes=(GUEST,)))
@settings(max_examples=200, deadline=None)
def test_a_silence_costs_at_most_one_paused_and_one_stop(written: tuple[Machine, Ms, Ms]) -> None:
    """8: at most one paused per gap > P, and one stop per gap > S."""
    machine, _, _ = written
    t, keys = machine.timings, [*keys_of(machine), float("inf")]
    gaps = [following - one for one, following in pairwise(keys)]
    assert calls_within(machine, 0, machine.now, PAUSED) <= sum(gap > t.pause_after_ms for gap in gaps)
    assert calls_within(machine, 0, machine.now, STOPPED) <= sum(gap > t.stop_after_ms for gap in gaps)


# Who it was does not matter; who it was in private matters least.


Script = list[tuple[int, Activity]]


def random_script(seed: int, *, steps: int = 30) -> Script:
    chance = random.Random(seed)
    return [(max(1, chance.choice(GAPS_MS)), word(chance, seq=number)) for number in range(steps)]


def performed(script_: Script, seed: int, *, storm: float) -> Machine:
    """To the millisecond, on weather that depends on nothing but the number of calls."""
    chance = random.Random(seed)
    timings, reach = chance.choice(SETTINGS), chance.choice(REACHES)
    machine = Machine(timings, reach, iter(Weather(chance, timings, storm)), ticks=False)
    at = 0.0
    for gap, act in script_:
        at += gap
        machine.hear(act, at=at + (0 if act.is_public else 0.5))
    machine.finish()
    return machine


@pytest.mark.parametrize("seed", range(100))
def test_permuting_the_actors_changes_nothing(seed: int) -> None:
    """9: desired is the maximum over actors, so their names and order cannot matter."""
    script_ = random_script(seed)
    names = dict(zip(PEOPLE, random.Random(seed).sample(PEOPLE, len(PEOPLE)), strict=True))
    renamed = [(gap, replace(act, actor=names[act.actor])) for gap, act in script_]
    one, other = performed(script_, seed, storm=0.2), performed(renamed, seed, storm=0.2)
    assert (one.told(), one.states()) == (other.told(), other.states())


@pytest.mark.parametrize("seed", range(100))
def test_what_is_done_in_private_leaves_no_trace(seed: int) -> None:
    """17: without the activities of an actor that is always private, the same calls and the same changes.

    On a fair day: a session that somebody keeps alive in private also remembers its failures for longer.
    """
    script_ = [  # unnumbered: how long past its tombstone an order is remembered may depend on anybody
        (gap, replace(act, is_public=act.actor != "shy", seq=None))
        for gap, act in random_script(seed)
        if (act.actor, act.kind) != ("shy", Kind.SESSION_ENDED)  # a session's end is everybody's
    ]
    at, public = 0, []
    for gap, act in script_:
        at += gap
        if act.is_public:
            public.append((at, act))
            at = 0
    one, other = performed(script_, seed, storm=0), performed(public, seed, storm=0)
    assert (one.told(), one.states()) == (other.told(), other.states())


@given(writing(), st.integers(0, 20_000))
@settings(max_examples=100, deadline=None)
def test_what_a_dead_process_showed_is_gone_after_its_duration(
    written: tuple[Machine, Ms, Ms], at: int
) -> None:
    """13: a crash at any step, and nobody typing on: invisible by crash + L + D, and nothing is sent again."""
    model, one_way_ms, spread_ms = written
    machine = Machine(model.timings, model.reach, steady(one_way_ms, spread_ms, seed=1))
    for key in keys_of(model):
        if key < at:
            machine.keystroke(at=key)
    machine.crash(at=at)
    sent = len(machine.sent)
    machine.finish()
    assert len(machine.sent) == sent
    assert visible_after(machine, at) <= one_way_ms + machine.timings.duration_ms


@pytest.mark.parametrize("gap", [0, 1, 100, 1999, 2000, 3999, 4000])
def test_a_restarted_process_waits_for_what_its_predecessor_may_have_sent(gap: int) -> None:
    """1: the gate at start is last sign of life + request timeout + I = 4 s."""
    machine = Machine(answers=script(then=accepted(50)))
    machine.keystroke(at=0)
    machine.crash(at=10)
    machine.keystroke(at=10 + gap)
    machine.keystroke(at=4010)
    machine.run_until(4200)
    assert machine.sent[1].at == pytest.approx(4010, abs=TICK_MS)


@pytest.mark.parametrize("late_ms", [0, 1000, 2000, 5000])
def test_after_a_crash_calls_arrive_an_interval_apart_however_late_the_last_was_applied(late_ms: int) -> None:
    """1, 13: the gate once did not wait for what may be applied later than a request takes."""
    lost = timed_out(2000, arrives_ms=2000 + late_ms)
    machine = Machine(Timings(late_ms=late_ms), answers=script(lost, then=accepted(0)))
    machine.keystroke(at=0)
    machine.crash(at=10)
    for at in range(10, 12_000, 200):
        machine.keystroke(at=at)
    before, after = (one.arrives_at for one in machine.sent[:2])
    assert before == 10 + late_ms
    assert after is not None
    assert after >= before + 2000


def test_jitter_is_on_in_some_of_the_settings_and_off_in_others() -> None:
    assert {settings_.refresh_jitter > 0 for settings_ in SETTINGS} == {True, False}
    assert replace(T, refresh_jitter=0.0) in TIMED
