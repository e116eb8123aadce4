import pytest

from relay.core.delivery import Filter, State
from relay.core.why import Event, Holding, Progress, Verdict, Why, mismatches, unknown, verdict

NOW = 1_795_000_000_000
EVENT = Event("session.typing", "guest", "desk")
DAY_MS = 86_400_000
ALL = Filter()
FREE = Holding()


def told(progress: Progress | None, *, wants: Filter | None = ALL, holding: Holding = FREE) -> Verdict:
    return verdict(EVENT, progress, wants, holding, now=NOW)


def pending(due: int | None = NOW, *, waits_for: str | None = None) -> Progress:
    return Progress(State.PENDING, 0, due, waits_for=waits_for)


@pytest.mark.parametrize(
    ("wants", "parts"),
    [
        (Filter(), []),
        (Filter(events=("session.paused",)), ["events"]),
        (Filter(gateways=("other",), sources=("kiosk",)), ["gateways", "sources"]),
        (Filter(sources=("desk*",)), []),
    ],
)
def test_a_filter_names_each_part_that_does_not_admit_the_event(wants: Filter, parts: list[str]) -> None:
    assert list(mismatches(EVENT, wants)) == parts


def test_an_operational_event_is_wanted_by_those_who_name_it_whatever_their_gateways() -> None:
    event = Event("endpoint.degraded", "", "")
    assert list(mismatches(event, Filter(events=("*",)))) == ["events"]
    assert list(mismatches(event, Filter(events=("endpoint.*",), gateways=("guest",)))) == []


def test_a_source_that_was_not_recorded_is_not_what_filtered_it() -> None:
    assert list(mismatches(Event("session.typing", "guest", ""), Filter(sources=("kiosk",)))) == []


def test_without_a_delivery_it_was_filtered_or_not_meant_or_there_is_no_such_endpoint() -> None:
    assert told(None, wants=Filter(events=("message.*",))).why is Why.FILTERED
    assert "events" in told(None, wants=Filter(events=("message.*",))).sentence
    assert told(None).why is Why.NOT_MEANT
    assert told(None, wants=None).why is Why.UNKNOWN_ENDPOINT


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.DELIVERED, "delivered 2026-11-18T11:06:40.000Z after 2 attempts"),
        (
            State.EXHAUSTED,
            "given up 2026-11-18T11:06:40.000Z after 2 attempts, the last of which brought status 500",
        ),
        (State.EXPIRED, "expired 2026-11-18T11:06:40.000Z"),
        (State.SUPERSEDED, "by a newer event of its session, msg_2"),
        (State.CANCELLED, "cancelled 2026-11-18T11:06:40.000Z"),
    ],
)
def test_every_end_has_its_verdict_its_time_and_its_words(state: State, words: str) -> None:
    ended = told(Progress(state, 2, finished_at=NOW, last="status 500", superseded_by="msg_2"))
    assert (ended.why.value, ended.at) == (state.value, NOW)
    assert words in ended.sentence


def test_one_cancelled_for_its_endpoints_share_of_the_room_says_so() -> None:
    shed = told(Progress(State.CANCELLED, 0, finished_at=NOW, is_shed=True))
    assert shed.why is Why.CANCELLED
    assert "held more of the outbox than was free" in shed.sentence


def test_an_end_does_not_depend_on_how_the_endpoint_stands_now() -> None:
    holding = Holding(disabled_since=NOW, circuit_open_until=NOW + 1)
    assert (
        told(Progress(State.DELIVERED, 1, finished_at=NOW), holding=holding, wants=None).why is Why.DELIVERED
    )


@pytest.mark.parametrize(
    ("progress", "holding", "why", "at"),
    [
        (pending(), Holding(disabled_since=5, reason="410"), Why.DISABLED, 5),
        (pending(None), Holding(disabled_since=5, paused_since=6), Why.DISABLED, 5),
        (pending(None), Holding(paused_since=6), Why.PAUSED, 6),
        (pending(None), Holding(circuit_open_until=NOW + 9), Why.BEHIND, None),
        (pending(NOW + 5), Holding(circuit_open_until=NOW + 9), Why.CIRCUIT_OPEN, NOW + 9),
        (pending(NOW + 9), Holding(circuit_open_until=NOW + 5), Why.NEXT_ATTEMPT, NOW + 9),
        (pending(), Holding(circuit_open_until=NOW), Why.DUE, NOW),
        (pending(), Holding(held_until=NOW + 1), Why.HELD_BACK, NOW + 1),
        (pending(NOW + 1), Holding(is_full=True), Why.NEXT_ATTEMPT, NOW + 1),
        (pending(NOW - 1), Holding(is_full=True), Why.PLACE, NOW - 1),
        (pending(NOW), Holding(), Why.DUE, NOW),
        (Progress(State.INFLIGHT, 0, NOW + 30_000), Holding(paused_since=1), Why.IN_FLIGHT, NOW + 30_000),
    ],
)  # fmt: skip
def test_what_waits_is_told_what_ends_its_wait_last(
    progress: Progress, holding: Holding, why: Why, at: int | None
) -> None:
    waiting = told(progress, holding=holding)
    assert (waiting.why, waiting.at) == (why, at)


def test_what_waits_in_its_session_names_the_one_before() -> None:
    waiting = told(pending(None, waits_for="msg_1"))
    assert (waiting.why, waiting.event_id) == (Why.BEHIND, "msg_1")
    assert "msg_1" in waiting.sentence


def test_what_waits_for_an_endpoint_no_longer_configured_says_so() -> None:
    assert told(pending(), wants=None).why is Why.UNCONFIGURED


@pytest.mark.parametrize(
    ("recorded_at", "words"),
    [
        (None, "no event's id"),
        (NOW + 60_000, "time to come"),
        (NOW - 30 * DAY_MS, "past the retention"),
        (NOW - DAY_MS, "purged"),
    ],
)
def test_an_unknown_event_is_told_what_it_may_be(recorded_at: int | None, words: str) -> None:
    told = unknown(recorded_at, now=NOW, kept_ms=30 * DAY_MS)
    assert told.why is Why.UNKNOWN_EVENT
    assert words in told.sentence
