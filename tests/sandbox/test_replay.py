"""The measure by hand-computed examples, then the machine by the measure."""

import os
from pathlib import Path

import pytest

from relay.core.indicator import Cause, Indicator
from relay.core.moments import Ms
from relay.core.timings import StopMode, Timings
from relay.sandbox.replay import Call, Figures, measure, replay, split_runs, visible_spans
from relay.sandbox.traces import generated_trace, read_trace

T = Timings(refresh_jitter=0.0)
TERMINAL = Timings(refresh_jitter=0.0, stop_mode=StopMode.TERMINAL)


def typing(*times: Ms) -> list[Call]:
    return [Call(at, Indicator.TYPING, 3000, Cause.START) for at in times]


def stopped(at: Ms) -> Call:
    return Call(at, Indicator.STOPPED, 3000, Cause.STOP)


def paused(at: Ms) -> Call:
    return Call(at, Indicator.PAUSED, 3000, Cause.PAUSE)


# Runs and what is visible.


def test_runs_are_split_at_gaps_over_the_longest_bridged_one() -> None:
    assert split_runs([0, 1000, 4000, 7001, 7100], 3000) == [(0, 4000), (7001, 7100)]


def test_one_key_is_a_run_of_no_length() -> None:
    assert split_runs([500], 3000) == [(500, 500)]


@pytest.mark.parametrize(
    ("calls", "spans"),
    [
        ([], []),
        (typing(0), [(0, 3000)]),
        (typing(0, 2300), [(0, 5300)]),
        (typing(0, 3000), [(0, 6000)]),
        (typing(0, 3001), [(0, 3000), (3001, 6001)]),
        ([*typing(0), stopped(2000)], [(0, 2000)]),
        ([*typing(0), stopped(5000)], [(0, 3000)]),
        ([*typing(0), paused(2500)], [(0, 5500)]),
        ([*typing(0), stopped(2000), *typing(4000)], [(0, 2000), (4000, 7000)]),
    ],
)
def test_what_is_visible_follows_from_the_calls(calls: list[Call], spans: list[tuple[Ms, Ms]]) -> None:
    assert visible_spans(calls) == spans


def figures(keys: list[Ms], calls: list[Call]) -> Figures:
    return measure(keys, calls, T)


def test_darkness_between_two_displays_inside_a_run_is_a_lapse() -> None:
    """Keys 0..6000, shown 0..3000 and 4000..7000: one lapse of 1000 of 6000 ms, a ghost of 1000."""
    seen = figures([0, 2000, 4000, 6000], typing(0, 4000))
    assert (seen.lapses, seen.late_starts, seen.dark_share) == pytest.approx((1, 0, 1 / 6))
    assert seen.ghost_max_ms == 1000


def test_a_display_that_ends_before_the_run_is_a_lapse() -> None:
    seen = figures([0, 2000, 4000], typing(0))
    assert (seen.lapses, seen.dark_share) == pytest.approx((1, 1 / 4))


def test_a_run_that_begins_dark_is_late() -> None:
    seen = figures([0, 2000, 4000], typing(1000, 3300))
    assert (seen.lapses, seen.late_starts, seen.dark_share) == pytest.approx((0, 1, 1 / 4))


@pytest.mark.parametrize(("late_after_ms", "late"), [(0, 1), (299, 1), (300, 0)])
def test_a_start_within_what_is_granted_is_not_late(late_after_ms: Ms, late: int) -> None:
    """Shown 300 ms after the first key."""
    seen = measure([0, 2000], typing(300), T, late_after_ms=late_after_ms)
    assert (seen.late_starts, seen.dark_share) == pytest.approx((late, 0.15))


def test_a_run_nobody_saw_is_late_and_dark() -> None:
    seen = figures([0, 2000], [])
    assert (seen.lapses, seen.late_starts, seen.dark_share, seen.ghost_max_ms) == (0, 1, 1.0, 0)


def test_darkness_between_two_runs_is_none_of_ours() -> None:
    seen = figures([0, 100, 10_000, 10_100], typing(0, 10_000))
    assert (seen.runs, seen.lapses, seen.late_starts, seen.dark_share) == (2, 0, 0, 0)


def test_the_ghost_is_what_stays_visible_after_the_last_key() -> None:
    """First run: 0..100, shown until 3000 = 2900; second: 10000 alone, stopped at 11 500 = 1500."""
    seen = figures([0, 100, 10_000], [*typing(0, 10_000), stopped(11_500)])
    assert (seen.ghost_max_ms, seen.ghost_mean_ms) == (2900, 2200)


def test_a_ghost_ends_where_the_next_run_begins() -> None:
    seen = figures([0, 3100], typing(0, 2300))
    assert seen.ghost_max_ms == 3100


@pytest.mark.parametrize(
    ("keys", "clairvoyant", "online"),
    [
        ([0], 1, 1),  # L = 0: floor(0) + 1, ceil(0) + 1
        ([0, 2999], 1, 2),  # L / D just under 1
        ([0, 3000], 2, 2),  # L / D = 1
        ([0, 3000, 4500], 2, 3),  # 1.5
        ([0, 3000, 4500, 20_000], 3, 4),  # and a key alone
    ],
)
def test_the_fewest_calls_anybody_could_make(keys: list[Ms], clairvoyant: int, online: int) -> None:
    """LB_run = sum(floor(L / D) + 1), LB_online = sum(ceil(L / D) + 1)."""
    seen = figures(keys, [])
    assert (seen.fewest_clairvoyant, seen.fewest_online) == (clairvoyant, online)


def test_calls_are_counted_by_indicator() -> None:
    seen = figures([0], [*typing(0, 2300), paused(5000), stopped(9000)])
    assert (seen.calls, seen.by_indicator) == (4, {"typing": 2, "paused": 1, "typing_stopped": 1})


# The machine.


def test_one_key_costs_three_calls_in_explicit_and_one_in_terminal_mode() -> None:
    assert replay([0], T).by_indicator == {"typing": 1, "paused": 1, "typing_stopped": 1}
    assert replay([0], TERMINAL).by_indicator == {"typing": 1}


@pytest.mark.parametrize("seed", range(3))
def test_terminal_mode_never_lapses_and_costs_little_over_the_fewest(seed: int) -> None:
    """At most ceil(L / R) + 1 a run, R = 2300; sum over the runs split at P, where a refresh may end."""
    keys = generated_trace(minutes=60, seed=seed)
    seen = replay(keys, TERMINAL)
    runs = split_runs(keys, float(T.pause_after_ms))
    assert (seen.lapses, seen.late_starts) == (0, 0)
    assert seen.calls <= sum(-((first - last) // 2300) + 1 for first, last in runs)


def test_explicit_mode_never_lapses() -> None:
    assert replay(generated_trace(minutes=60), T).lapses == 0


REFERENCE = os.environ.get("RELAY_REFERENCE_TRACE")
with_reference = pytest.mark.skipif(
    not REFERENCE,
    reason="set RELAY_REFERENCE_TRACE to a trace of 21,411 keystrokes (one integer a line) to run it",
)


@with_reference
def test_terminal_mode_holds_the_bar_on_the_reference_trace() -> None:
    """At most 3,600 calls and no lapse; the fewest possible are 2,270 and, without foresight, 3,002."""
    seen = replay(reference(), TERMINAL)
    assert seen.calls <= 3600
    assert (seen.lapses, seen.late_starts) == (0, 0)
    assert (seen.fewest_clairvoyant, seen.fewest_online) == (2270, 3002)
    assert seen.ghost_max_ms <= 5300


@with_reference
def test_explicit_mode_holds_the_bar_on_the_reference_trace() -> None:
    """At most 4,700 calls and no lapse."""
    seen = replay(reference(), T)
    assert seen.calls <= 4700
    assert seen.lapses == 0


def reference() -> list[Ms]:
    keys = read_trace(Path(REFERENCE or ""))
    assert len(keys) == 21_411
    return keys
