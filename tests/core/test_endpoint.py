"""The breaker's and the auto-disable's exact figures."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.endpoint import Circuit, EndpointBreaker, Failing, News, Patience, Record, failed
from relay.core.moments import Ms

S, M, H = 1000, 60_000, 3_600_000


def failing(times: int, *, at: Ms = 0) -> EndpointBreaker:
    breaker = EndpointBreaker()
    for _ in range(times):
        breaker.noted(at, is_success=False)
    return breaker


def test_nine_failures_are_too_few_to_judge_and_the_tenth_opens() -> None:
    breaker = failing(9)
    assert breaker.room(0, in_flight=0) is None
    assert breaker.noted(0, is_success=False) is News.DEGRADED
    assert breaker.room(30 * S - 1, in_flight=0) == 0


@pytest.mark.parametrize(("successes", "failures", "opens"), [(3, 7, True), (4, 7, False), (30, 70, True)])
def test_seventy_per_cent_failing_opens(successes: int, failures: int, opens: bool) -> None:  # noqa: FBT001 - a column of the table
    breaker = EndpointBreaker()
    for _ in range(successes):
        breaker.noted(0, is_success=True)
    for _ in range(failures):
        breaker.noted(0, is_success=False)
    assert (breaker.circuit is Circuit.OPEN) is opens


def test_failures_of_more_than_five_minutes_ago_count_no_more() -> None:
    breaker = failing(9)
    breaker.noted(5 * M, is_success=False)
    assert breaker.circuit is Circuit.CLOSED


def test_after_thirty_seconds_one_probe_goes_at_a_time() -> None:
    breaker = failing(10)
    assert breaker.room(30 * S, in_flight=0) == 1
    assert breaker.room(30 * S, in_flight=1) == 0


def test_a_failed_probe_doubles_the_wait_up_to_ten_minutes() -> None:
    breaker, now, waits = failing(10), 30.0 * S, []
    for _ in range(7):
        assert breaker.room(now, in_flight=0) == 1
        breaker.noted(now, is_success=False)
        waits.append(breaker.open_until - now)
        now = breaker.open_until
    assert waits == [60 * S, 120 * S, 240 * S, 480 * S, 600 * S, 600 * S, 600 * S]


def test_three_successes_in_a_row_close_and_the_next_opening_is_short_again() -> None:
    breaker = failing(10)
    breaker.room(30 * S, in_flight=0)
    assert [breaker.noted(30 * S, is_success=True) for _ in range(3)] == [None, None, News.RECOVERED]
    for _ in range(10):
        breaker.noted(31 * S, is_success=False)
    assert breaker.open_until == 61 * S


def test_a_success_and_a_failure_close_nothing() -> None:
    breaker = failing(10)
    for answer in (True, True, False):
        breaker.room(breaker.open_until, in_flight=0)
        breaker.noted(breaker.open_until, is_success=answer)
    assert breaker.circuit is Circuit.OPEN


def test_late_answers_to_what_was_sent_before_it_opened_change_nothing() -> None:
    breaker = failing(10)
    until = breaker.open_until
    for answer in (True, False, True, True):
        assert breaker.noted(1 * S, is_success=answer) is None
    assert (breaker.circuit, breaker.open_until) == (Circuit.OPEN, until)


@given(st.lists(st.tuples(st.integers(0, 20 * S), st.booleans()), max_size=400))
def test_an_endpoint_that_only_fails_is_asked_at_most_every_ten_seconds_once_open(
    steps: list[tuple[int, bool]],
) -> None:
    breaker, now = failing(10), 0.0
    asked: list[Ms] = []
    for gap, _ in steps:
        now += gap
        if breaker.room(now, in_flight=0):
            asked.append(now)
            breaker.noted(now, is_success=False)
    assert all(later - earlier >= 10 * S for earlier, later in itertools.pairwise(asked))


def test_it_remembers_thirty_numbers_whatever_the_rate() -> None:
    breaker = EndpointBreaker()
    for step in range(100_000):
        breaker.noted(step * 10.0, is_success=True)
    assert len(breaker._buckets) <= 31


def test_five_days_without_success_and_two_exhausted_half_a_day_apart_disable() -> None:
    record = Record(last_success=0)
    assert not record.exhausted(110 * H)
    assert not record.exhausted(121 * H)  # 11 h apart
    assert record.exhausted(122 * H)


def test_four_days_without_success_disable_nothing() -> None:
    record = Record(last_success=0)
    record.exhausted(80 * H)
    assert not record.exhausted(119 * H)


def test_a_success_forgives_what_was_before() -> None:
    record = Record(last_success=0)
    record.exhausted(100 * H)
    record.succeeded(110 * H)
    assert not record.exhausted(115 * H)
    assert not record.exhausted(229 * H)


def test_its_first_use_is_no_success_and_forgiveness_neither_makes_nor_forgets_one() -> None:
    never, once = Record(last_success=1 * H), Record(last_success=1 * H)
    once.succeeded(3 * H)
    for record in (never, once):
        record.forgiven(200 * H)
    assert (never.succeeded_at, once.succeeded_at) == (None, 3 * H)
    assert once.last_success == 200 * H


def test_failures_in_a_row_are_counted_from_the_first_and_the_last_is_quoted() -> None:
    first = failed(None, 1000, "it answered 500")
    assert first == Failing(1000, 1, "it answered 500")
    assert failed(first, 2000, "it failed: connect") == Failing(1000, 2, "it failed: connect")


def test_an_open_circuit_can_be_tried_at_once_and_a_failure_shuts_it_as_any() -> None:
    breaker = failing(10)
    breaker.try_now(1 * S)
    assert breaker.room(1 * S, in_flight=0) == 1
    breaker.noted(1 * S, is_success=False)
    assert breaker.open_until == 61 * S


def test_a_closed_circuit_does_not_care_to_be_tried() -> None:
    breaker = EndpointBreaker()
    breaker.try_now(0)
    assert breaker.room(0, in_flight=5) is None


def test_it_says_what_it_was_judged_by() -> None:
    breaker = failing(9)
    breaker.noted(0, is_success=True)
    breaker.noted(0, is_success=False)
    assert breaker.judged_by == (11, 10)


def test_the_words_name_the_last_success_and_the_first_in_vain() -> None:
    words = Record(last_success=1_795_000_000_000, first_exhausted=1_795_003_600_000).in_words()
    assert "2026-11-18T11:06:40" in words
    assert "2026-11-18T12:06:40" in words


def test_an_endpoint_may_ask_for_other_figures_of_its_circuit() -> None:
    breaker = EndpointBreaker(
        Patience(20 * S, 4, 0.5, open_ms=5 * S, longest_open_ms=12 * S, successes_to_close=1)
    )
    answers = [breaker.noted(now, is_success=False) for now in (0, 25 * S, 25 * S, 25 * S)]
    assert answers == [None] * 4, "the first is out of the window, and three are too few"
    assert breaker.noted(26 * S, is_success=False) is News.DEGRADED
    waits = []
    for _ in range(3):
        waits.append(breaker.open_until)
        breaker.room(breaker.open_until, in_flight=0)
        breaker.noted(breaker.open_until, is_success=False)
    waits.append(breaker.open_until)
    assert [later - now for now, later in itertools.pairwise([26 * S, *waits])] == [
        5 * S,
        10 * S,
        12 * S,
        12 * S,
    ]
    breaker.room(breaker.open_until, in_flight=0)
    assert breaker.noted(breaker.open_until, is_success=True) is News.RECOVERED


def test_a_circuit_that_closed_opens_again_for_the_shortest() -> None:
    breaker = failing(10)
    for now, is_success in [(30 * S, False), (90 * S, True), (90 * S, True), (90 * S, True)]:
        breaker.room(now, in_flight=0)
        breaker.noted(now, is_success=is_success)
    for _ in range(10):
        breaker.noted(100 * S, is_success=False)
    assert breaker.open_until == 130 * S


def test_an_endpoint_may_be_given_up_sooner() -> None:
    record, sooner = Record(last_success=0), Patience(no_success_ms=2 * H, exhausted_apart_ms=1 * H)
    assert not record.exhausted(1 * H, sooner)
    assert record.exhausted(2 * H, sooner)
