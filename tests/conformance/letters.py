"""What any outbox store must do for an operator: search, send dead letters again, forget. Beside `outbox_store`."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.core.delivery import State, Trigger
from relay.core.ids import uuid7_ms
from relay.errors import OutboxFull
from relay.outbox.letters import SLICE, Done, Letters
from relay.outbox.rows import AttemptSelection, AuditSelection, Pick, Purged, Replayed, Selection
from relay.outbox.store import Lease, OutboxStore
from tests.conformance.outbox_store import (
    HOUR_MS,
    LEASE_MS,
    START,
    Medium,
    broadcast,
    claim,
    settlement,
    transition,
)


async def ended(store: OutboxStore, *sessions: str, state: State = State.EXHAUSTED) -> list[Lease]:
    """A transition of each session, and its delivery to `all` ended in `state`."""
    leases = []
    for session in sessions:
        await store.append(transition(session))
        (lease,) = await claim(store)
        await store.settle(settlement(lease, state))
        leases.append(lease)
    return leases


async def reported(store: OutboxStore, count: int, state: State) -> list[Lease]:
    """As `ended`, of a broadcast of each of so many sessions, which nobody else wants."""
    leases = []
    for number in range(count):
        await store.append(broadcast(f"r{number}"))
        (lease,) = await claim(store)
        await store.settle(settlement(lease, state))
        leases.append(lease)
    return leases


async def sessions_of(store: OutboxStore, endpoint: str = "all") -> set[str]:
    return {row.key[1] for row in await store.deliveries(Selection(endpoint=endpoint))}


class LettersSuite:
    """Inherit, name it Test…, and give the fixture `medium`. Event ids must be `msg_` and a UUIDv7 of their time."""

    @pytest.fixture
    async def store(self, medium: Medium) -> AsyncIterator[OutboxStore]:
        store = await medium.open()
        yield store
        await store.close(is_clean=True)

    @pytest.fixture
    def letters(self, store: OutboxStore) -> Letters:
        return Letters(store)

    async def test_a_filtered_replay_keeps_ids_bytes_and_order_and_gives_new_budgets(
        self, store: OutboxStore, letters: Letters
    ) -> None:
        leases = await ended(store, "a", "a", "b")
        assert await letters.replay(Pick(endpoint="all")) == Done(3, is_more=False)
        again = []
        while claimed := await claim(store):
            again += claimed
            for lease in claimed:
                await store.settle(settlement(lease))
        assert [one.event_id for one in again if one.key[1] == "a"] == [one.event_id for one in leases[:2]]
        assert {(one.event_id, one.body) for one in again} == {(one.event_id, one.body) for one in leases}
        assert {(one.number, one.attempts, one.trigger) for one in again} == {(2, 1, Trigger.REPLAY)}

    async def test_what_was_purged_on_its_way_is_not_sent_again_when_its_lease_ends(
        self, store: OutboxStore, letters: Letters, medium: Medium
    ) -> None:
        """Its answer could not be recorded; the claim came before the sweep."""
        await store.append(transition())
        assert len(await claim(store)) == 1
        await letters.purge_session("s1")
        await store.append(transition())
        medium.clock.now += LEASE_MS
        (lease,) = await claim(store)
        assert b'"sequence":2' in lease.body

    async def test_a_replay_keeps_to_the_depth_limit(self, medium: Medium) -> None:
        store = await medium.open(max_rows=2)
        first, second = await reported(store, 2, State.EXPIRED)
        await store.append(broadcast("waits"))
        assert await store.replay(first.delivery_id)
        with pytest.raises(OutboxFull, match=r"2 undelivered rows.*outbox\.max_rows"):
            await store.replay(second.delivery_id)
        with pytest.raises(OutboxFull):
            await store.replay_all((second.delivery_id,), State.EXPIRED)
        (row,) = await store.deliveries(Selection(State.EXPIRED))
        assert row.delivery_id == second.delivery_id
        await store.close(is_clean=True)

    async def test_a_dead_letter_has_its_room_and_is_replayed_at_the_limit(self, medium: Medium) -> None:
        store = await medium.open(max_rows=2)
        first, second = await reported(store, 2, State.EXHAUSTED)
        assert await store.replay(first.delivery_id)
        assert await store.replay_all((second.delivery_id,), State.EXHAUSTED) == Replayed(1)
        await store.close(is_clean=True)

    async def test_a_filtered_replay_ends_at_the_limit_and_says_that_more_are_left(
        self, medium: Medium
    ) -> None:
        store = await medium.open(max_rows=SLICE + 1)
        await reported(store, SLICE + 2, State.EXPIRED)
        letters, pick = Letters(store), Pick(State.EXPIRED, "all")
        assert await letters.replay(pick) == Done(SLICE, is_more=True)
        with pytest.raises(OutboxFull):
            await letters.replay(pick)
        assert (await store.depth()).by_state[State.PENDING] == SLICE
        await store.close(is_clean=True)

    async def test_a_filter_takes_only_what_agrees_in_every_part(
        self, store: OutboxStore, letters: Letters, medium: Medium
    ) -> None:
        await ended(store, "early")
        medium.clock.now += HOUR_MS
        await ended(store, "late")
        await ended(store, "gone", state=State.CANCELLED)
        await ended(store, "delivered", state=State.DELIVERED)
        for pick, count in (
            (Pick(event_type="*"), 2),
            (Pick(event_type="session.*"), 2),
            (Pick(event_type="session.typing"), 2),
            (Pick(event_type="session"), 0),
            (Pick(event_type="session.typing%"), 0),
            (Pick(endpoint="sessions"), 0),
            (Pick(since=START + HOUR_MS), 1),
            (Pick(until=START + HOUR_MS), 1),
            (Pick(state=State.CANCELLED, since=START), 1),
            (Pick(state=State.EXPIRED, since=START), 0),
        ):
            assert await letters.count(pick) == Done(count, is_more=False), pick
        assert await letters.replay(Pick(since=START + HOUR_MS, event_type="session.*")) == Done(
            1, is_more=False
        )
        assert [lease.key[1] for lease in await claim(store)] == ["late"]

    async def test_a_purged_dead_letter_is_gone_and_nothing_else_is(
        self, store: OutboxStore, letters: Letters
    ) -> None:
        (lease,) = await ended(store, "a")
        await ended(store, "b", state=State.DELIVERED)
        await store.append(transition("c"))
        assert await letters.purge(Pick(endpoint="all")) == Done(1, is_more=False)
        assert await sessions_of(store) == {"b", "c"}
        assert await sessions_of(store, "sessions") == {"a", "b", "c"}
        assert await store.attempts(lease.delivery_id) == []
        assert (await store.depth()).by_state[State.EXHAUSTED] == 0

    async def test_what_was_replayed_since_it_was_found_is_not_purged(self, store: OutboxStore) -> None:
        (lease,) = await ended(store, "a")
        found = await store.picked(Pick(endpoint="all"), after=0, most=10)
        await store.replay(lease.delivery_id)
        assert await store.purge(found.keys, State.EXHAUSTED) == Purged()
        assert await store.replay_all(found.keys, State.EXHAUSTED) == Replayed(0)
        assert await sessions_of(store) == {"a"}

    async def test_a_purged_session_leaves_nothing_and_the_others_everything(
        self, store: OutboxStore, letters: Letters
    ) -> None:
        await ended(store, "a", "b")
        for session in ("a", "b"):
            await store.append(transition(session))
            await store.append(broadcast(session))
        purged = await letters.purge_session("a", "guest")
        assert purged == Purged(events=3, deliveries=5, attempts=1, audit_rows=1)
        assert await letters.purge_session("a") == Purged()
        assert {row.key[1] for row in await store.deliveries(Selection())} == {"b"}
        assert [row.key[1] for row in await store.audit(AuditSelection())] == ["b"]
        assert {(session.key[1], session.guest_id) for session in await store.open_sessions(limit=9)} == {
            ("a", None),
            ("b", "g1"),
        }
        depth = await store.depth()
        assert (depth.by_state[State.PENDING], depth.by_state[State.EXHAUSTED], depth.audit_rows) == (4, 1, 1)

    async def test_a_purge_of_another_gateways_session_of_this_name_takes_nothing(
        self, store: OutboxStore, letters: Letters
    ) -> None:
        await store.append(transition("a"))
        assert await letters.purge_session("a", "other") == Purged()

    async def test_a_purged_sessions_number_goes_on(self, store: OutboxStore, letters: Letters) -> None:
        await store.append(transition("a"))
        await letters.purge_session("a")
        assert (await store.append(transition("a"))).sequence == 2

    @pytest.mark.parametrize("state", [State.DELIVERED, State.PENDING, State.EXHAUSTED])
    async def test_what_is_on_its_way_goes_when_it_lands_and_is_not_tried_again(
        self, store: OutboxStore, letters: Letters, medium: Medium, state: State
    ) -> None:
        await store.append(transition("a"))
        (lease,) = await claim(store)
        purged = await letters.purge_session("a")
        assert (purged.deliveries, purged.waiting_to_land) == (1, 1)
        assert await sessions_of(store) == {"a"}
        due = medium.clock.now if state is State.PENDING else None
        assert (await store.settle(settlement(lease, state, due=due))).is_ours
        assert await store.deliveries(Selection()) == []
        assert await store.attempts(lease.delivery_id) == []
        assert sum((await store.depth()).by_state.values()) == 0

    async def test_what_a_session_records_after_its_purge_waits_for_what_is_on_its_way(
        self, store: OutboxStore, letters: Letters
    ) -> None:
        await store.append(transition("a"))
        (lease,) = await claim(store)
        await store.append(transition("a"))
        await letters.purge_session("a")
        later = await store.append(transition("a"))
        assert await claim(store) == []
        assert (await store.settle(settlement(lease))).releases_next
        assert [one.event_id for one in await claim(store)] == [later.event_id]

    async def test_what_waited_behind_a_purged_one_is_next(self, store: OutboxStore) -> None:
        await store.append(transition("a"))
        (first,) = (row.delivery_id for row in await store.deliveries(Selection(endpoint="all")))
        second = await store.append(transition("a"))
        await store.purge((first,), None)
        assert [one.event_id for one in await claim(store)] == [second.event_id]

    async def test_a_crash_does_not_bring_back_what_was_to_go_when_it_lands(self, medium: Medium) -> None:
        store = await medium.open()
        await store.append(transition("a"))
        await claim(store)
        await Letters(store).purge_session("a")
        await medium.crash(store)
        store = await medium.open()
        assert await store.deliveries(Selection()) == []
        assert await claim(store) == []
        await store.close(is_clean=True)

    async def test_a_lease_that_ends_lets_go_of_what_was_to_go_when_it_lands(
        self, store: OutboxStore, letters: Letters, medium: Medium
    ) -> None:
        await store.append(transition("a"))
        (lease,) = await claim(store)
        await letters.purge_session("a")
        await store.sweep()
        assert await sessions_of(store) == {"a"}
        medium.clock.now += HOUR_MS
        await store.sweep()
        assert await store.deliveries(Selection()) == []
        assert not (await store.settle(settlement(lease))).is_ours

    async def test_attempts_are_listed_by_endpoint_newest_first_and_page_by_page(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        first, _second = await ended(store, "a", "b")
        await store.replay(first.delivery_id)
        (again,) = await claim(store)
        await store.settle(settlement(again))
        (other, _) = await claim(store, endpoint="sessions")
        await store.settle(settlement(other))
        rows = await store.endpoints_attempts(AttemptSelection("all"))
        assert [(row.delivery_id, row.number) for row in rows] == [
            (_second.delivery_id, 1),
            (first.delivery_id, 2),
            (first.delivery_id, 1),
        ]
        page = AttemptSelection("all", limit=1, before=(first.delivery_id, 2))
        assert await store.endpoints_attempts(page) == rows[2:]
        assert await store.endpoints_attempts(AttemptSelection("all", since=medium.clock.now + 1)) == []
        assert await store.endpoints_attempts(AttemptSelection("nobody")) == []

    async def test_lists_go_on_where_a_page_ended(self, store: OutboxStore, letters: Letters) -> None:
        for session in "abc":
            await store.append(broadcast(session))
        newest, *older = await store.deliveries(Selection())
        assert await store.deliveries(Selection(before=newest.delivery_id)) == older
        pages = [page async for page in letters.audit_pages(AuditSelection(limit=2))]
        assert [row.key[1] for page in pages for row in page] == ["c", "b"]
        rest = await store.audit(AuditSelection(before=pages[-1][-1].row_id))
        assert [row.key[1] for row in rest] == ["a"]

    async def test_an_event_is_found_by_its_id_with_its_fate_at_each_endpoint(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        for step in range(20):
            medium.clock.now += step % 3
            await asyncio.gather(*(store.append(broadcast(f"s{step}.{n}")) for n in range(20)))
        recorded = await store.append(transition("a", source="kiosk"))
        behind = await store.append(transition("a"))
        assert recorded.event_id and behind.event_id  # noqa: PT018 - for the type checker
        found = await store.event(behind.event_id, uuid7_ms(behind.event_id[4:]) or 0)
        assert found is not None
        _, fates = found
        assert [(fate.delivery.endpoint, fate.waits_for) for fate in fates] == [
            ("all", recorded.event_id),
            ("sessions", recorded.event_id),
        ]
        found = await store.event(recorded.event_id, uuid7_ms(recorded.event_id[4:]) or 0)
        assert found is not None
        event, fates = found
        assert (event.event_type, event.gateway, event.source) == ("session.typing", "guest", "kiosk")
        assert [fate.waits_for for fate in fates] == [None, None]

    async def test_an_event_is_found_after_the_clock_stepped_back(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        ids = []
        for step_ms in (0, 5000, -4000, 1000, 1000):
            medium.clock.now += step_ms
            ids.append((await store.append(broadcast(f"s{step_ms}"))).event_id)
        for event_id in ids:
            assert event_id is not None
            assert await store.event(event_id, uuid7_ms(event_id[4:]) or 0) is not None

    async def test_an_event_that_never_was_is_not_found(self, store: OutboxStore) -> None:
        await store.append(transition())
        assert await store.event("msg_019a0000-0000-7000-8000-000000000000", START) is None

    async def test_one_delivery_is_shown_with_its_body(self, store: OutboxStore) -> None:
        (lease,) = await ended(store, "a")
        shown = await store.delivery(lease.delivery_id)
        assert shown is not None
        assert (shown[0].state, shown[0].last_status, shown[1]) == (State.EXHAUSTED, 500, lease.body)
        assert await store.delivery(10**9) is None
