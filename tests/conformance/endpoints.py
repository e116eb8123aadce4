"""What any outbox store must do about endpoints: remember how they stand and did, and tell who asks. Beside `outbox_store`."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from relay import wire
from relay.core.delivery import Filter, State
from relay.core.endpoint import News, Standing, Turn
from relay.core.moments import UnixMs
from relay.outbox.rows import EndpointRow, Selection
from relay.outbox.store import Lease, OutboxStore, Settled
from tests.conformance.outbox_store import (
    FILTERS,
    HOUR_MS,
    START,
    Medium,
    broadcast,
    claim,
    settlement,
    transition,
)

OPERATOR = "operator"
ASKS = Filter(events=("endpoint.*", "message.*"))
MINUTE_MS = 60_000


async def taken(store: OutboxStore, session: str = "a", *, endpoint: str = "all") -> Lease:
    await store.append(transition(session))
    (lease,) = await claim(store, endpoint=endpoint)
    return lease


async def ended(store: OutboxStore, session: str, state: State) -> Settled:
    """A transition of a session of its own, and its delivery to `all` ended in `state`."""
    return await store.settle(settlement(await taken(store, session), state))


async def told(store: OutboxStore) -> list[tuple[str, dict[str, object]]]:
    """(type, data) of each operational event that waits, which are then delivered."""
    found = []
    while leases := await claim(store, endpoint=OPERATOR):
        for lease in leases:
            body = wire.loads(lease.body)
            assert body["type"] == lease.event_type
            found.append((lease.event_type, body["data"]))
            await store.settle(settlement(lease))
    return found


async def row_of(store: OutboxStore, endpoint: str = "all") -> EndpointRow:
    (row,) = [row for row in await store.endpoints() if row.name == endpoint]
    return row


def turn(news: News = News.DEGRADED, *, since: UnixMs = START) -> Turn:
    return Turn(news, "10 of 10 failed", since, 10, 10)


class EndpointsSuite:
    """Inherit, name it Test…, and give the fixture `medium`."""

    @pytest.fixture
    async def store(self, medium: Medium) -> AsyncIterator[OutboxStore]:
        medium.filters = FILTERS | {OPERATOR: ASKS}
        store = await medium.open()
        yield store
        await store.close(is_clean=True)

    async def test_an_endpoint_is_known_from_its_first_use_which_counts_as_a_success(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        assert await store.endpoints() == []
        medium.clock.now += 1000
        await ended(store, "a", State.PENDING)
        assert await row_of(store) == EndpointRow(
            "all", Standing.ACTIVE, "", START + 1000, START + 1000, None, None
        )

    async def test_that_it_succeeded_is_said_of_no_endpoint_that_never_did(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        """Its first use was shown as its last success, and so was the moment of its resume."""
        await ended(store, "a", State.EXHAUSTED)
        await store.pause("all")
        await store.resume("all")
        assert (await row_of(store)).succeeded_at is None
        medium.clock.now += 1000
        await ended(store, "b", State.DELIVERED)
        assert (await row_of(store)).succeeded_at == START + 1000
        await store.pause("all")
        await store.resume("all")
        assert (await row_of(store)).succeeded_at == START + 1000

    async def test_five_days_without_a_success_and_two_in_vain_half_a_day_apart_disable(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await ended(store, "a", State.DELIVERED)
        for hours in (110, 119, 121):  # 121 is five days, and 11 h from the first
            medium.clock.now = START + hours * HOUR_MS
            assert (await ended(store, f"s{hours}", State.EXHAUSTED)).disables is None
        medium.clock.now = START + 122 * HOUR_MS
        settled = await ended(store, "last", State.EXHAUSTED)
        assert settled.disables is not None
        assert "2026-11-18T11:06:40.000Z" in settled.disables, "since when"
        row = await row_of(store)
        assert (row.standing, row.reason) == (Standing.DISABLED, settled.disables)

    async def test_not_an_hour_earlier_however_many_are_in_vain(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await ended(store, "a", State.DELIVERED)
        for hours in range(1, 120):
            medium.clock.now = START + hours * HOUR_MS
            assert (await ended(store, f"s{hours}", State.EXHAUSTED)).disables is None
        medium.clock.now = START + 120 * HOUR_MS
        assert (await ended(store, "last", State.EXHAUSTED)).disables is not None

    async def test_one_success_forgives(self, store: OutboxStore, medium: Medium) -> None:
        await ended(store, "a", State.EXHAUSTED)
        medium.clock.now = START + 119 * HOUR_MS
        await ended(store, "b", State.DELIVERED)
        medium.clock.now = START + 200 * HOUR_MS
        assert (await ended(store, "c", State.EXHAUSTED)).disables is None
        assert (await row_of(store)).first_exhausted == medium.clock.now

    async def test_an_ephemeral_one_that_was_tried_in_vain_counts_as_well(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await ended(store, "a", State.EXPIRED)
        medium.clock.now = START + 121 * HOUR_MS
        assert (await ended(store, "b", State.EXPIRED)).disables is not None

    async def test_the_record_outlives_a_crash_but_for_the_last_minute(self, medium: Medium) -> None:
        store = await medium.open()
        await ended(store, "a", State.DELIVERED)
        for minutes in (1, 2):
            medium.clock.now = START + minutes * MINUTE_MS
            await ended(store, f"s{minutes}", State.DELIVERED)
        medium.clock.now += MINUTE_MS - 1
        await ended(store, "unwritten", State.DELIVERED)
        medium.clock.now += HOUR_MS
        await ended(store, "b", State.EXHAUSTED)
        first_exhausted = medium.clock.now
        await medium.crash(store)
        store = await medium.open()
        row = await row_of(store)
        assert 0 <= START + 3 * MINUTE_MS - row.last_success <= MINUTE_MS
        assert row.first_exhausted == first_exhausted
        medium.clock.now = START + 140 * HOUR_MS
        assert (await ended(store, "c", State.EXHAUSTED)).disables is not None
        await medium.crash(store)
        store = await medium.open()
        assert (await row_of(store)).standing is Standing.DISABLED
        await store.append(transition("d"))
        assert len(await store.deliveries(Selection(State.CANCELLED, "all"))) == 1
        await store.close(is_clean=True)

    async def test_resuming_forgives_the_record(self, store: OutboxStore, medium: Medium) -> None:
        await ended(store, "a", State.EXHAUSTED)
        medium.clock.now = START + 121 * HOUR_MS
        await ended(store, "b", State.EXHAUSTED)
        assert await store.resume("all") is Standing.DISABLED
        assert await store.resume("all") is Standing.ACTIVE
        medium.clock.now += 119 * HOUR_MS
        assert (await ended(store, "c", State.EXHAUSTED)).disables is None

    async def test_a_pause_outlives_a_crash_and_cancels_nothing(self, medium: Medium) -> None:
        store = await medium.open()
        await store.append(transition("a"))
        assert await store.pause("all")
        assert not await store.pause("all")
        await medium.crash(store)
        store = await medium.open()
        assert (await row_of(store)).standing is Standing.PAUSED
        await store.append(transition("b"))
        while await store.sweep():
            pass
        assert len(await store.deliveries(Selection(State.PENDING, "all"))) == 2
        assert await store.resume("all") is Standing.PAUSED
        assert len(await claim(store)) == 2
        await store.close(is_clean=True)

    async def test_a_disabled_one_is_not_paused_and_keeps_its_reason(self, store: OutboxStore) -> None:
        gone = replace(settlement(await taken(store), State.CANCELLED), disables_endpoint=True)
        assert (await store.settle(gone)).disables == "answered 410 Gone"
        assert not await store.pause("all")
        assert (await row_of(store)).reason == "answered 410 Gone"

    async def test_how_many_wait_is_told_for_each_endpoint(self, store: OutboxStore) -> None:
        for session in "aab":
            await store.append(transition(session))
        await store.append(broadcast())
        (lease, *_) = await claim(store)
        await store.settle(settlement(lease))
        assert await store.waiting() == {"all": 3, "sessions": 3}

    async def test_a_turn_is_told_to_who_asks_in_the_commit_that_brought_it(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        lease = await taken(store)
        settled = await store.settle(
            replace(settlement(lease, State.PENDING, due=START + HOUR_MS), turn=turn())
        )
        assert settled.wakes == (OPERATOR,)
        medium.clock.now += MINUTE_MS
        await store.settle(replace(settlement(await taken(store, "b")), turn=turn(News.RECOVERED)))
        assert await told(store) == [
            (
                kind,
                {
                    "endpoint": "all",
                    "why": "10 of 10 failed",
                    "since": "2026-11-18T11:06:40.000Z",
                    "attempts": 10,
                    "failures": 10,
                    "unsaid": 0,
                },
            )
            for kind in ("endpoint.degraded", "endpoint.recovered")
        ]

    async def test_a_star_does_not_ask_and_nobody_hears_of_himself(self, store: OutboxStore) -> None:
        await ended(store, "a", State.EXHAUSTED)
        (lease,) = await claim(store, endpoint=OPERATOR)
        assert [row.endpoint for row in await store.deliveries(Selection())].count(OPERATOR) == 1
        settled = await store.settle(replace(settlement(lease, State.PENDING, due=START + 1), turn=turn()))
        assert settled.wakes == ()

    async def test_the_fourth_failure_and_the_last_are_told_once_an_hour_with_their_message(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        for attempt in range(1, 11):
            leases = [await taken(store)] if attempt == 1 else await claim(store)
            state = State.EXHAUSTED if attempt == 10 else State.PENDING
            await store.settle(settlement(leases[0], state, due=medium.clock.now))
        (failing, first), (exhausted, second) = await told(store)
        assert (failing, exhausted) == ("message.attempt.failing", "message.attempt.exhausted")
        assert (first["attempts"], second["attempts"]) == (4, 10)
        event = (await store.deliveries(Selection(endpoint="all")))[0]
        assert first["eventId"] == second["eventId"] == event.event_id
        assert first["why"] == "it answered 500"
        await ended(store, "b", State.EXHAUSTED)
        assert await told(store) == []
        medium.clock.now += HOUR_MS
        await ended(store, "c", State.EXHAUSTED)
        ((_, third),) = await told(store)
        assert third["unsaid"] == 1

    async def test_the_end_of_an_operational_event_is_not_told(self, medium: Medium) -> None:
        medium.filters = FILTERS | {OPERATOR: ASKS, "other": ASKS}
        store = await medium.open()
        await ended(store, "a", State.EXHAUSTED)
        (lease,) = await claim(store, endpoint=OPERATOR)
        assert (await store.settle(settlement(lease, State.EXHAUSTED))).wakes == ()
        await store.close(is_clean=True)

    async def test_that_an_endpoint_is_disabled_is_told_with_the_reason(self, store: OutboxStore) -> None:
        gone = replace(settlement(await taken(store), State.CANCELLED), disables_endpoint=True)
        await store.settle(gone)
        ((kind, data),) = await told(store)
        assert (kind, data["endpoint"], data["why"]) == ("endpoint.disabled", "all", "answered 410 Gone")

    async def test_a_settle_that_comes_too_late_tells_nothing(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        lease = await taken(store)
        medium.clock.now += HOUR_MS
        await claim(store)
        assert not (await store.settle(replace(settlement(lease, State.EXHAUSTED), turn=turn()))).is_ours
        assert await told(store) == []

    async def test_the_outbox_being_full_is_no_reason_not_to_tell_of_it(self, medium: Medium) -> None:
        medium.filters = {"all": Filter(), OPERATOR: ASKS}
        store = await medium.open(max_rows=1)
        await ended(store, "a", State.EXHAUSTED)
        assert store.trouble is not None
        assert [kind for kind, _ in await told(store)] == ["message.attempt.exhausted"]
        await store.close(is_clean=True)

    async def test_what_is_told_of_one_endpoint_waits_its_turn_and_of_another_does_not(
        self, store: OutboxStore
    ) -> None:
        for session in "ab":
            await store.settle(replace(settlement(await taken(store, session), State.EXHAUSTED), turn=turn()))
        lease, _ = await claim(store, endpoint="sessions")
        await store.settle(settlement(lease, State.EXHAUSTED))
        assert [(one.event_type, one.key) for one in await claim(store, endpoint=OPERATOR)] == [
            ("endpoint.degraded", ("", "all")),
            ("message.attempt.exhausted", ("", "sessions")),
        ]
