"""One line per change and not per failure, and never a try before its time."""

import logging

import pytest

from relay.client.answers import Answer, Fault, Trouble, away
from relay.client.health import Health

TAKEN = Answer(1)


def failing(retry_after_s: float | None = None) -> Answer:
    return away("nobody there", retry_after_s=retry_after_s)


def refused(status: int = 401) -> Answer:
    return Answer(trouble=Trouble(Fault.REFUSED, status, "no such key"))


def unusable(*places: str) -> Answer:
    return Answer(trouble=Trouble(Fault.UNUSABLE, 422, "bad", tuple((place, "an id") for place in places)))


def lines(*answers: Answer) -> list[int | None]:
    health = Health()
    judged = [health.judge(a, began=n * 1000, now=n * 1000, jitter=0) for n, a in enumerate(answers)]
    return [None if line is None else line.level for line in judged]


def test_the_waits_grow_to_five_seconds() -> None:
    health, now, waits = Health(), 0.0, []
    for _ in range(7):
        health.judge(failing(), began=now, now=now, jitter=0)
        waits.append(health.may_try_at - now)
        now = health.may_try_at
    assert waits == [50, 250, 1000, 2000, 5000, 5000, 5000]


def test_chance_only_ever_adds_to_a_wait() -> None:
    health = Health()
    health.judge(failing(), began=0, now=0, jitter=1)
    assert health.may_try_at == 50 * 1.25


def test_a_longer_retry_after_is_kept_and_one_beyond_a_minute_is_cut() -> None:
    for asked_s, wait_ms in ((3, 3000), (3600, 60_000)):
        health = Health()
        health.judge(failing(asked_s), began=0, now=0, jitter=0)
        assert health.may_try_at == wait_ms


def test_requests_that_fail_together_are_one_failure() -> None:
    health = Health()
    for _ in range(4):
        health.judge(failing(), began=0, now=100, jitter=0)
    assert (health.fails, health.may_try_at) == (1, 150)


def test_a_wait_is_not_over_when_what_left_before_it_is_taken() -> None:
    """Escaped because what was on its way together was only ever told to fail together."""
    health = Health()
    health.judge(failing(3), began=0, now=50, jitter=0)
    for answer in (TAKEN, unusable("guestId"), refused()):
        health.judge(answer, began=10, now=100, jitter=0)
        assert (health.fails, health.may_try_at) == (1, 3050)
        assert health.away is not None
    health.judge(TAKEN, began=3050, now=3100, jitter=0)
    assert (health.fails, health.may_try_at, health.away) == (0, 3100, None)


def test_what_left_before_a_failure_that_is_healed_and_fails_later_is_a_first_failure() -> None:
    """It waited five seconds, as after many."""
    health = Health()
    health.judge(failing(), began=10, now=20, jitter=0)
    health.judge(TAKEN, began=70, now=80, jitter=0)
    health.judge(failing(), began=0, now=2000, jitter=0)
    assert (health.fails, health.may_try_at) == (1, 2050)


def test_a_refusal_is_the_answer_from_then_on_and_no_longer_the_failure_before_it() -> None:
    """What hung afterwards was told with the words of a 503 that was long over."""
    health = Health()
    health.judge(away("stopping", status=503), began=0, now=10, jitter=0)
    health.judge(refused(), began=60, now=70, jitter=0)
    assert health.away is None


def test_a_failure_that_the_next_try_heals_is_not_said() -> None:
    assert lines(failing(), TAKEN, failing(), TAKEN) == [None] * 4


def test_a_first_failure_is_said_if_it_asks_for_more_than_a_second() -> None:
    assert lines(failing(1), TAKEN) == [None, None]
    assert lines(failing(1.5), failing(1.5), TAKEN) == [logging.WARNING, None, logging.WARNING]


def test_a_failure_is_said_with_its_status_and_for_how_long_it_holds() -> None:
    for answer, words in (
        (away("too much", status=429, retry_after_s=30), "the relay takes nothing (429, for 30 s): too much"),
        (
            away("too much", status=429, retry_after_s=900),
            "the relay takes nothing (429, for 60 s): too much",
        ),
        (away("full", status=503), "the relay takes nothing (503): full"),
        (away("nobody there"), "the relay takes nothing: nobody there"),
    ):
        health = Health()
        judged = [health.judge(answer, began=now, now=now, jitter=0) for now in (0, 1000)]
        assert [line.words for line in judged if line is not None] == [f"{words}; this is said once"]


def test_a_silence_tells_the_failure_it_is_for_and_how_long_it_holds_yet() -> None:
    health = Health()
    assert health.silence(0, until=5000) is None
    health.judge(away("too much", status=429, retry_after_s=30), began=0, now=0, jitter=0)
    assert health.silence(26_000, until=31_000) is None
    silence = health.silence(10_000, until=15_000)
    assert silence is not None
    assert (silence.status, silence.retry_after_s) == (429, 20)
    assert silence.words == "too much (this was not sent: nothing will be for 20 s)"
    health.judge(TAKEN, began=30_000, now=30_000, jitter=0)
    assert health.silence(30_000, until=30_000) is None


def test_an_outage_is_said_once_and_its_end_once() -> None:
    assert lines(failing(), failing(), failing(), TAKEN, TAKEN) == [
        None,
        logging.WARNING,
        None,
        logging.WARNING,
        None,
    ]


def test_a_refusal_is_said_at_once_and_another_one_too() -> None:
    assert lines(refused(), refused(), refused(403), TAKEN) == [
        logging.ERROR,
        None,
        logging.ERROR,
        logging.WARNING,
    ]


def test_each_way_of_being_wrong_is_said_once_wherever_in_a_batch_it_stands() -> None:
    said = lines(unusable("3.guestId"), unusable("guestId"), unusable("0.actor.id"))
    assert said == [logging.ERROR, None, logging.ERROR]


@pytest.mark.parametrize("count", [1000])
def test_a_thousand_ways_of_being_wrong_are_twenty_lines(count: int) -> None:
    assert len([one for one in lines(*(unusable(f"f{n}") for n in range(count))) if one]) == 20
