"""What an answer makes of a delivery, who wants an event, and which states follow which."""

import pytest

from relay.core.delivery import (
    LEADS_TO,
    LIVE,
    Answer,
    Failure,
    Filter,
    State,
    Verdict,
    answered,
    judge,
    matches,
    overtaken_at,
    retry_room,
)
from relay.core.retry_after import parse_retry_after
from relay.core.terms import Terms

H = 3_600_000


def verdict(status: int, *, attempts: int = 1, hint_ms: float | None = None) -> Verdict:
    return judge(answered(status, hint_ms), attempts=attempts, jitter=0)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_only_2xx_is_a_success(status: int) -> None:
    assert verdict(status) == Verdict(State.DELIVERED)


@pytest.mark.parametrize(
    "status", [100, 199, 300, 301, 302, 307, 308, 400, 401, 403, 404, 409, 422, 500, 502]
)
def test_every_other_answer_is_tried_again(status: int) -> None:
    assert verdict(status) == Verdict(State.PENDING, wait_ms=5000)


def test_410_ends_the_delivery_and_disables_the_endpoint() -> None:
    assert verdict(410) == Verdict(State.CANCELLED, disables_endpoint=True)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_on_429_and_503_pauses_the_whole_endpoint(status: int) -> None:
    assert verdict(status, hint_ms=60_000) == Verdict(State.PENDING, wait_ms=60_000, pause_ms=60_000)


def test_retry_after_on_another_status_delays_its_delivery_only() -> None:
    assert verdict(500, hint_ms=60_000) == Verdict(State.PENDING, wait_ms=60_000)


def test_a_pause_is_an_hour_at_most() -> None:
    asked = verdict(429, hint_ms=parse_retry_after("360000", 0))
    assert asked == Verdict(State.PENDING, wait_ms=H, pause_ms=H)


@pytest.mark.parametrize("failure", list(Failure))
def test_a_broken_attempt_is_tried_again_wherever_it_broke(failure: Failure) -> None:
    assert judge(Answer(None, failure), attempts=2, jitter=0) == Verdict(State.PENDING, wait_ms=300_000)


def test_the_tenth_failure_makes_a_dead_letter() -> None:
    assert verdict(500, attempts=10).state is State.EXHAUSTED


def test_the_tenth_attempt_may_still_succeed() -> None:
    assert verdict(200, attempts=10).state is State.DELIVERED


def test_a_429_that_ends_the_budget_still_pauses_the_endpoint() -> None:
    assert verdict(429, attempts=10, hint_ms=7000) == Verdict(State.EXHAUSTED, pause_ms=7000)


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [
        ("*", "session.typing", True),
        ("session.*", "session.typing", True),
        ("session.*", "sessions", False),
        ("session.typing", "session.typing", True),
        ("session.typing", "session.typing2", False),
        ("session", "session.typing", False),
        ("*.typing", "session.typing", False),
    ],
)
def test_a_pattern_is_a_name_or_a_prefix_with_a_star(pattern: str, name: str, is_match: bool) -> None:  # noqa: FBT001 - a table's column
    assert matches((pattern,), name) is is_match


def test_an_event_must_pass_all_three_filters() -> None:
    want = Filter(events=("session.*",), gateways=("guest",), sources=("desk", "bot"))
    assert want.admits("session.paused", "guest", "bot")
    assert not want.admits("typing_indicator.failed", "guest", "bot")
    assert not want.admits("session.paused", "genesys", "bot")
    assert not want.admits("session.paused", "guest", "other")


def test_the_table_of_states_is_complete() -> None:
    assert set(LEADS_TO) == set(State)


def test_an_ended_delivery_can_only_be_replayed() -> None:
    assert {LEADS_TO[state] for state in State if state not in LIVE} == {frozenset({State.PENDING})}


@pytest.mark.parametrize(("due", "free_at"), [(600_999, None), (601_000, None), (601_001, 601_000)])
def test_one_that_is_due_later_than_ten_minutes_after_its_first_attempt_is_overtaken(
    due: int, free_at: int | None
) -> None:
    assert overtaken_at(1000, due) == free_at


@pytest.mark.parametrize(
    ("free", "retrying", "concurrency", "room"),
    [(8, 0, 8, 6), (8, 4, 8, 2), (2, 6, 8, 0), (1, 0, 1, 1), (2, 0, 2, 1), (1, 0, 8, 1), (256, 0, 256, 192)],
)
def test_a_quarter_of_the_places_is_kept_from_retries(
    free: int, retrying: int, concurrency: int, room: int
) -> None:
    assert retry_room(free, retrying=retrying, concurrency=concurrency) == room


def test_of_a_wish_to_wait_no_more_is_granted_than_the_endpoint_has_it() -> None:
    asked = judge(answered(429, 60_000), attempts=1, jitter=0, terms=Terms(longest_hint_ms=8000))
    assert asked == Verdict(State.PENDING, wait_ms=8000, pause_ms=8000)
