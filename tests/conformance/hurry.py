"""What any outbox store must do when somebody says that an endpoint is mended. Beside `outbox_store`."""

from collections.abc import AsyncIterator

import pytest

from relay.core.delivery import State
from relay.core.moments import UnixMs
from relay.core.terms import UNORDERED_AFTER_MS
from relay.outbox.rows import Selection
from relay.outbox.store import Lease, OutboxStore, Want
from tests.conformance.outbox_store import HOUR_MS, LEASE_MS, START, Medium, claim, settlement, transition


async def failed(store: OutboxStore, *sessions: str, due: UnixMs = START + HOUR_MS) -> list[Lease]:
    """A transition of each session, tried at `all` in vain and due again then."""
    leases = []
    for session in sessions:
        await store.append(transition(session))
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.PENDING, due=due))
        leases.append(lease)
    return leases


def sessions_of(leases: list[Lease]) -> list[str]:
    return [lease.key[1] for lease in leases]


class HurrySuite:
    """Inherit, name it Test…, and give the fixture `medium`."""

    @pytest.fixture
    async def store(self, medium: Medium) -> AsyncIterator[OutboxStore]:
        store = await medium.open()
        yield store
        await store.close(is_clean=True)

    async def test_what_waits_for_a_later_attempt_is_due_at_once_and_nothing_twice(
        self, store: OutboxStore
    ) -> None:
        await failed(store, "a", "b")
        assert await claim(store) == []
        assert await store.hurry("all", most=10) == 2
        assert await store.hurry("all", most=10) == 0
        assert sessions_of(await claim(store)) == ["a", "b"]
        assert await claim(store) == []

    async def test_its_lane_is_told_and_only_of_something(self, store: OutboxStore) -> None:
        told: list[frozenset[str]] = []
        await failed(store, "a")
        store.on_work = told.append
        await store.hurry("sessions", most=10)
        assert told == []
        await store.hurry("all", most=10)
        assert told == [frozenset({"all"})]

    async def test_another_endpoints_wait_is_its_own(self, store: OutboxStore) -> None:
        await store.append(transition())
        for endpoint in ("all", "sessions"):
            (lease,) = await claim(store, endpoint=endpoint)
            await store.settle(settlement(lease, State.PENDING, due=START + HOUR_MS))
        assert await store.hurry("sessions", most=10) == 1
        assert await claim(store) == []

    async def test_what_is_on_its_way_is_left_to_its_answer(self, store: OutboxStore) -> None:
        await store.append(transition())
        (lease,) = await claim(store)
        assert await store.hurry("all", most=10) == 0
        assert await claim(store) == []
        assert (await store.settle(settlement(lease))).is_ours

    async def test_a_sessions_next_still_waits_for_the_one_before(self, store: OutboxStore) -> None:
        await failed(store, "a", due=START + 5000)
        second = await store.append(transition("a"))
        assert await store.hurry("all", most=10) == 1
        (first,) = await claim(store)
        assert first.event_id != second.event_id
        assert (await store.settle(settlement(first))).releases_next
        assert [lease.event_id for lease in await claim(store)] == [second.event_id]

    async def test_one_that_was_to_be_overtaken_later_goes_first_after_all_and_the_next_right_behind_it(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        """Its next had a time of its own by then, ten minutes after the first attempt."""
        await store.append(transition("a"))
        (head,) = await claim(store)
        second = await store.append(transition("a"))
        await store.settle(settlement(head, State.PENDING, due=START + HOUR_MS))
        third = await store.append(transition("a"))
        medium.clock.now += 1000
        assert await store.hurry("all", most=10) == 1
        for event_id in (head.event_id, second.event_id, third.event_id):
            (lease,) = await claim(store)
            assert (lease.event_id, lease.is_unordered) == (event_id, False)
            await store.settle(settlement(lease))

    async def test_what_would_have_gone_past_it_waits_for_it_however_long_that_takes(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await failed(store, "a")
        await store.append(transition("a"))
        await store.hurry("all", most=10)
        medium.clock.now += UNORDERED_AFTER_MS
        assert [lease.number for lease in await claim(store)] == [2]

    async def test_one_that_fails_once_more_is_overtaken_as_any(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await failed(store, "a")
        second = await store.append(transition("a"))
        await store.hurry("all", most=10)
        (again,) = await claim(store)
        await store.settle(settlement(again, State.PENDING, due=START + HOUR_MS))
        assert await claim(store) == []
        medium.clock.now += UNORDERED_AFTER_MS
        (overtaking,) = await claim(store)
        assert (overtaking.event_id, overtaking.is_unordered) == (second.event_id, True)

    async def test_one_overtaken_already_is_due_beside_those_that_went_past_it(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        (refused,) = await failed(store, "a")
        second = await store.append(transition("a"))
        medium.clock.now += UNORDERED_AFTER_MS
        assert await store.hurry("all", most=10) == 1
        again, overtaking = await claim(store)
        assert (again.event_id, overtaking.event_id) == (refused.event_id, second.event_id)
        assert overtaking.is_unordered

    async def test_what_went_past_it_before_the_clock_was_set_back_is_not_sent_twice(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await failed(store, "a")
        await store.append(transition("a"))
        medium.clock.now += UNORDERED_AFTER_MS
        (overtaking,) = await claim(store)
        medium.clock.now = START + 1000
        assert await store.hurry("all", most=10) == 1
        (again,) = await claim(store)
        assert not (await store.settle(settlement(again))).releases_next
        assert await claim(store) == []
        assert (await store.settle(settlement(overtaking))).is_ours

    async def test_it_has_a_new_budget_and_its_attempts_are_still_counted(self, store: OutboxStore) -> None:
        """Whoever says too often that it is mended would else spend ten attempts in a minute."""
        await failed(store, "a")
        for number in range(2, 15):
            await store.hurry("all", most=10)
            (lease,) = await claim(store)
            assert (lease.number, lease.attempts) == (number, 1)
            await store.settle(settlement(lease, State.PENDING, due=START + HOUR_MS))

    async def test_a_crowd_is_hurried_a_part_at_a_time_and_once_each(self, store: OutboxStore) -> None:
        await failed(store, *map(str, range(25)))
        assert [await store.hurry("all", most=10) for _ in range(4)] == [10, 10, 5, 0]
        assert len(await claim(store, most=100, retries=6)) == 6
        assert len(await store.deliveries(Selection(State.PENDING, "all"))) == 19

    async def test_a_hurry_outlives_a_crash(self, medium: Medium) -> None:
        store = await medium.open()
        await failed(store, "a")
        await store.hurry("all", most=10)
        await medium.crash(store)
        store = await medium.open()
        assert (await store.claim(Want("all", 1, 1, LEASE_MS))).leases
        await store.close(is_clean=True)
