"""One session: the join of its actors, late timers, its end, and what it remembers."""

from copy import deepcopy
from functools import reduce
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.activity import Activity, Kind
from relay.core.actor import State
from relay.core.engagement import Reason
from relay.core.indicator import Indicator, stronger
from relay.core.moments import Ms
from relay.core.pacer import Pacer, Reach
from relay.core.session import MAX_ACTORS, Change, Session, Verdict
from relay.core.timings import TICK_MS, Timings
from tests.core.answers import accepted, script
from tests.core.machine import ADDRESS, GUEST, TERMINAL, Machine, activity

TYPING, PAUSED, STOPPED = Indicator.TYPING, Indicator.PAUSED, Indicator.STOPPED
T = Timings()


def session(*, reach: Reach = GUEST) -> Session:
    return Session(("guest", "chat-1"), ADDRESS, "test", T, reach, Pacer())


# The join.


@pytest.mark.parametrize("indicators", list(product(Indicator, repeat=3)))
def test_the_strongest_indicator_wins_in_any_order(indicators: tuple[Indicator, ...]) -> None:
    expected = TYPING if TYPING in indicators else PAUSED if PAUSED in indicators else STOPPED
    assert {reduce(stronger, order) for order in permutations(indicators)} == {expected}


def test_the_session_types_until_the_last_typist_rests() -> None:
    machine = Machine()
    machine.keystroke(at=0)
    machine.keystroke(at=1000, actor="ben")
    machine.message(at=1100)
    machine.run_until(3400)
    assert machine.states() == ["0 typing keystroke"]
    machine.finish()
    assert machine.states()[1:] == ["3500 paused silence", "7000 typing_stopped silence"]


def test_a_thought_past_its_delay_counts_as_typing() -> None:
    machine = Machine()
    machine.think(at=0)
    machine.run_until(20_000)
    assert machine.states() == ["300 typing thinking", "15000 typing_stopped lease_lost"]


def test_an_instant_answer_never_flashes() -> None:
    machine = Machine()
    machine.think(at=0)
    machine.act(Kind.MESSAGE_SENT, actor="bot", at=299)
    machine.finish()
    assert machine.told() == machine.states() == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Kind.MESSAGE_SENT, Reason.MESSAGE),
        (Kind.CLEARED, Reason.CLEARED),
        (Kind.ACTOR_LEFT, Reason.ENDED),
        (Kind.SESSION_ENDED, Reason.ENDED),
    ],
)
def test_each_end_has_its_reason(kind: Kind, reason: Reason) -> None:
    machine = Machine()
    machine.keystroke(at=0)
    machine.act(kind, at=10)
    assert machine.states()[-1] == f"10 typing_stopped {reason}"


def test_a_done_thought_stops_for_done() -> None:
    machine = Machine()
    machine.think(at=0)
    machine.act(Kind.THINKING_DONE, actor="bot", thinking_id="t1", at=1000)
    assert machine.states()[-1] == "1000 typing_stopped done"


def test_a_thought_that_outlives_itself_stops_for_max_life() -> None:
    machine = Machine()
    machine.think(at=0)
    for at in range(10_000, 125_000, 10_000):
        machine.act(Kind.HEARTBEAT, actor="bot", thinking_id="t1", at=at)
    machine.run_until(121_000)
    assert machine.states()[-1] == "120000 typing_stopped max_life"


def test_a_session_that_ended_is_left_by_everybody() -> None:
    machine = Machine()
    machine.keystroke(at=0)
    machine.keystroke(at=0, actor="ben")
    machine.act(Kind.SESSION_ENDED, at=10, actor="carl")
    assert machine.state_of("ann") is machine.state_of("ben") is State.IDLE


# Privacy.


def test_a_private_typist_is_invisible() -> None:
    machine = Machine()
    machine.keystroke(at=0, is_public=False)
    machine.finish()
    assert machine.told() == machine.states() == []


def test_turning_to_an_internal_note_clears_the_box_for_the_guest() -> None:
    machine = Machine()
    machine.keystroke(at=0)
    machine.keystroke(at=100, is_public=False)
    assert machine.states() == ["0 typing keystroke", "100 typing_stopped cleared"]


def test_turning_back_from_the_note_is_typing_again_at_once() -> None:
    machine = Machine()
    machine.keystroke(at=0, is_public=False)
    machine.keystroke(at=100)
    assert machine.states() == ["100 typing keystroke"]
    assert machine.told() == ["100 typing"]


def test_a_private_event_changes_no_duration() -> None:
    machine = Machine()
    machine.act(Kind.KEYSTROKE, actor="shy", is_public=False, duration_ms=9000, at=0)
    machine.keystroke(at=10)
    assert machine.sent[0].wish.duration_ms == 3000


# Durations.


def test_an_event_without_a_duration_means_the_gateways() -> None:
    machine = Machine()
    machine.act(Kind.KEYSTROKE, duration_ms=9000, at=0)
    machine.keystroke(at=8000)
    machine.run_until(9000)
    assert [sent.wish.duration_ms for sent in machine.sent if sent.indicator is TYPING] == [9000, 3000]


def test_a_heartbeat_keeps_the_duration_of_its_thought() -> None:
    machine = Machine(ticks=False)
    machine.act(Kind.THINKING, actor="bot", thinking_id="t1", duration_ms=5000, at=0)
    machine.act(Kind.HEARTBEAT, actor="bot", thinking_id="t1", at=1000)
    machine.run_until(5000)
    assert [(sent.at, sent.wish.duration_ms) for sent in machine.sent] == [(300, 5000), (4600, 5000)]


# Order.


def test_a_stale_activity_is_counted_and_changes_nothing() -> None:
    machine = Machine()
    machine.act(Kind.MESSAGE_SENT, seq=2, at=0)
    assert machine.act(Kind.KEYSTROKE, seq=1, at=1) is Verdict.STALE
    assert machine.told() == []


@pytest.mark.parametrize(
    ("script_", "verdict"),
    [
        ([activity(Kind.HEARTBEAT, thinking_id="t1")], Verdict.ORPHAN),
        (
            [activity(Kind.THINKING, thinking_id="t1"), activity(Kind.HEARTBEAT, thinking_id="t2")],
            Verdict.FOREIGN_ID,
        ),
        (
            [activity(Kind.THINKING, thinking_id="t1"), activity(Kind.THINKING_DONE, thinking_id="t2")],
            Verdict.FOREIGN_ID,
        ),
        ([activity(Kind.KEYSTROKE)], Verdict.APPLIED),
    ],
)
def test_what_has_no_effect_is_counted_under_its_name(script_: list[Activity], verdict: Verdict) -> None:
    machine = Machine()
    assert [machine.hear(one) for one in script_][-1] is verdict


def test_an_order_outlives_the_actor_for_the_tombstone() -> None:
    machine = Machine()
    machine.act(Kind.ACTOR_LEFT, seq=7, at=0)
    assert machine.act(Kind.KEYSTROKE, seq=6, at=59_999) is Verdict.STALE


# Actors' cap.


def crowd(machine: Machine, *, at: Ms) -> None:
    for n in range(MAX_ACTORS - 1):
        machine.keystroke(at=at, actor=f"a{n}")


def test_one_actor_too_many_is_dropped_and_counted() -> None:
    machine = Machine()
    crowd(machine, at=0)
    machine.keystroke(at=0)
    assert machine.keystroke(at=1, actor="late") is Verdict.TOO_MANY_ACTORS
    assert len(machine.actors()) == MAX_ACTORS


def test_a_place_is_made_by_forgetting_an_idle_actor_after_its_tombstone() -> None:
    machine = Machine()
    machine.act(Kind.CLEARED, seq=7, at=0)
    crowd(machine, at=59_000)
    assert machine.keystroke(at=59_999, actor="late") is Verdict.TOO_MANY_ACTORS
    assert machine.keystroke(at=60_000, actor="late") is Verdict.APPLIED


def test_a_lost_thinker_keeps_its_order_for_the_tombstone() -> None:
    """Counted from its end, not from the first thought, which may be two minutes old."""
    machine = Machine()
    machine.think(at=0)
    for at in range(10_000, 71_000, 10_000):
        machine.act(Kind.HEARTBEAT, actor="bot", thinking_id="t1", seq=at, at=at)
    crowd(machine, at=86_000)  # lease lost at 85 000
    assert machine.keystroke(at=86_001, actor="late") is Verdict.TOO_MANY_ACTORS
    assert machine.act(Kind.THINKING, actor="bot", seq=69_999, at=86_002) is Verdict.STALE


def test_a_message_of_one_actor_too_many_still_cleared_the_screen() -> None:
    machine = Machine(reach=Reach(message_clears=True))
    crowd(machine, at=0)
    machine.keystroke(at=0)
    machine.message(at=2100, actor="late")
    assert machine.told() == ["0 typing", "2100 typing"]


# Late timers, and a clock that steps back.


def test_a_late_wake_applies_each_timer_at_its_own_time() -> None:
    one = session()
    changes: list[Change] = []
    one.observe(activity(Kind.KEYSTROKE), 0, changes)
    one.observe(activity(Kind.THINKING, "bot", thinking_id="t1"), 100, changes)
    one.lapse(60_000, changes)
    assert [(change.at, change.state, change.reason) for change in changes] == [
        (0, TYPING, Reason.KEYSTROKE),
        (15_100, STOPPED, Reason.LEASE_LOST),
    ]


def test_a_timer_due_at_the_input_gives_way_to_it() -> None:
    machine = Machine(ticks=False)
    machine.keystroke(at=0)
    machine.keystroke(at=2500)
    assert machine.states() == ["0 typing keystroke"]


def test_a_timer_due_before_the_input_is_applied_before_it() -> None:
    one = session()
    changes: list[Change] = []
    one.observe(activity(Kind.KEYSTROKE), 0, changes)
    one.observe(activity(Kind.KEYSTROKE), 2501, changes)
    assert [change.state for change in changes] == [TYPING, PAUSED, TYPING]


KINDS = st.sampled_from([Kind.KEYSTROKE, Kind.THINKING, Kind.HEARTBEAT, Kind.PAUSED, Kind.MESSAGE_SENT])
INPUTS = st.lists(
    st.tuples(st.integers(0, 8000), KINDS, st.sampled_from(["ann", "ben"])), min_size=1, max_size=12
)


@given(INPUTS)
def test_a_late_timer_leaves_the_session_where_a_punctual_one_would(
    inputs: list[tuple[int, Kind, str]],
) -> None:
    """18: woken at every deadline, or only by the next input: the same actors, changes and wanted state."""
    punctual, late = session(), session()
    seen: list[Change] = []
    seen_late: list[Change] = []
    now = 0.0
    for gap, kind, actor in inputs:
        serve(punctual, now, now + gap, seen)
        now += gap
        act = activity(kind, actor, thinking_id="t1")
        punctual.observe(act, now, seen)
        late.observe(act, now, seen_late)
        assert punctual.actors == late.actors
        assert punctual.stated is late.stated is late.pacer.wanted
    assert seen == seen_late


def serve(one: Session, now: Ms, end: Ms, changes: list[Change]) -> None:
    """Every deadline before `end`, to the millisecond; the platform is never told (only the state matters)."""
    while (due := one.next_deadline(now)) < end and due > now:
        now = due
        one.lapse(now, changes)


@given(INPUTS, st.integers(1, 100_000))
def test_a_clock_that_steps_back_undoes_nothing(inputs: list[tuple[int, Kind, str]], back_ms: int) -> None:
    """18: nothing that was applied is taken back, nothing comes due by going back, nothing is sent twice."""
    machine = Machine(ticks=False)
    for gap, kind, actor in inputs:
        machine.act(kind, actor=actor, at=machine.now + gap, thinking_id="t1")
    one = machine.session
    if one is None:
        return
    one.catch_up()
    before = deepcopy(one)
    changes: list[Change] = []
    one.lapse(machine.now - back_ms, changes)
    assert one == before
    assert changes == []
    if one.pacer.gate_at > machine.now:
        assert one.wish(machine.now - back_ms) is None


# The keystroke that changes nothing.


@given(INPUTS, st.integers(0, 3000))
def test_absorbing_a_keystroke_leaves_the_session_as_observing_it(
    inputs: list[tuple[int, Kind, str]], gap: int
) -> None:
    machine = Machine(answers=script(then=accepted(40)))
    for before, kind, actor in inputs:
        machine.act(kind, actor=actor, at=machine.now + before, thinking_id="t1")
    machine.run_until(machine.now + gap)
    if machine.session is None:
        return
    absorbing, observing = deepcopy(machine.session), deepcopy(machine.session)
    changes: list[Change] = []
    # A refresh that has just come due is the wheel's to send, within a tick.
    if absorbing.absorb(activity(Kind.KEYSTROKE), machine.now):
        observing.observe(activity(Kind.KEYSTROKE), machine.now, changes)
        assert absorbing.next_deadline(machine.now) == observing.next_deadline(machine.now)
        assert absorbing == observing
        assert changes == []
        is_the_wheels = machine.alarm <= machine.now < machine.alarm + TICK_MS
        assert is_the_wheels or observing.wish(machine.now) is None


def test_the_second_keystroke_of_a_lone_typist_is_absorbed() -> None:
    machine = Machine()
    machine.keystroke(at=0)
    assert machine.session is not None
    assert machine.session.absorb(activity(Kind.KEYSTROKE), 100)


# The end.


@pytest.mark.parametrize(
    ("reach", "told"), [(GUEST, "2000 typing_stopped"), (TERMINAL, "2000 typing_stopped")]
)
def test_a_drain_stops_what_is_shown_at_the_gate(reach: Reach, told: str) -> None:
    machine = Machine(reach=reach)
    machine.keystroke(at=0)
    machine.drain(at=500)
    machine.finish()
    assert machine.states()[-1] == "500 typing_stopped shutdown"
    assert machine.told()[-1] == told
    assert machine.session is None


def test_of_two_timers_at_one_instant_the_order_is_the_same_whoever_came_first() -> None:
    """Ben falls silent for good in the moment in which Ann's lease is lost."""

    def states(first: str, second: str) -> list[str]:
        machine = Machine()
        for actor in (first, second):
            machine.act(Kind.HEARTBEAT, at=0, actor=actor)  # an orphan: it is only known of
        machine.think("t1", at=1000, actor="ann")
        machine.keystroke(at=10_000, actor="ben")
        machine.finish()
        return machine.states()

    assert states("ann", "ben") == states("ben", "ann")


def test_a_closing_session_comes_back_with_its_gate() -> None:
    """Never a second pacer: its gate would be open, and the guest told twice within the interval."""
    machine = Machine(answers=script(then=accepted(100)))
    machine.keystroke(at=0)
    machine.act(Kind.SESSION_ENDED, at=500)
    machine.keystroke(at=600)
    machine.run_until(2600)
    assert machine.sessions == 1
    assert machine.told() == ["0 typing", "2300 typing"], "the same episode, refreshed at R"
