"""How long an event is worth delivering, and which one takes another's place."""

import pytest

from relay.core.delivery import LEADS_TO, State, Verdict, answered, judge
from relay.core.terms import (
    DURABLE,
    EPHEMERAL,
    SUPERSEDES,
    TERMS,
    DeliveryClass,
    Terms,
    Weight,
    least_superseding,
    weight,
)

LIFE_MS = 30_000


def verdict(attempts: int, left_ms: float | None, *, terms: Terms = EPHEMERAL, hint_ms: float = 0) -> Verdict:
    return judge(answered(503, hint_ms), attempts=attempts, jitter=0, terms=terms, left_ms=left_ms)


def test_every_class_has_its_terms() -> None:
    assert set(TERMS) == set(DeliveryClass)


def test_an_ephemeral_delivery_lives_half_a_minute_and_is_tried_at_0_1_and_5_seconds() -> None:
    assert (EPHEMERAL.life_ms, EPHEMERAL.schedule_ms) == (LIFE_MS, (0, 1000, 5000))


def test_a_durable_one_lives_as_long_as_its_schedule() -> None:
    assert (DURABLE.life_ms, len(DURABLE.schedule_ms)) == (None, 10)


@pytest.mark.parametrize(
    ("event", "weighs"),
    [
        ("session.typing", Weight.STATE),
        ("session.paused", Weight.STATE),
        ("session.stopped", Weight.STOPPED),
        ("typing_indicator.broadcast", Weight.SHOWN),
        ("typing_indicator.failed", Weight.SHOWN),
    ],
)
def test_what_a_session_does_weighs_more_than_what_was_shown_of_it(event: str, weighs: Weight) -> None:
    assert weight(event) is weighs


def test_the_table_of_what_supersedes_what_is_complete() -> None:
    assert set(SUPERSEDES) == set(Weight)


@pytest.mark.parametrize("one", list(Weight))
def test_the_table_read_backwards_says_the_same(one: Weight) -> None:
    assert {newer for newer in Weight if newer >= least_superseding(one)} == {
        newer for newer, most in SUPERSEDES.items() if one <= most
    }


def test_stopped_gives_way_to_a_newer_state_and_to_nothing_less() -> None:
    above = [newer for newer, most in SUPERSEDES.items() if most >= Weight.STOPPED]
    assert above == [Weight.STATE, Weight.STOPPED]


@pytest.mark.parametrize(("attempts", "wait_ms"), [(1, 1000), (2, 5000)])
def test_the_waits_are_those_of_the_terms(attempts: int, wait_ms: float) -> None:
    assert verdict(attempts, LIFE_MS) == Verdict(State.PENDING, wait_ms=wait_ms)


def test_an_ephemeral_delivery_is_never_a_dead_letter() -> None:
    assert verdict(3, LIFE_MS) == Verdict(State.EXPIRED)


@pytest.mark.parametrize(
    ("left_ms", "state"), [(5001, State.PENDING), (5000, State.EXPIRED), (-1, State.EXPIRED)]
)
def test_a_retry_that_would_come_too_late_is_not_waited_for(left_ms: float, state: State) -> None:
    assert verdict(2, left_ms).state is state


def test_a_receiver_that_asks_for_a_minute_outlives_the_event_and_gets_its_pause() -> None:
    assert verdict(1, LIFE_MS, hint_ms=60_000) == Verdict(State.EXPIRED, pause_ms=60_000)


def test_a_durable_delivery_with_a_greatest_age_expires_too() -> None:
    aging = Terms(life_ms=3_600_000)
    assert verdict(3, 1_800_000, terms=aging).state is State.EXPIRED
    assert verdict(3, 1_800_001, terms=aging).state is State.PENDING


def test_a_schedule_of_ones_own_spends_its_own_budget() -> None:
    once_more = Terms(schedule_ms=(0, 7000))
    assert verdict(1, None, terms=once_more) == Verdict(State.PENDING, wait_ms=7000)
    assert verdict(2, None, terms=once_more) == Verdict(State.EXHAUSTED)


def test_what_is_in_flight_may_expire_or_be_superseded_when_it_lands() -> None:
    assert {State.EXPIRED, State.SUPERSEDED} <= LEADS_TO[State.INFLIGHT]
