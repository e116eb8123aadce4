"""The actor table, cell by cell, from the design's own words; then its forks and the order, as sentences."""

from dataclasses import replace
from itertools import permutations

import pytest

from relay.core.activity import Activity, Kind
from relay.core.actor import (
    TABLE,
    Actor,
    Cell,
    Fork,
    Input,
    State,
    Timer,
    deadline,
    observe,
    step,
)
from relay.core.indicator import Indicator
from relay.core.moments import NEVER, Ms
from relay.core.order import is_in_order, remember_order
from relay.core.timings import Timings
from tests.core.machine import activity

T = Timings()
NOW: Ms = 10_000.0

# One specimen per state; every figure is one that no cell would write at NOW.
SPECIMENS: dict[State, Actor] = {
    State.IDLE: Actor("ann", State.IDLE, last=9000),
    State.TYPING: Actor("ann", State.TYPING, last=9000, life_until=500_000),
    State.PAUSED: Actor("ann", State.PAUSED, last=6500, stop_at=12_500, life_until=500_000),
    State.THINKING: Actor(
        "ann",
        State.THINKING,
        is_counting=True,
        last=8000,
        lease_until=23_000,
        life_until=128_000,
        thinking_id="t1",
    ),
    State.EXHAUSTED: Actor("ann", State.EXHAUSTED, last=9000, thinking_id="t1"),
}

# What each state's fields mean: a cell must name what it writes to them, and may not touch the others.
MEANINGFUL: dict[State, tuple[str, ...]] = {
    State.IDLE: (),
    State.TYPING: ("last", "life_until"),
    State.PAUSED: ("stop_at", "life_until"),
    State.THINKING: ("last", "lease_until", "life_until", "is_counting", "thinking_id"),
    State.EXHAUSTED: ("last", "thinking_id"),
}

# Words of the table: `last` is "last := now", and so on; `!word` is counted under that word.
WRITES: dict[str, tuple[str, object]] = {
    "last": ("last", NOW),
    "life": ("life_until", NOW + 600_000),
    "thought": ("life_until", NOW + 120_000),
    "lease": ("lease_until", NOW + 15_000),
    "stop": ("stop_at", NOW + 6000),
    "stop-from-last": ("stop_at", 9000 + 6000),
    "counts": ("is_counting", True),
    "waits": ("is_counting", False),
    "t1": ("thinking_id", "t1"),
    "t2": ("thinking_id", "t2"),
}

# `=` stay, `*` recompute, `-` the timer does not run in this state. Columns: I T P H X.
# keystroke x H recomputes: a thought inside its delay did not count, typing does.
# thinking x I recomputes nothing yet: the delay timer does; x T keeps the guest's view and may recompute it.
ROWS: dict[Input, tuple[str, str, str, str, str]] = {
    Kind.KEYSTROKE: ("T* last life", "= last", "T* last", "T* last life", "= last"),
    Kind.THINKING: (
        "H? last thought lease waits t2",
        "H? last thought lease counts t2",
        "H* last thought lease counts t2",
        "= last thought lease counts t2",
        "H* last thought lease counts t2",
    ),
    Kind.HEARTBEAT: ("= !orphan", "= last", "T* last", "= !foreign_id", "= !orphan"),
    Kind.THINKING_DONE: ("=", "=", "=", "= !foreign_id", "I"),
    Kind.PAUSED: ("=", "P* stop", "=", "P* stop life", "="),
    Kind.MESSAGE_SENT: ("I*", "I*", "I*", "I*", "I*"),
    Kind.CLEARED: ("I*", "I*", "I*", "I*", "I*"),
    Kind.ACTOR_LEFT: ("I*", "I*", "I*", "I*", "I*"),
    Kind.SESSION_ENDED: ("I*", "I*", "I*", "I*", "I*"),
    Timer.DELAY: ("-", "-", "-", "=* counts", "-"),
    Timer.PAUSE: ("-", "P* stop-from-last", "-", "-", "-"),
    Timer.STOP: ("-", "I*", "I*", "-", "I"),
    Timer.LEASE: ("-", "-", "-", "I*", "-"),
    Timer.LIFE: ("-", "X*", "X*", "X* last", "-"),
}
# The second half of each fork: the thought in progress is named again.
SAME_ID: dict[Input, tuple[str, str]] = {  # H, X
    Kind.THINKING: ("= lease", "="),
    Kind.HEARTBEAT: ("= lease", "= !orphan"),
    Kind.THINKING_DONE: ("I*", "I"),
}

CELLS = [
    (event, state, row[column], "t2") for event, row in ROWS.items() for column, state in enumerate(State)
] + [
    (event, state, cell, "t1")
    for event, cells in SAME_ID.items()
    for state, cell in zip((State.THINKING, State.EXHAUSTED), cells, strict=True)
]


def test_the_design_has_a_cell_for_every_input_in_every_state() -> None:
    assert set(ROWS) == set(TABLE) == {*Kind, *Timer}
    assert all(set(row) == set(State) for row in TABLE.values())


@pytest.mark.parametrize(("event", "state", "words", "thinking_id"), CELLS)
def test_each_cell_does_what_the_design_says(
    event: Input, state: State, words: str, thinking_id: str
) -> None:
    actor = replace(SPECIMENS[state])
    cell = apply(actor, event, thinking_id)
    head, *rest = words.split()
    if head == "-":
        assert cell.to is None
        assert actor == SPECIMENS[state]
        return
    assert actor.state == (state if head[0] == "=" else head[0])
    if "?" not in head:  # a recompute that can change nothing is nobody's loss
        assert cell.recomputes == ("*" in head)
    assert cell.counted == next((word[1:] for word in rest if word[0] == "!"), None)
    written = dict(WRITES[word] for word in rest if word[0] != "!")
    for field in MEANINGFUL[actor.state]:
        assert getattr(actor, field) == written.get(field, getattr(SPECIMENS[state], field)), field
    assert set(written) <= set(MEANINGFUL[actor.state])


def apply(actor: Actor, event: Input, thinking_id: str) -> Cell:
    if isinstance(event, Timer):
        return step(actor, event, NOW, None, T)
    thought = thinking_id if event in (Kind.THINKING, Kind.HEARTBEAT, Kind.THINKING_DONE) else None
    return observe(actor, activity(event, thinking_id=thought), NOW, T)


@pytest.mark.parametrize("state", State)
def test_an_interim_message_moves_nobody(state: State) -> None:
    actor = replace(SPECIMENS[state])
    cell = observe(actor, activity(Kind.MESSAGE_SENT, is_final=False), NOW, T)
    assert actor == SPECIMENS[state]
    assert not cell.recomputes


# What the guest sees of one actor.


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        (State.IDLE, Indicator.STOPPED),
        (State.TYPING, Indicator.TYPING),
        (State.PAUSED, Indicator.PAUSED),
        (State.THINKING, Indicator.TYPING),
        (State.EXHAUSTED, Indicator.STOPPED),
    ],
)
def test_each_state_is_one_indicator(state: State, seen: Indicator) -> None:
    assert SPECIMENS[state].indicator() is seen


def test_a_thought_inside_its_delay_shows_nothing() -> None:
    actor = Actor("bot")
    observe(actor, activity(Kind.THINKING, thinking_id="t1"), NOW, T)
    assert actor.indicator() is Indicator.STOPPED
    assert deadline(actor, T) == (NOW + 300, Timer.DELAY)
    step(actor, Timer.DELAY, NOW + 300, None, T)
    assert actor.indicator() is Indicator.TYPING


# Deadlines.


@pytest.mark.parametrize(
    ("state", "due", "timer"),
    [
        (State.TYPING, 9000 + 2500, Timer.PAUSE),
        (State.PAUSED, 12_500, Timer.STOP),
        (State.THINKING, 23_000, Timer.LEASE),
        (State.EXHAUSTED, 9000 + 6000, Timer.STOP),
    ],
)
def test_each_state_waits_for_one_timer(state: State, due: Ms, timer: Timer) -> None:
    assert deadline(SPECIMENS[state], T) == (due, timer)


def test_an_idle_actor_waits_for_nothing() -> None:
    assert deadline(SPECIMENS[State.IDLE], T)[0] == NEVER


@pytest.mark.parametrize("state", [State.TYPING, State.PAUSED, State.THINKING])
def test_a_life_that_ends_first_comes_first(state: State) -> None:
    actor = replace(SPECIMENS[state], life_until=10_500)
    assert deadline(actor, T) == (10_500, Timer.LIFE)


def test_an_accidental_silence_stops_a_stop_after_the_last_key_and_not_after_the_pause() -> None:
    actor = Actor("ann")
    observe(actor, activity(Kind.KEYSTROKE), 0, T)
    step(actor, Timer.PAUSE, 2500, None, T)
    assert deadline(actor, T) == (6000, Timer.STOP)


def test_a_reported_pause_restarts_the_stop_timer() -> None:
    actor = Actor("ann")
    observe(actor, activity(Kind.KEYSTROKE), 0, T)
    observe(actor, activity(Kind.PAUSED), 1000, T)
    assert deadline(actor, T) == (7000, Timer.STOP)


# Forks.


def test_typing_on_after_exhaustion_keeps_the_actor_exhausted() -> None:
    actor = replace(SPECIMENS[State.EXHAUSTED], last=NOW - 5999)
    observe(actor, activity(Kind.KEYSTROKE), NOW, T)
    assert actor.state is State.EXHAUSTED


def test_typing_after_a_whole_silence_gives_an_exhausted_actor_a_fresh_life() -> None:
    actor = replace(SPECIMENS[State.EXHAUSTED], last=NOW - 6000)
    cell = observe(actor, activity(Kind.KEYSTROKE), NOW, T)
    assert (actor.state, cell.recomputes) == (State.TYPING, True)
    assert actor.life_until == NOW + 600_000


def test_heartbeats_extend_the_lease_and_never_the_life() -> None:
    actor = replace(SPECIMENS[State.THINKING])
    for at in range(10_000, 128_000, 1000):
        observe(actor, activity(Kind.HEARTBEAT, thinking_id="t1"), at, T)
    assert actor.life_until == 128_000
    assert deadline(actor, T) == (128_000, Timer.LIFE)


@pytest.mark.parametrize("state", [State.IDLE, State.EXHAUSTED])
def test_a_heartbeat_resurrects_nobody(state: State) -> None:
    actor = replace(SPECIMENS[state])
    cell = observe(actor, activity(Kind.HEARTBEAT, thinking_id="t1"), NOW, T)
    assert actor == SPECIMENS[state]
    assert cell.counted == "orphan"


def test_a_heartbeat_without_an_id_means_the_thought_in_progress() -> None:
    actor = replace(SPECIMENS[State.THINKING])
    observe(actor, activity(Kind.HEARTBEAT), NOW, T)
    assert actor.lease_until == NOW + 15_000


def test_a_second_thought_inside_the_delay_does_not_begin_the_delay_again() -> None:
    actor = Actor("bot")
    observe(actor, activity(Kind.THINKING, thinking_id="t1"), 0, T)
    observe(actor, activity(Kind.THINKING, thinking_id="t2"), 200, T)
    assert deadline(actor, T) == (300, Timer.DELAY)
    assert actor.life_until == 200 + 120_000


def outlived() -> Actor:
    """An actor whose thought t1 has used up its life at NOW."""
    actor = replace(SPECIMENS[State.THINKING])
    step(actor, Timer.LIFE, NOW, None, T)
    return actor


@pytest.mark.parametrize("state", [State.IDLE, State.TYPING, State.PAUSED, State.EXHAUSTED])
def test_an_exhausted_id_is_dropped_within_the_tombstone_whatever_the_actor_does(state: State) -> None:
    actor = outlived()
    actor.state = state
    cell = observe(actor, activity(Kind.THINKING, thinking_id="t1"), NOW + 59_999, T)
    assert (actor.state, cell.counted, cell.recomputes) == (state, "exhausted_id", False)


def test_an_exhausted_id_stays_dead_when_another_outlived_itself_after_it() -> None:
    actor = outlived()
    observe(actor, activity(Kind.THINKING, thinking_id="t2"), NOW + 1, T)
    step(actor, Timer.LIFE, NOW + 30_000, None, T)
    for dead in ("t1", "t2"):
        assert (
            observe(actor, activity(Kind.THINKING, thinking_id=dead), NOW + 40_000, T).counted
            == "exhausted_id"
        )


def test_of_ids_that_outlived_themselves_only_those_still_dead_are_kept() -> None:
    actor = outlived()
    observe(actor, activity(Kind.THINKING, thinking_id="t2"), NOW + 60_000, T)
    step(actor, Timer.LIFE, NOW + 180_000, None, T)
    assert list(actor.exhausted_ids or {}) == ["t2"]


def test_an_exhausted_id_may_be_used_again_after_the_tombstone() -> None:
    actor = outlived()
    step(actor, Timer.STOP, NOW + 6000, None, T)
    observe(actor, activity(Kind.THINKING, thinking_id="t1"), NOW + 60_000, T)
    assert actor.state is State.THINKING


def test_only_thinking_exhausts_an_id() -> None:
    """A thought set aside for typing that then outlived itself is not the one that did."""
    actor = replace(SPECIMENS[State.THINKING])
    observe(actor, activity(Kind.PAUSED), NOW, T)
    observe(actor, activity(Kind.KEYSTROKE), NOW + 1, T)
    step(actor, Timer.LIFE, NOW + 600_000, None, T)
    observe(actor, activity(Kind.THINKING, thinking_id="t1"), NOW + 600_001, T)
    assert actor.state is State.THINKING


def test_a_life_of_typing_spans_its_pauses() -> None:
    actor = Actor("ann")
    observe(actor, activity(Kind.KEYSTROKE), 0, T)
    step(actor, Timer.PAUSE, 2500, None, T)
    observe(actor, activity(Kind.KEYSTROKE), 5000, T)
    assert actor.life_until == 600_000


# Order.


def accept(actor: Actor, act: Activity) -> bool:
    if not is_in_order(actor, act):
        return False
    remember_order(actor, act)
    observe(actor, act, NOW, T)
    return True


def test_only_a_pair_above_the_last_accepted_one_is_taken() -> None:
    actor = Actor("ann")
    taken = [
        accept(actor, activity(Kind.KEYSTROKE, epoch=epoch, seq=seq))
        for epoch, seq in ((1, 5), (1, 5), (1, 4), (1, 6), (0, 99), (2, 0), (1, 7))
    ]
    assert taken == [True, False, False, True, False, True, False]


@pytest.mark.parametrize("kind", [Kind.MESSAGE_SENT, Kind.CLEARED, Kind.ACTOR_LEFT, Kind.SESSION_ENDED])
def test_if_the_highest_activity_is_terminal_every_order_of_delivery_ends_idle(kind: Kind) -> None:
    script = [
        activity(Kind.KEYSTROKE, seq=1),
        activity(Kind.THINKING, seq=2, thinking_id="t1"),
        activity(Kind.HEARTBEAT, seq=3, thinking_id="t1"),
        activity(kind, seq=4),
    ]
    for order in permutations(script):
        actor = Actor("ann")
        for act in order:
            accept(actor, act)
        assert actor.state is State.IDLE


def test_client_time_orders_only_against_the_last_terminal_activity() -> None:
    actor = Actor("ann")
    assert accept(actor, activity(Kind.KEYSTROKE, at=2000))
    assert accept(actor, activity(Kind.KEYSTROKE, at=1000)), "an older keystroke is no harm"
    assert accept(actor, activity(Kind.MESSAGE_SENT, at=3000))
    assert not accept(actor, activity(Kind.KEYSTROKE, at=2999))
    assert accept(actor, activity(Kind.KEYSTROKE, at=3000))
    assert accept(actor, activity(Kind.KEYSTROKE)), "without any time there is nothing to order by"


def test_an_interim_message_orders_nothing_by_client_time() -> None:
    actor = Actor("ann")
    accept(actor, activity(Kind.MESSAGE_SENT, at=3000, is_final=False))
    assert accept(actor, activity(Kind.KEYSTROKE, at=2000))


def test_an_older_terminal_activity_does_not_move_the_mark_back() -> None:
    actor = Actor("ann")
    accept(actor, activity(Kind.MESSAGE_SENT, at=3000, seq=1))
    accept(actor, activity(Kind.CLEARED, at=1000, seq=2))
    assert not accept(actor, activity(Kind.KEYSTROKE, at=2000))


def test_every_fork_has_two_different_ends() -> None:
    forks = [cell for row in TABLE.values() for cell in row.values() if isinstance(cell, Fork)]
    assert len(forks) == 5  # keystroke x X, thinking x H and X, heartbeat x H, thinking_done x H
    assert all(fork.yes != fork.no for fork in forks)
