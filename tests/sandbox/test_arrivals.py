from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from relay.core.indicator import Indicator
from relay.sandbox.arrivals import Arrival, Cleared, Shown, shown_spans, visible_at

TYPING, PAUSED, STOPPED = Indicator.TYPING, Indicator.PAUSED, Indicator.STOPPED


def arrival(at: float, indicator: Indicator, duration_ms: int = 3000, *, is_applied: bool = True) -> Arrival:
    return Arrival(at, 0, "s", "g", indicator, duration_ms, 200, is_applied)


def test_an_indicator_is_visible_for_its_duration_and_not_a_moment_longer() -> None:
    told = [arrival(1000, TYPING)]
    assert visible_at(told, "s", 999) is None
    assert visible_at(told, "s", 1000) is TYPING
    assert visible_at(told, "s", 3999) is TYPING
    assert visible_at(told, "s", 4000) is None


def test_the_next_indicator_replaces_the_one_before() -> None:
    assert shown_spans([arrival(0, TYPING), arrival(1000, PAUSED, 500)], "s") == [
        Shown(TYPING, 0, 1000),
        Shown(PAUSED, 1000, 1500),
    ]


def test_a_stop_clears_at_once_and_shows_nothing() -> None:
    assert shown_spans([arrival(0, TYPING), arrival(100, STOPPED)], "s") == [Shown(TYPING, 0, 100)]


def test_a_stop_of_what_has_lapsed_changes_nothing() -> None:
    assert shown_spans([arrival(0, TYPING), arrival(5000, STOPPED)], "s") == [Shown(TYPING, 0, 3000)]


def test_a_message_clears_what_is_shown_and_the_next_typing_shows_again() -> None:
    seen: list[Arrival | Cleared] = [
        arrival(0, TYPING),
        Cleared(1000, "s"),
        Cleared(1000, "t"),
        arrival(1000, TYPING, 500),
    ]
    assert shown_spans(seen[:2], "s") == [Shown(TYPING, 0, 1000)]
    assert shown_spans(seen, "s") == [Shown(TYPING, 0, 1000), Shown(TYPING, 1000, 1500)]


def test_what_was_not_applied_and_other_sessions_are_not_seen() -> None:
    assert shown_spans([arrival(0, TYPING, is_applied=False)], "s") == []
    assert shown_spans([arrival(0, TYPING)], "t") == []


def test_what_arrives_later_is_not_seen_yet() -> None:
    assert visible_at([arrival(0, TYPING), arrival(100, STOPPED)], "s", 99) is TYPING


@given(st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(Indicator), st.integers(100, 10_000))))
def test_spans_are_in_order_and_never_overlap(told: list[tuple[int, Indicator, int]]) -> None:
    arrivals = [arrival(at, indicator, duration_ms) for at, indicator, duration_ms in sorted(told)]
    spans = shown_spans(arrivals, "s")
    assert all(one.until <= other.since for one, other in pairwise(spans))
    assert all(visible_at(arrivals, "s", span.since) is span.indicator for span in spans)
