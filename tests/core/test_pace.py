"""The token bucket: its rate over any span, its burst, and that waiting fills it and nothing else does."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.moments import Ms
from relay.core.pace import Pace

S: Ms = 1000


def sent(pace: Pace, asked: list[Ms]) -> list[Ms]:
    """When something was sent, by somebody who takes all the room there is each time he asks."""
    times: list[Ms] = []
    for now in asked:
        room = pace.room(now)
        pace.spend(now, room)
        times += [now] * room
    return times


def test_a_seconds_worth_may_go_at_once_and_then_it_waits_for_its_share() -> None:
    pace = Pace.of(50)
    assert pace.room(0) == 50
    pace.spend(0, 50)
    assert pace.room(0) == 0
    assert pace.opens_at(0) == pytest.approx(20)
    assert pace.room(20) == 1
    assert pace.room(60 * S) == 50


def test_a_rate_below_one_a_second_still_lets_one_go() -> None:
    pace = Pace.of(0.1)
    assert pace.room(0) == 1
    pace.spend(0, 1)
    assert (pace.room(9999), pace.room(10_000)) == (0, 1)


def test_asking_spends_nothing() -> None:
    pace = Pace.of(1)
    assert [pace.room(0) for _ in range(3)] == [1, 1, 1]


@given(st.floats(0.01, 5), st.lists(st.floats(0, 5 * S), min_size=1, max_size=30))
def test_no_span_holds_more_than_the_burst_and_its_share(rate_per_s: float, gaps: list[float]) -> None:
    pace = Pace.of(rate_per_s)
    times = sent(pace, list(itertools.accumulate(gaps)))
    for first, began in enumerate(times):
        for last in range(first, len(times)):
            span_s = (times[last] - began) / 1000
            assert last - first + 1 <= pace.burst + rate_per_s * span_s + 0.001


@given(st.floats(0.01, 1000), st.floats(0, 1e9))
def test_when_it_says_that_it_opens_there_is_room(rate_per_s: float, now: Ms) -> None:
    pace = Pace.of(rate_per_s)
    pace.spend(now, pace.room(now))
    assert pace.room(pace.opens_at(now)) >= 1
