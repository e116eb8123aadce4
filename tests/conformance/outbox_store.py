"""What any outbox store must do, whatever it is made of.

A store's own tests give a `Medium`: something a store is opened on, that outlives it. `OutboxStoreSuite` holds the
single promises; `StoreLife` lives a store through random appends, claims, crashes, settles and replays.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from relay import wire
from relay.core.delivery import LEADS_TO, Failure, Filter, State, Trigger
from relay.core.endpoint import Standing
from relay.core.engagement import Broadcast, Reason, Suppressed, Transition
from relay.core.indicator import Cause, Indicator
from relay.core.moments import UnixMs
from relay.core.terms import UNORDERED_AFTER_MS, Terms
from relay.errors import OutboxFull, Rejected
from relay.outbox.rows import Attempt, AuditSelection, DeliveryRow, Replayed, Selection
from relay.outbox.store import LastLife, Lease, OutboxStore, Settled, Settlement, Want

T = TypeVar("T")

START: UnixMs = 1_795_000_000_000
LEASE_MS = 30_000
HOUR_MS = 3_600_000
FILTERS = {"all": Filter(), "sessions": Filter(events=("session.*",))}


@dataclass
class Clock:
    now: UnixMs = START

    def __call__(self) -> UnixMs:
        return self.now


class Medium(Protocol):
    """Where a store keeps things. `filters` are FILTERS unless set before it is opened.

    `terms` are those of endpoints that are not served as usual.
    """

    clock: Clock
    filters: Mapping[str, Filter]

    async def open(
        self, *, max_rows: int = 1000, max_bytes: int = 10_000_000, terms: Mapping[str, Terms] | None = None
    ) -> OutboxStore:
        """Undelivered at most `max_rows` rows and `max_bytes` bytes."""
        ...

    async def crash(self, store: OutboxStore) -> None:
        """Takes the medium as it is this instant, as a kill would leave it, and lets go of the store."""
        ...


def transition(
    session: str = "s1", state: Indicator = Indicator.TYPING, *, source: str = "desk"
) -> Transition:
    return Transition(
        ("guest", session), "g1", source, state, Reason.KEYSTROKE, 1, START, traceparent="00-a-b-01"
    )


def broadcast(session: str = "s1", *, success: bool = True, is_given_up: bool = False) -> Broadcast:
    return Broadcast(
        audit_id=f"aud_{session}",
        key=("guest", session),
        guest_id="g1",
        source="desk",
        indicator=Indicator.TYPING,
        duration_ms=3000,
        cause=Cause.START,
        success=success,
        status=200 if success else 500,
        error=None if success else "server",
        message="",
        latency_ms=41,
        attempts=1,
        is_given_up=is_given_up,
        at=START,
    )


def settlement(lease: Lease, state: State = State.DELIVERED, *, due: UnixMs | None = None) -> Settlement:
    is_success = state is State.DELIVERED
    attempt = Attempt(
        START, 200 if is_success else 500, None if is_success else Failure.STATUS, 1.5, 2.5, b"answer"
    )
    return Settlement(lease, attempt, state, due)


async def claim(
    store: OutboxStore, most: int = 10, *, endpoint: str = "all", retries: int = 10
) -> list[Lease]:
    return list((await store.claim(Want(endpoint, most, min(most, retries), LEASE_MS))).leases)


async def only(store: OutboxStore, selection: Selection | None = None) -> DeliveryRow:
    (row,) = await store.deliveries(selection or Selection(endpoint="all"))
    return row


class OutboxStoreSuite:
    """Inherit, name it Test…, and give the fixture `medium`."""

    @pytest.fixture
    async def store(self, medium: Medium) -> AsyncIterator[OutboxStore]:
        store = await medium.open()
        yield store
        await store.close(is_clean=True)

    async def test_an_appended_transition_waits_at_every_endpoint_that_wants_it(
        self, store: OutboxStore
    ) -> None:
        recorded = await store.append(transition())
        assert recorded.endpoints == ("all", "sessions")
        rows = await store.deliveries(Selection())
        assert {(row.endpoint, row.state, row.event_id) for row in rows} == {
            ("all", State.PENDING, recorded.event_id),
            ("sessions", State.PENDING, recorded.event_id),
        }

    async def test_an_endpoint_gets_no_event_it_did_not_ask_for(self, store: OutboxStore) -> None:
        assert (await store.append(broadcast())).endpoints == ("all",)

    async def test_the_body_is_the_standard_shape_with_the_sessions_number(self, store: OutboxStore) -> None:
        await store.append(transition())
        (lease,) = await claim(store)
        assert wire.loads(lease.body) == {
            "type": "session.typing",
            "timestamp": "2026-11-18T11:06:40.000Z",
            "data": {
                "sessionId": "s1",
                "guestId": "g1",
                "gateway": "guest",
                "sequence": 1,
                "reason": "keystroke",
                "actors": 1,
            },
        }
        assert lease.traceparent == "00-a-b-01"
        assert lease.event_id.startswith("msg_")
        assert "." not in lease.event_id

    async def test_a_sessions_numbers_are_its_own_and_free_of_gaps(self, store: OutboxStore) -> None:
        facts = [transition("a"), transition("b"), transition("a"), transition("a"), transition("b")]
        recorded = await asyncio.gather(*map(store.append, facts))
        assert [r.sequence for r in recorded] == [1, 1, 2, 3, 2]

    async def test_only_transitions_are_numbered(self, store: OutboxStore) -> None:
        muted = Suppressed(("guest", "s1"), None, "desk", Indicator.TYPING, "muted", START)
        recorded = [await store.append(broadcast()), await store.append(muted)]
        assert [r.sequence for r in recorded] == [None, None]
        assert (await store.append(transition())).sequence == 1

    async def test_every_broadcast_is_audited_also_one_that_tells_no_tracker(
        self, store: OutboxStore
    ) -> None:
        recorded = await store.append(broadcast("quiet", success=False))
        await store.append(broadcast("loud"))
        assert recorded.event_id is None
        rows = await store.audit(AuditSelection())
        assert [(row.audit_id, row.success, row.latency_ms) for row in rows] == [
            ("aud_loud", True, 41),
            ("aud_quiet", False, 41),
        ]
        assert [row.audit_id for row in await store.audit(AuditSelection(session="quiet"))] == ["aud_quiet"]
        assert await store.audit(AuditSelection(since=START + 1)) == []

    async def test_what_is_claimed_is_not_claimed_again(self, store: OutboxStore) -> None:
        await store.append(transition())
        assert len(await claim(store)) == 1
        assert await claim(store) == []

    async def test_a_lease_that_ended_is_claimed_anew_and_its_old_claim_settles_nothing(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await store.append(transition())
        (old,) = await claim(store)
        medium.clock.now += LEASE_MS
        (new,) = await claim(store)
        assert new.claim != old.claim
        assert await store.settle(settlement(old)) == Settled(is_ours=False)
        assert (await store.settle(settlement(new))).is_ours

    async def test_what_is_on_its_way_here_is_not_given_again_and_hides_nothing_that_is_due(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        """A lease is for a process that died; the clock may be set, or a disk be slow, past its end."""
        await store.append(transition("a"))
        (old,) = await claim(store)
        medium.clock.now += HOUR_MS
        await store.append(transition("b"))
        want = Want("all", 1, 1, LEASE_MS, held=frozenset({old.delivery_id}))
        (other,) = (await store.claim(want)).leases
        assert other.key[1] == "b"
        assert (await store.settle(settlement(old))).is_ours

    async def test_a_clock_set_back_makes_nothing_wait_longer(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await store.append(transition("failing"))
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.PENDING, due=medium.clock.now + 5000))
        await store.append(transition("fresh"))
        medium.clock.now -= HOUR_MS
        await store.clock_fell(HOUR_MS)
        assert [lease.key[1] for lease in await claim(store)] == ["fresh"]
        medium.clock.now += 5000
        assert [lease.key[1] for lease in await claim(store)] == ["failing"]

    async def test_a_settle_works_once(self, store: OutboxStore) -> None:
        await store.append(transition())
        (lease,) = await claim(store)
        assert (await store.settle(settlement(lease))).is_ours
        assert not (await store.settle(settlement(lease))).is_ours

    async def test_a_sessions_next_waits_for_the_one_before(self, store: OutboxStore) -> None:
        first = await store.append(transition("a"))
        second = await store.append(transition("a"))
        other = await store.append(transition("b"))
        leases = await claim(store)
        assert [lease.event_id for lease in leases] == [first.event_id, other.event_id]
        assert (await store.settle(settlement(leases[0]))).releases_next
        assert [lease.event_id for lease in await claim(store)] == [second.event_id]

    async def test_a_retry_holds_back_its_own_session_and_no_other(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await store.append(transition("a"))
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.PENDING, due=medium.clock.now + 5000))
        await store.append(transition("a"))
        await store.append(transition("b"))
        assert [lease.key[1] for lease in await claim(store)] == ["b"]
        medium.clock.now += 5000
        assert [(lease.number, lease.attempts) for lease in await claim(store)] == [(2, 2)]

    async def test_one_refused_for_ten_minutes_holds_up_its_sessions_next_no_longer(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        """Escaped because a budget was only ever spent by one delivery alone."""
        first = await store.append(transition("a"))
        second = await store.append(transition("a"))
        (refused,) = await claim(store)
        assert (await store.settle(settlement(refused, State.PENDING, due=START + HOUR_MS))).releases_next
        medium.clock.now = START + UNORDERED_AFTER_MS - 1
        assert await claim(store) == []
        medium.clock.now = START + UNORDERED_AFTER_MS
        (overtaking,) = await claim(store)
        assert (overtaking.event_id, overtaking.is_unordered) == (second.event_id, True)
        assert (refused.event_id, refused.is_unordered) == (first.event_id, False)

    async def test_what_overtakes_keeps_its_own_order_and_never_hastens_the_one_overtaken(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await store.append(transition("a"))
        (refused,) = await claim(store)
        await store.settle(settlement(refused, State.PENDING, due=START + HOUR_MS))
        later = [await store.append(transition("a")) for _ in range(2)]
        assert await claim(store) == []
        medium.clock.now = START + UNORDERED_AFTER_MS
        for recorded in later:
            (lease,) = await claim(store)
            assert lease.event_id == recorded.event_id
            await store.settle(settlement(lease))
        assert await claim(store) == []
        medium.clock.now = START + HOUR_MS
        (again,) = await claim(store)
        assert (again.event_id, again.attempts) == (refused.event_id, 2)

    async def test_the_end_of_one_overtaken_gives_nothing_away_twice(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        for _ in range(3):
            await store.append(transition("a"))
        (refused,) = await claim(store)
        await store.settle(settlement(refused, State.PENDING, due=START + UNORDERED_AFTER_MS + 1))
        medium.clock.now = START + UNORDERED_AFTER_MS + 1
        again, _second = await claim(store)
        assert not (await store.settle(settlement(again))).releases_next
        assert await claim(store) == []

    async def test_a_dead_letter_lets_the_next_one_pass(self, store: OutboxStore) -> None:
        await store.append(transition("a"))
        second = await store.append(transition("a"))
        (lease,) = await claim(store)
        assert (await store.settle(settlement(lease, State.EXHAUSTED))).releases_next
        assert [lease.event_id for lease in await claim(store)] == [second.event_id]

    async def test_the_endpoints_do_not_wait_for_each_other(self, store: OutboxStore) -> None:
        await store.append(transition("a"))
        await claim(store, endpoint="all")
        assert len(await claim(store, endpoint="sessions")) == 1

    async def test_retries_take_only_the_places_they_are_given(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        for session in "abc":
            await store.append(transition(session))
        for lease in await claim(store):
            await store.settle(settlement(lease, State.PENDING, due=medium.clock.now))
        fresh = await store.append(transition("d"))
        leases = await claim(store, most=2, retries=1)
        assert [lease.attempts for lease in leases] == [2, 1]
        assert leases[1].event_id == fresh.event_id

    async def test_a_claim_says_when_the_next_is_due(self, store: OutboxStore, medium: Medium) -> None:
        await store.append(transition())
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.PENDING, due=medium.clock.now + 5000))
        assert (await store.claim(Want("all", 1, 1, LEASE_MS))).next_due == medium.clock.now + 5000

    async def test_every_attempt_is_kept_with_its_answer(self, store: OutboxStore, medium: Medium) -> None:
        await store.append(transition())
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.PENDING, due=medium.clock.now))
        (lease,) = await claim(store)
        await store.settle(settlement(lease))
        rows = await store.attempts(lease.delivery_id)
        assert [(row.number, row.attempt.status, row.attempt.failure) for row in rows] == [
            (1, 500, Failure.STATUS),
            (2, 200, None),
        ]
        assert rows[0].attempt.excerpt == b"answer"

    async def test_a_replay_keeps_id_and_bytes_and_has_a_new_budget(self, store: OutboxStore) -> None:
        await store.append(transition())
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.EXHAUSTED))
        assert await store.replay(lease.delivery_id)
        (again,) = await claim(store)
        assert (again.event_id, again.body) == (lease.event_id, lease.body)
        assert (again.number, again.attempts, again.trigger) == (2, 1, Trigger.REPLAY)

    async def test_a_live_delivery_is_not_replayed_nor_one_that_never_was(self, store: OutboxStore) -> None:
        await store.append(transition())
        assert not await store.replay((await only(store)).delivery_id)
        assert not await store.replay(10**9)

    async def test_a_replay_to_an_endpoint_nothing_is_sent_to_is_refused_until_it_is_resumed(
        self, store: OutboxStore
    ) -> None:
        """It was told yes, and cancelled a second later."""
        await store.append(transition())
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.EXHAUSTED))
        await store.append(broadcast())
        (gone,) = await claim(store)
        gave_up = settlement(gone, State.CANCELLED)
        await store.settle(replace(gave_up, disables_endpoint=True))
        with pytest.raises(Rejected, match="resume it first"):
            await store.replay(lease.delivery_id)
        asked = (lease.delivery_id,)
        assert await store.replay_all(asked, State.EXHAUSTED) == Replayed(0, left_out=1)
        await store.resume("all")
        assert await store.replay_all(asked, State.EXHAUSTED) == Replayed(1)

    async def test_a_replay_to_an_endpoint_no_longer_configured_is_refused(self, medium: Medium) -> None:
        store = await medium.open()
        await store.append(transition())
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.EXHAUSTED))
        store.address({"sessions": FILTERS["sessions"]}, {})
        with pytest.raises(Rejected, match="not configured"):
            await store.replay(lease.delivery_id)
        await store.close(is_clean=True)

    async def test_a_replay_waits_for_what_its_session_is_sending(self, store: OutboxStore) -> None:
        await store.append(transition("a"))
        (first,) = await claim(store)
        await store.settle(settlement(first, State.EXHAUSTED))
        await store.append(transition("a"))
        (second,) = await claim(store)
        await store.replay(first.delivery_id)
        assert await claim(store) == []
        await store.settle(settlement(second))
        assert [lease.delivery_id for lease in await claim(store)] == [first.delivery_id]

    async def test_a_disabled_endpoints_events_are_kept_as_cancelled_until_it_is_enabled(
        self, store: OutboxStore
    ) -> None:
        for session in "ab":
            await store.append(transition(session))
        (lease, _) = await claim(store)
        gone = settlement(lease, State.CANCELLED)
        await store.settle(Settlement(gone.lease, gone.attempt, gone.state, disables_endpoint=True))
        await store.append(transition("c"))
        assert [(row.name, row.standing) for row in await store.endpoints()] == [("all", Standing.DISABLED)]
        assert len(await store.deliveries(Selection(State.CANCELLED, "all"))) == 2
        assert await store.resume("all") is Standing.DISABLED
        await store.append(transition("d"))
        assert [lease.key[1] for lease in await claim(store)] == ["d"]

    async def test_what_waits_at_a_disabled_endpoint_is_swept_into_cancelled(
        self, store: OutboxStore
    ) -> None:
        await store.append(transition("a"))
        (lease,) = await claim(store)
        for _ in range(3):
            await store.append(transition("b"))
        await store.settle(
            Settlement(lease, settlement(lease).attempt, State.CANCELLED, disables_endpoint=True),
        )
        await store.sweep()
        assert len(await store.deliveries(Selection(State.CANCELLED, "all"))) == 4

    async def test_an_event_without_room_is_refused_and_uses_up_its_number(self, medium: Medium) -> None:
        store = await medium.open(max_rows=2)
        assert (await store.append(transition())).sequence == 1
        with pytest.raises(OutboxFull, match="limit"):
            await store.append(transition())
        assert store.trouble is not None
        for endpoint in FILTERS:
            (lease,) = await claim(store, endpoint=endpoint)
            await store.settle(settlement(lease))
        assert (await store.append(transition())).sequence == 3
        await store.close(is_clean=True)

    async def test_one_that_takes_nothing_leaves_the_others_their_room(self, medium: Medium) -> None:
        """It filled the outbox, and then everybody was refused everything."""
        medium.filters = {"dead": Filter(), "well": Filter()}
        store = await medium.open(max_rows=10)
        for number in range(1, 31):
            recorded = await store.append(transition())
            (lease,) = await claim(store, endpoint="well")
            await store.settle(settlement(lease))
            assert recorded.sequence == number
        kept = await store.deliveries(Selection(endpoint="dead"))
        states = [row.state for row in reversed(kept)]
        assert states == [State.PENDING] * 6 + [State.CANCELLED] * 24, "more than half of the room, by one"
        assert store.trouble is None
        assert (await store.depth()).shed == 24
        found = await store.event(kept[0].event_id, START)
        assert found is not None
        assert {fate.delivery.endpoint: fate.is_shed for fate in found[1]} == {"dead": True, "well": False}
        await store.close(is_clean=True)

    async def test_who_holds_how_much_is_known_after_a_crash_and_what_was_shed_can_be_replayed(
        self, medium: Medium
    ) -> None:
        medium.filters = {"dead": Filter(), "well": Filter()}
        store = await medium.open(max_rows=4)
        for _ in range(3):
            await store.append(transition())
            (lease,) = await claim(store, endpoint="well")
            await store.settle(settlement(lease))
        await medium.crash(store)
        store = await medium.open(max_rows=4)
        await store.append(transition())
        (shed,) = await store.deliveries(Selection(State.CANCELLED, "dead"))
        for lease in await claim(store, endpoint="well"):
            await store.settle(settlement(lease))
        assert await store.replay(shed.delivery_id)
        found = await store.event(shed.event_id, START)
        assert found is not None
        assert not any(fate.is_shed for fate in found[1])
        await store.close(is_clean=True)

    async def test_where_all_take_nothing_the_room_is_filled_and_then_all_is_refused(
        self, medium: Medium
    ) -> None:
        medium.filters = {"dead": Filter(), "gone": Filter()}
        store = await medium.open(max_rows=6)
        for _ in range(3):
            await store.append(transition())
        with pytest.raises(OutboxFull):
            await store.append(transition())
        assert store.trouble is not None
        await store.close(is_clean=True)

    async def test_a_dead_letter_holds_its_room(self, medium: Medium) -> None:
        medium.filters = {"all": Filter()}
        store = await medium.open(max_rows=1)
        await store.append(broadcast())
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.EXHAUSTED))
        with pytest.raises(OutboxFull):
            await store.append(broadcast())
        await store.close(is_clean=True)

    async def test_a_broadcast_without_room_is_audited_all_the_same(self, medium: Medium) -> None:
        store = await medium.open(max_rows=0)
        with pytest.raises(OutboxFull):
            await store.append(broadcast())
        assert len(await store.audit(AuditSelection())) == 1
        await store.close(is_clean=True)

    async def test_the_open_sessions_are_those_last_recorded_as_not_stopped(self, store: OutboxStore) -> None:
        for session, state in (("a", Indicator.TYPING), ("b", Indicator.PAUSED), ("c", Indicator.TYPING)):
            await store.append(transition(session, state))
        await store.append(transition("c", Indicator.STOPPED))
        assert [session.key[1] for session in await store.open_sessions(limit=10)] == ["a", "b"]

    async def test_depth_counts_by_state_and_knows_the_oldest(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        assert (await store.depth()).oldest_pending_at is None
        await store.append(broadcast("a"))
        medium.clock.now += 1000
        await store.append(broadcast("b"))
        (lease, _) = await claim(store)
        await store.settle(settlement(lease))
        depth = await store.depth()
        assert depth.by_state[State.DELIVERED] == 1
        assert depth.by_state[State.INFLIGHT] == 1
        assert depth.audit_rows == 2
        assert depth.oldest_pending_at == START + 1000

    async def test_a_crash_gives_every_lease_back_at_once(self, medium: Medium) -> None:
        store = await medium.open()
        await store.append(transition())
        (lease,) = await claim(store)
        await medium.crash(store)
        store = await medium.open()
        (again,) = await claim(store)
        assert again.event_id == lease.event_id
        assert not (await store.settle(settlement(lease))).is_ours
        await store.close(is_clean=True)

    async def test_a_sessions_numbers_go_on_after_a_crash(self, medium: Medium) -> None:
        store = await medium.open()
        await store.append(transition())
        await medium.crash(store)
        store = await medium.open()
        assert (await store.append(transition())).sequence == 2
        await store.close(is_clean=True)

    async def test_a_new_store_knows_of_no_earlier_life(self, store: OutboxStore) -> None:
        assert store.last_life == LastLife(None, was_clean=False)

    async def test_after_a_crash_the_last_mark_is_found(self, medium: Medium) -> None:
        store = await medium.open()
        await store.mark_alive(START + 2000)
        await medium.crash(store)
        medium.clock.now += 60_000
        store = await medium.open()
        assert store.last_life == LastLife(START + 2000, was_clean=False)
        await store.close(is_clean=True)

    async def test_after_a_clean_stop_its_very_instant_is_found(self, medium: Medium) -> None:
        store = await medium.open()
        await store.mark_alive(START + 2000)
        await store.close(is_clean=True)
        medium.clock.now += 60_000
        store = await medium.open()
        assert store.last_life == LastLife(START, was_clean=True)
        await medium.crash(store)
        store = await medium.open()
        assert not store.last_life.was_clean
        await store.close(is_clean=True)


class StoreLife(RuleBasedStateMachine):
    """A model beside a store. Inherit, and say in `medium` what it is opened on."""

    medium: Callable[[], Medium]
    live = Bundle("live")
    ended = Bundle("ended")
    sessions = st.sampled_from(["a", "b", "c"])
    endpoints = st.sampled_from(sorted(FILTERS))

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.on = self.medium()
        self.store = self.run(self.on.open(max_rows=10_000))
        self.numbers: dict[str, int] = defaultdict(int)
        self.waiting: dict[tuple[str, str], list[str]] = defaultdict(list)  # event ids by (endpoint, session)
        self.replayed: set[tuple[str, str]] = set()
        self.leased: dict[int, Lease] = {}
        self.lease_ends: dict[int, UnixMs] = {}
        self.overtaken: dict[tuple[str, str], UnixMs] = {}  # (endpoint, event id), from when on
        self.states: dict[int, State] = {}
        self.known: set[tuple[str, str]] = set()  # every (endpoint, event id) ever acknowledged

    def run(self, work: Coroutine[Any, Any, T]) -> T:  # Any: as typeshed has it
        return self.runner.run(work)

    async def _append(self, session: str, *, is_transition: bool) -> None:
        recorded = await self.store.append(transition(session) if is_transition else broadcast(session))
        if is_transition:
            self.numbers[session] += 1
            assert recorded.sequence == self.numbers[session]
        assert recorded.event_id
        for endpoint in recorded.endpoints:
            self.known.add((endpoint, recorded.event_id))
            self.waiting[endpoint, session].append(recorded.event_id)

    @rule(session=sessions, is_transition=st.booleans())
    def append(self, session: str, is_transition: bool) -> None:  # noqa: FBT001 - hypothesis names it
        self.run(self._append(session, is_transition=is_transition))

    @rule(target=live, endpoint=endpoints, most=st.integers(1, 4))
    def claim(self, endpoint: str, most: int) -> object:
        leases = self.run(claim(self.store, most, endpoint=endpoint))
        for lease in leases:
            self._claimed(lease)
        kept = [lease for lease in leases if (lease.endpoint, lease.event_id) not in self.overtaken]
        lanes = [(lease.endpoint, lease.key) for lease in kept]
        assert len(lanes) == len(set(lanes))
        return multiple(*leases)

    def _claimed(self, lease: Lease) -> None:
        held = self.lease_ends.get(lease.delivery_id, 0)
        assert held <= self.on.clock.now, "leased twice"
        lane = (lease.endpoint, lease.key[1])
        if lane not in self.replayed and (lease.endpoint, lease.event_id) not in self.overtaken:
            self._is_next(lane, lease)
        self.leased[lease.delivery_id] = lease
        self.lease_ends[lease.delivery_id] = self.on.clock.now + LEASE_MS

    def _is_next(self, lane: tuple[str, str], lease: Lease) -> None:
        """Order holds among those not overtaken; and what overtakes waited ten minutes for it."""
        before = self.waiting[lane][: self.waiting[lane].index(lease.event_id)]
        for event_id in before:
            free_at = self.overtaken.get((lease.endpoint, event_id))
            assert free_at is not None and free_at <= self.on.clock.now, "out of order"  # noqa: PT018 - one claim
        assert lease.is_unordered == bool(before)

    @rule(
        target=ended,
        lease=consumes(live),
        state=st.sampled_from([State.DELIVERED, State.EXHAUSTED, State.PENDING]),
        wait_ms=st.sampled_from([5000, HOUR_MS]),
    )
    def settle(self, lease: Lease, state: State, wait_ms: int) -> object:
        due = self.on.clock.now + wait_ms if state is State.PENDING else None
        settled = self.run(self.store.settle(settlement(lease, state, due=due)))
        current = self.leased.get(lease.delivery_id)
        assert settled.is_ours == (current is not None and current.claim == lease.claim)
        if not settled.is_ours:
            return multiple()
        del self.leased[lease.delivery_id], self.lease_ends[lease.delivery_id]
        if due is not None:
            if due > START + UNORDERED_AFTER_MS:  # every attempt here says that it began at START
                self.overtaken.setdefault((lease.endpoint, lease.event_id), START + UNORDERED_AFTER_MS)
            return multiple()
        self.overtaken.pop((lease.endpoint, lease.event_id), None)
        self.waiting[lease.endpoint, lease.key[1]].remove(lease.event_id)
        return lease

    @rule(lease=consumes(ended))
    def replay(self, lease: Lease) -> None:
        assert self.run(self.store.replay(lease.delivery_id))
        lane = (lease.endpoint, lease.key[1])
        self.waiting[lane].append(lease.event_id)
        self.replayed.add(lane)

    @rule(endpoint=endpoints)
    def hurry(self, endpoint: str) -> None:
        """What was to be overtaken later has its place again; what was overtaken has not."""
        self.run(self.store.hurry(endpoint, most=100))
        now = self.on.clock.now
        self.overtaken = {key: at for key, at in self.overtaken.items() if key[0] != endpoint or at <= now}

    @rule(span_ms=st.sampled_from([1000, 5000, LEASE_MS, UNORDERED_AFTER_MS, HOUR_MS]))
    def wait(self, span_ms: int) -> None:
        self.on.clock.now += span_ms

    @rule()
    def crash(self) -> None:
        self.run(self.on.crash(self.store))
        self.store = self.run(self.on.open(max_rows=10_000))
        self.leased.clear()
        self.lease_ends.clear()

    @precondition(lambda self: len(self.known) < 50)
    @invariant()
    def nothing_acknowledged_is_ever_missing(self) -> None:
        rows = self.run(self.store.deliveries(Selection(limit=1000)))
        assert {(row.endpoint, row.event_id) for row in rows} == self.known

    @precondition(lambda self: len(self.known) < 50)
    @invariant()
    def every_step_is_one_the_table_allows(self) -> None:
        """A lease that ended and was given anew is no step; no rule takes two at once."""
        for row in self.run(self.store.deliveries(Selection(limit=1000))):
            before = self.states.setdefault(row.delivery_id, row.state)
            assert row.state is before or row.state in LEADS_TO[before]
            self.states[row.delivery_id] = row.state

    def teardown(self) -> None:
        """Whatever happened, everything that waits can be delivered in the end: no lane is ever stuck."""
        self.crash()
        for _ in range(2 + sum(map(len, self.waiting.values()))):
            self.on.clock.now += HOUR_MS
            for endpoint in FILTERS:
                for lease in self.run(claim(self.store, endpoint=endpoint)):
                    self.run(self.store.settle(settlement(lease)))
                    self.waiting[endpoint, lease.key[1]].remove(lease.event_id)
        assert not any(self.waiting.values()), "a lane is stuck"
        self.run(self.store.close(is_clean=True))
        self.runner.close()
