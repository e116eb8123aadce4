"""Who hears of what, and how often."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.delivery import Failure, Filter, State
from relay.core.endpoint import News, Turn
from relay.core.engagement import event_data, event_type
from relay.core.notice import TURNS, Hush, Kind, Notice, asking, is_operational, kind_of_failure, said, turned

AT = 1_795_000_000_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def notice(kind: Kind = Kind.DEGRADED, endpoint: str = "tracker", *, at: int = 0) -> Notice:
    return Notice(kind, endpoint, "because", AT, AT + at)


def told(hush: Hush, *notices: Notice) -> list[Kind]:
    return [passed.kind for one in notices if (passed := hush.passed(one))]


@pytest.mark.parametrize(
    ("events", "hears"),
    [
        (("*",), False),
        (("endpoint.*",), True),
        (("endpoint.degraded",), True),
        (("session.*", "endpoint.deg*"), True),
        (("endpoint.disabled", "message.*"), False),
        (("end*",), False),
        ((), False),
    ],
)
def test_only_a_pattern_that_names_operational_events_asks_for_them(
    events: tuple[str, ...],
    hears: bool,  # noqa: FBT001 - a column of the table
) -> None:
    filters = {"operator": Filter(events=events)}
    assert asking(filters, notice()) == (("operator",) if hears else ())


def test_an_endpoint_never_hears_of_itself() -> None:
    asks = Filter(events=("endpoint.*",))
    assert asking({"tracker": asks, "operator": asks}, notice(endpoint="tracker")) == ("operator",)


def test_filters_of_gateways_and_sources_do_not_apply() -> None:
    asks = Filter(events=("endpoint.*",), gateways=("guest",), sources=("crm",))
    assert asking({"operator": asks}, notice()) == ("operator",)


@pytest.mark.parametrize(
    ("event", "state", "attempts", "kind"),
    [
        ("session.typing", State.PENDING, 3, None),
        ("session.typing", State.PENDING, 4, Kind.FAILING),
        ("session.typing", State.PENDING, 5, None),
        ("session.typing", State.EXHAUSTED, 10, Kind.EXHAUSTED),
        ("session.typing", State.EXHAUSTED, 4, Kind.EXHAUSTED),
        ("session.typing", State.CANCELLED, 4, None),
        ("endpoint.degraded", State.PENDING, 4, None),
        ("message.attempt.exhausted", State.EXHAUSTED, 10, None),
    ],
)
def test_the_fourth_failure_and_the_last_give_cause_but_none_about_a_notice_itself(
    event: str, state: State, attempts: int, kind: Kind | None
) -> None:
    assert kind_of_failure(event, state, attempts) is kind


def test_every_kind_is_operational_and_no_event_of_a_session_is() -> None:
    assert all(map(is_operational, Kind))
    assert not is_operational("session.typing")


def test_the_like_is_told_once_an_hour_with_how_many_were_left_out() -> None:
    hush = Hush()
    first = hush.passed(notice(Kind.FAILING))
    assert first is not None
    assert first.unsaid == 0
    for at in (1, MINUTE_MS, HOUR_MS - 1):
        assert hush.passed(notice(Kind.FAILING, at=at)) is None
    later = hush.passed(notice(Kind.FAILING, at=HOUR_MS))
    assert later is not None
    assert later.unsaid == 3


def test_kinds_and_endpoints_do_not_hush_each_other() -> None:
    hush = Hush()
    both = [notice(kind, endpoint) for kind in Kind for endpoint in ("tracker", "other")]
    assert len(told(hush, *both)) == len(both)


def test_a_recovery_is_told_whenever_the_degradation_was() -> None:
    hush = Hush()
    turns = [notice(Kind.DEGRADED), notice(Kind.RECOVERED, at=1)]
    turns += [notice(Kind.DEGRADED, at=HOUR_MS), notice(Kind.RECOVERED, at=HOUR_MS + 1)]
    assert told(hush, *turns) == [Kind.DEGRADED, Kind.RECOVERED] * 2


def test_an_endpoint_that_flaps_is_told_of_once_an_hour_and_as_it_is_in_the_end() -> None:
    """A listener left with `recovered` would believe in a tracker that has been down for days."""
    hush = Hush()
    flaps = [
        notice(kind, at=minute * MINUTE_MS)
        for minute in range(0, 58, 2)
        for kind in (Kind.DEGRADED, Kind.RECOVERED)
    ]
    assert told(hush, *flaps) == [Kind.DEGRADED, Kind.RECOVERED]
    assert told(hush, notice(at=59 * MINUTE_MS)) == []
    assert told(hush, notice(at=61 * MINUTE_MS)) == [Kind.DEGRADED], "the probe that fails says it again"
    assert told(hush, notice(at=200 * MINUTE_MS)) == [], "and that is no news"


def test_a_recovery_answers_what_was_told_before_this_life() -> None:
    hush = Hush(turned={"tracker": Kind.DISABLED})
    assert told(hush, notice(Kind.DISABLED), notice(Kind.RECOVERED, at=1)) == [Kind.RECOVERED]


def test_what_may_not_have_been_recorded_is_told_again() -> None:
    hush = Hush()
    hush.passed(notice())
    hush.forget()
    assert hush.passed(notice(at=1)) is not None


def test_a_clock_set_back_does_not_hush_for_longer_than_it_was_set() -> None:
    hush = Hush()
    hush.passed(notice(Kind.FAILING, at=24 * HOUR_MS))
    assert hush.passed(notice(Kind.FAILING)) is not None


@given(st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 30 * MINUTE_MS)), max_size=100))
def test_no_two_alike_within_the_hour_but_recoveries_that_answer_a_degradation(
    steps: list[tuple[Kind, int]],
) -> None:
    hush, at = Hush(), 0
    passed: list[tuple[Kind, int]] = []
    for kind, gap in steps:
        at += gap
        if hush.passed(notice(kind, at=at)):
            passed.append((kind, at))
    for kind in set(Kind) - {Kind.RECOVERED}:
        times = [when for one, when in passed if one is kind]
        assert all(later - earlier >= HOUR_MS for earlier, later in pairwise(times))
    turns = [kind for kind, _ in passed if kind in TURNS]
    assert all(earlier is not later for earlier, later in pairwise(turns))


def test_the_event_says_who_why_since_and_by_what() -> None:
    turn = Turn(News.DEGRADED, "10 of 10 failed", AT, 10, 10)
    fact = turned("tracker", turn, AT + 1)
    assert event_type(fact) == "endpoint.degraded"
    assert event_data(fact, None) == {
        "endpoint": "tracker",
        "why": "10 of 10 failed",
        "since": "2026-11-18T11:06:40.000Z",
        "attempts": 10,
        "failures": 10,
        "unsaid": 0,
    }


def test_a_failure_in_a_word_or_two() -> None:
    assert said(503, Failure.STATUS) == "it answered 503"
    assert said(None, Failure.TIMEOUT) == "it failed: timeout"
