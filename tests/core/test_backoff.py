"""The schedule is the one the Standard Webhooks specification gives; the figures here are its."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.backoff import SCHEDULE_MS, Exhausted, Wait, after

S = 1000
M = 60 * S
H = 60 * M
WAITS = [5 * S, 5 * M, 30 * M, 2 * H, 5 * H, 10 * H, 14 * H, 20 * H, 24 * H]


@pytest.mark.parametrize(("attempts", "wait_ms"), list(enumerate(WAITS, start=1)))
def test_each_failed_attempt_is_followed_by_its_wait(attempts: int, wait_ms: float) -> None:
    assert after(attempts, jitter=0) == Wait(wait_ms)


def test_the_tenth_failure_is_the_last() -> None:
    assert after(10, jitter=0) == Exhausted(10)


def test_the_whole_schedule_is_75_hours_35_minutes_and_5_seconds() -> None:
    assert sum(SCHEDULE_MS) == 75 * H + 35 * M + 5 * S


@given(st.integers(1, 9), st.floats(0, 0.1), st.none() | st.floats(0, 1e9))
def test_no_attempt_is_ever_early(attempts: int, jitter: float, hint_ms: float | None) -> None:
    match after(attempts, jitter=jitter, hint_ms=hint_ms):
        case Wait(ms):
            assert ms >= max(SCHEDULE_MS[attempts], hint_ms or 0)
        case Exhausted():
            pytest.fail("nine attempts are not the whole budget")


def test_jitter_adds_a_tenth_at_most() -> None:
    match after(1, jitter=0.1):
        case Wait(ms):
            assert ms == pytest.approx(5.5 * S)
        case Exhausted():
            pytest.fail("one attempt is not the whole budget")


def test_a_longer_retry_after_is_waited_for() -> None:
    assert after(1, jitter=0, hint_ms=90 * S) == Wait(90 * S)


def test_a_shorter_retry_after_does_not_hasten_anything() -> None:
    assert after(2, jitter=0, hint_ms=S) == Wait(5 * M)
