"""What any outbox store must do with deliveries that are worth something for a while only, and when room is short.

`ClassesSuite` holds the single promises; `ClassesLife` lives a store through appends, claims, settles, replays,
crashes and time, one endpoint durable and one ephemeral, at a limit it keeps reaching.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from relay.core.delivery import COUNTS_AS_DEPTH, LEADS_TO, LIVE, State, Trigger
from relay.core.indicator import Indicator
from relay.core.terms import EPHEMERAL, SUPERSEDES, Terms, weight
from relay.errors import OutboxFull
from relay.outbox.rows import DeliveryRow, Depth, Selection
from relay.outbox.store import Lease, OutboxStore, Want
from tests.conformance.outbox_store import (
    LEASE_MS,
    START,
    Medium,
    broadcast,
    claim,
    settlement,
    transition,
)

T = TypeVar("T")

LIFE_MS = 30_000
BRIEF = {"all": EPHEMERAL, "sessions": EPHEMERAL}
MIXED = {"sessions": EPHEMERAL}
STATES = {"typing": Indicator.TYPING, "paused": Indicator.PAUSED, "stopped": Indicator.STOPPED}


async def states(store: OutboxStore, endpoint: str = "all") -> list[tuple[str, State]]:
    """What became of each event, oldest first."""
    rows = await store.deliveries(Selection(endpoint=endpoint, limit=1000))
    return [(row.event_type.rpartition(".")[2], row.state) for row in reversed(rows)]


async def recorded(store: OutboxStore, *events: str, session: str = "s1") -> None:
    """`typing`, `paused`, `stopped` or `broadcast`, one after the other."""
    for event in events:
        fact = broadcast(session) if event == "broadcast" else transition(session, STATES[event])
        await store.append(fact)


async def delivered(store: OutboxStore) -> None:
    """What waits for the durable endpoint."""
    for lease in await claim(store):
        await store.settle(settlement(lease))


def trouble(store: OutboxStore) -> str:
    return store.trouble or ""


class ClassesSuite:
    """Inherit, name it Test…, and give the fixture `medium`."""

    @pytest.fixture
    async def store(self, medium: Medium) -> AsyncIterator[OutboxStore]:
        store = await medium.open(terms=BRIEF)
        yield store
        await store.close(is_clean=True)

    async def test_the_newest_of_a_session_takes_the_place_of_what_waits(self, store: OutboxStore) -> None:
        await recorded(store, "typing", "paused", "typing")
        assert await states(store) == [
            ("typing", State.SUPERSEDED),
            ("paused", State.SUPERSEDED),
            ("typing", State.PENDING),
        ]
        (lease,) = await claim(store)
        assert lease.body.count(b'"sequence":3') == 1

    async def test_events_recorded_together_supersede_each_other_as_if_they_had_come_apart(
        self, store: OutboxStore
    ) -> None:
        await asyncio.gather(*(store.append(transition("s1", state)) for state in STATES.values()))
        assert [state for _, state in await states(store)] == [
            State.SUPERSEDED,
            State.SUPERSEDED,
            State.PENDING,
        ]

    async def test_other_sessions_and_durable_endpoints_keep_theirs(self, medium: Medium) -> None:
        store = await medium.open(terms=MIXED)
        await recorded(store, "typing", "paused", session="a")
        await recorded(store, "typing", session="b")
        assert [state for _, state in await states(store)] == [State.PENDING] * 3
        assert [state for _, state in await states(store, "sessions")] == [
            State.SUPERSEDED,
            State.PENDING,
            State.PENDING,
        ]
        await store.close(is_clean=True)

    async def test_what_is_in_flight_is_not_superseded_but_not_tried_again_either(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await recorded(store, "typing")
        (lease,) = await claim(store)
        await recorded(store, "paused", "typing")
        assert (await states(store))[0] == ("typing", State.INFLIGHT)
        settled = await store.settle(settlement(lease, State.PENDING, due=medium.clock.now + 1000))
        assert settled.releases_next
        assert [state for _, state in await states(store)] == [
            State.SUPERSEDED,
            State.SUPERSEDED,
            State.PENDING,
        ]
        assert len(await claim(store)) == 1

    async def test_what_is_in_flight_is_tried_again_where_nothing_newer_waits(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await recorded(store, "typing")
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.PENDING, due=medium.clock.now + 1000))
        medium.clock.now += 1000
        assert [lease.attempts for lease in await claim(store)] == [2]

    async def test_stopped_survives_every_report_of_what_was_shown(self, store: OutboxStore) -> None:
        await recorded(store, "typing", "broadcast", "stopped", "broadcast", "broadcast")
        assert await states(store) == [
            ("typing", State.SUPERSEDED),
            ("broadcast", State.SUPERSEDED),
            ("stopped", State.PENDING),
            ("broadcast", State.SUPERSEDED),
            ("broadcast", State.PENDING),
        ]

    async def test_stopped_gives_way_to_the_sessions_next_state(self, store: OutboxStore) -> None:
        await recorded(store, "stopped", "typing")
        assert [state for _, state in await states(store)] == [State.SUPERSEDED, State.PENDING]

    async def test_nothing_is_claimed_once_its_life_is_over(self, store: OutboxStore, medium: Medium) -> None:
        await recorded(store, "typing", session="a")
        medium.clock.now += LIFE_MS - 1
        await recorded(store, "typing", session="b")
        medium.clock.now += 1
        assert [lease.key[1] for lease in await claim(store)] == ["b"]
        assert await states(store) == [("typing", State.EXPIRED), ("typing", State.INFLIGHT)]

    async def test_what_it_held_back_goes_on_when_it_expires(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await recorded(store, "stopped")
        medium.clock.now += LIFE_MS - 1
        await recorded(store, "broadcast")
        medium.clock.now += 1
        assert [lease.event_type for lease in await claim(store)] == ["typing_indicator.broadcast"]

    async def test_a_lease_says_when_its_delivery_is_too_late(self, store: OutboxStore) -> None:
        await recorded(store, "typing")
        assert [lease.expires_at for lease in await claim(store)] == [START + LIFE_MS]

    async def test_the_sweep_ends_what_nobody_claims(self, store: OutboxStore, medium: Medium) -> None:
        await recorded(store, "typing")
        medium.clock.now += LIFE_MS - 1
        await store.sweep()
        assert await states(store) == [("typing", State.PENDING)]
        medium.clock.now += 1
        await store.sweep()
        assert await states(store) == [("typing", State.EXPIRED)]
        assert (await store.depth()).ended[State.EXPIRED] == 2

    async def test_the_sweep_leaves_what_is_in_flight_to_its_answer(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await recorded(store, "typing")
        medium.clock.now += LIFE_MS - 1
        (lease,) = await claim(store)
        medium.clock.now += 1
        await store.sweep()
        assert await states(store) == [("typing", State.INFLIGHT)]
        assert (await store.settle(settlement(lease))).is_ours
        assert await states(store) == [("typing", State.DELIVERED)]

    async def test_a_lease_that_ended_is_not_given_again_past_the_life(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await recorded(store, "typing")
        (lease,) = await claim(store)
        medium.clock.now += LEASE_MS
        assert await claim(store) == []
        assert await states(store) == [("typing", State.EXPIRED)]
        assert not (await store.settle(settlement(lease))).is_ours

    async def test_what_was_in_flight_at_a_crash_gives_way_to_what_is_newer(self, medium: Medium) -> None:
        store = await medium.open(terms=BRIEF)
        await recorded(store, "typing")
        await claim(store)
        await recorded(store, "stopped")
        await medium.crash(store)
        store = await medium.open(terms=BRIEF)
        assert [lease.event_type for lease in await claim(store)] == ["session.stopped"]
        assert await states(store) == [("typing", State.SUPERSEDED), ("stopped", State.INFLIGHT)]
        await store.close(is_clean=True)

    async def test_a_crash_lengthens_no_life(self, medium: Medium) -> None:
        store = await medium.open(terms=BRIEF)
        await recorded(store, "typing")
        await medium.crash(store)
        medium.clock.now += LIFE_MS
        store = await medium.open(terms=BRIEF)
        assert await claim(store) == []
        assert await states(store) == [("typing", State.EXPIRED)]
        await store.close(is_clean=True)

    async def test_a_replay_of_one_that_expired_has_a_new_life_and_gives_way_to_nothing(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await recorded(store, "typing")
        medium.clock.now += LIFE_MS
        await store.sweep()
        (expired,) = await store.deliveries(Selection(State.EXPIRED, "all"))
        assert await store.replay(expired.delivery_id)
        await recorded(store, "paused")
        (again,) = await claim(store)
        assert (again.delivery_id, again.trigger, again.attempts) == (expired.delivery_id, Trigger.REPLAY, 1)
        assert again.expires_at == medium.clock.now + LIFE_MS

    async def test_a_second_replay_has_the_same_life_as_the_first(
        self, store: OutboxStore, medium: Medium
    ) -> None:
        await recorded(store, "typing")
        for _ in range(2):
            medium.clock.now += LIFE_MS
            await store.sweep()
            (expired,) = await store.deliveries(Selection(State.EXPIRED, "all"))
            assert await store.replay(expired.delivery_id)
        assert [lease.expires_at for lease in await claim(store)] == [medium.clock.now + LIFE_MS]

    async def test_a_durable_endpoint_may_have_a_greatest_age(self, medium: Medium) -> None:
        store = await medium.open(terms={"all": Terms(life_ms=60_000)})
        await recorded(store, "typing", "paused")
        medium.clock.now += 60_000
        await recorded(store, "stopped")
        (lease,) = await claim(store)
        assert (lease.event_type, lease.expires_at) == ("session.stopped", START + 120_000)
        assert [state for _, state in await states(store)] == [State.EXPIRED, State.EXPIRED, State.INFLIGHT]
        assert [state for _, state in await states(store, "sessions")] == [State.PENDING] * 3
        await store.close(is_clean=True)

    async def test_an_endpoint_says_for_how_long_one_that_fails_holds_up_the_next(
        self, medium: Medium
    ) -> None:
        store = await medium.open(terms={"all": Terms(unordered_after_ms=60_000)})
        await recorded(store, "typing", "paused")
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.PENDING, due=START + 600_000))
        medium.clock.now = START + 59_999
        assert await claim(store) == []
        medium.clock.now = START + 60_000
        assert [lease.is_unordered for lease in await claim(store)] == [True]
        await store.close(is_clean=True)

    async def test_room_is_made_by_the_oldest_ephemeral_ones_stopped_last(self, medium: Medium) -> None:
        store = await medium.open(max_rows=8, terms=MIXED)
        for session, event in zip("abcde", ("stopped", "typing", "paused", "stopped", "typing"), strict=True):
            await recorded(store, event, session=session)
            await delivered(store)
        await recorded(store, "broadcast", "broadcast", "broadcast", session="f")
        assert (await store.depth()).shed == 0
        await recorded(store, "broadcast", session="f")
        assert await states(store, "sessions") == [
            ("stopped", State.PENDING),
            ("typing", State.EXPIRED),
            ("paused", State.PENDING),
            ("stopped", State.PENDING),
            ("typing", State.PENDING),
        ]
        assert (await store.depth()).shed == 1
        await store.close(is_clean=True)

    async def test_the_last_to_make_room_are_stopped_ones(self, medium: Medium) -> None:
        store = await medium.open(max_rows=6, terms=MIXED)
        for session, event in zip("abcd", ("stopped", "stopped", "typing", "paused"), strict=True):
            await recorded(store, event, session=session)
            await delivered(store)
        await recorded(store, *["broadcast"] * 4, session="f")
        ends = [state for _, state in await states(store, "sessions")]
        assert ends == [State.PENDING, State.PENDING, State.EXPIRED, State.EXPIRED]
        await store.close(is_clean=True)

    async def test_nothing_is_given_up_for_one_that_is_refused_all_the_same(self, medium: Medium) -> None:
        store = await medium.open(max_rows=2, terms=MIXED)
        await recorded(store, "typing", session="a")
        with pytest.raises(OutboxFull):
            await recorded(store, "typing", session="c")
        assert (await store.depth()).shed == 0
        await store.close(is_clean=True)

    async def test_events_are_refused_past_the_bytes_and_readiness_says_so_until_there_is_room(
        self, medium: Medium
    ) -> None:
        store = await medium.open(max_bytes=500)
        await recorded(store, "typing")
        assert not trouble(store)
        await recorded(store, "typing")
        assert (await store.depth()).body_bytes > 500, "the one that passes the limit is the last"
        assert "outbox.max_bytes" in trouble(store)
        with pytest.raises(OutboxFull, match="bytes"):
            await recorded(store, "typing")
        for endpoint in ("all", "sessions"):
            (lease,) = await claim(store, endpoint=endpoint)
            await store.settle(settlement(lease))
        assert not trouble(store)
        assert (await store.append(transition())).sequence == 4
        await store.close(is_clean=True)

    async def test_a_full_store_is_still_full_after_a_restart(self, medium: Medium) -> None:
        store = await medium.open(max_bytes=500)
        await recorded(store, "typing", "typing")
        before = (await store.depth()).body_bytes
        await medium.crash(store)
        store = await medium.open(max_bytes=500)
        assert (await store.depth()).body_bytes == before
        assert trouble(store)
        with pytest.raises(OutboxFull):
            await recorded(store, "typing")
        await store.close(is_clean=True)

    async def test_bytes_are_made_free_by_ephemeral_ones(self, medium: Medium) -> None:
        store = await medium.open(max_bytes=500, terms=MIXED)
        for session in "abc":
            await recorded(store, "typing", session=session)
            await delivered(store)
        assert (await store.depth()).body_bytes > 500
        assert not trouble(store), "what waits can be given up"
        await recorded(store, "typing", session="d")
        assert (await states(store))[-1] == ("typing", State.PENDING)
        assert State.EXPIRED in {state for _, state in await states(store, "sessions")}
        await store.close(is_clean=True)

    async def test_what_was_delivered_weighs_nothing(self, medium: Medium) -> None:
        store = await medium.open(max_bytes=500)
        for _ in range(10):
            await store.append(broadcast())
            (lease,) = await claim(store)
            await store.settle(settlement(lease))
        assert (await store.depth()).body_bytes == 0
        await store.close(is_clean=True)

    async def test_a_dead_letter_keeps_its_weight_and_a_replay_adds_none(self, medium: Medium) -> None:
        store = await medium.open()
        await store.append(broadcast())
        (lease,) = await claim(store)
        await store.settle(settlement(lease, State.EXHAUSTED))
        assert (await store.depth()).body_bytes == len(lease.body)
        await store.replay(lease.delivery_id)
        assert (await store.depth()).body_bytes == len(lease.body)
        await store.close(is_clean=True)


class ClassesLife(RuleBasedStateMachine):
    """`all` is durable, `sessions` ephemeral. Inherit, and say in `medium` what the store is opened on."""

    medium: Callable[[], Medium]
    live = Bundle("live")
    sessions = st.sampled_from(["a", "b"])
    events = st.sampled_from(["typing", "paused", "stopped", "broadcast"])
    endpoints = st.sampled_from(["all", "sessions"])
    MAX_ROWS = 12

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.on = self.medium()
        self.store = self.run(self._opened())
        self.states: dict[int, State] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:  # Any: as typeshed has it
        return self.runner.run(work)

    async def _opened(self) -> OutboxStore:
        return await self.on.open(max_rows=self.MAX_ROWS, terms=MIXED | {"all": Terms(life_ms=600_000)})

    @rule(session=sessions, event=events)
    def append(self, session: str, event: str) -> None:
        before = self.run(self.store.depth())
        waiting = self._rows(State.PENDING, "sessions")
        try:
            self.run(recorded(self.store, event, session=session))
        except OutboxFull:
            depth = _depth_of(before)
            wanted = 1 if event == "broadcast" else 2
            assert depth - len(waiting) + wanted > self.MAX_ROWS, "refused with room, or with room to be made"

    @rule(target=live, endpoint=endpoints, most=st.integers(1, 3))
    def claim(self, endpoint: str, most: int) -> object:
        claimed = self.run(self.store.claim(Want(endpoint, most, most, LEASE_MS)))
        for lease in claimed.leases:
            assert lease.expires_at is not None
            assert lease.expires_at > self.on.clock.now, "too late to be sent"
            if endpoint == "sessions" and lease.trigger is Trigger.SCHEDULE:
                self._is_the_newest(lease)
        lanes = [lease.key for lease in claimed.leases if not lease.is_unordered]
        assert endpoint == "all" or len(lanes) == len(set(lanes))
        return multiple(*claimed.leases)

    def _is_the_newest(self, lease: Lease) -> None:
        for row in self._rows(State.PENDING, "sessions"):
            if row.key == lease.key and row.delivery_id > lease.delivery_id:
                assert SUPERSEDES[weight(row.event_type)] < weight(lease.event_type), (
                    "a newer one was passed over"
                )

    @rule(lease=consumes(live), state=st.sampled_from([State.DELIVERED, State.EXPIRED, State.PENDING]))
    def settle(self, lease: Lease, state: State) -> None:
        due = self.on.clock.now + 1000 if state is State.PENDING else None
        self.run(self.store.settle(settlement(lease, state, due=due)))

    @rule(pick=st.randoms(use_true_random=False))
    def replay(self, pick: Any) -> None:  # Any: hypothesis' own Random
        ended = [row for row in self._rows() if row.state not in LIVE]
        if not ended:
            return
        chosen, depth = pick.choice(ended), self._depth()
        if depth < self.MAX_ROWS:
            assert self.run(self.store.replay(chosen.delivery_id))
        else:
            with pytest.raises(OutboxFull):
                self.run(self.store.replay(chosen.delivery_id))

    @rule(span_ms=st.sampled_from([1000, 5000, LIFE_MS, 600_000]))
    def wait(self, span_ms: int) -> None:
        self.on.clock.now += span_ms

    @rule()
    def sweep(self) -> None:
        self.run(self.store.sweep())

    @rule()
    def crash(self) -> None:
        self.run(self.on.crash(self.store))
        self.store = self.run(self._opened())

    @invariant()
    def every_step_is_one_the_table_allows(self) -> None:
        for row in self._rows():
            before = self.states.setdefault(row.delivery_id, row.state)
            assert (
                row.state is before or row.state in LEADS_TO[before] or self._is_two_steps(before, row.state)
            )
            self.states[row.delivery_id] = row.state

    def _is_two_steps(self, before: State, after: State) -> bool:
        """An end, a replay's, and what a claim made of it; no rule takes more."""
        return any(after in LEADS_TO[between] for between in LEADS_TO[before])

    @invariant()
    def the_limit_is_kept(self) -> None:
        assert self._depth() <= self.MAX_ROWS

    @invariant()
    def what_is_counted_is_what_is_there(self) -> None:
        rows, depth = self._rows(), self.run(self.store.depth())
        for state in State:
            assert depth.by_state[state] == sum(row.state is state for row in rows)
        assert (depth.body_bytes == 0) == (not any(row.state in COUNTS_AS_DEPTH for row in rows))

    def _depth(self) -> int:
        return _depth_of(self.run(self.store.depth()))

    def _rows(self, state: State | None = None, endpoint: str | None = None) -> list[DeliveryRow]:
        return self.run(self.store.deliveries(Selection(state, endpoint, limit=1000)))

    def teardown(self) -> None:
        """Whatever happened, nothing waits for ever: what can be delivered is, the rest has expired."""
        self.crash()
        for _ in range(60):
            self.on.clock.now += 1000
            for endpoint in ("all", "sessions"):
                for lease in self.run(claim(self.store, endpoint=endpoint)):
                    self.run(self.store.settle(settlement(lease)))
        assert not [row for row in self._rows() if row.state in LIVE], "a lane is stuck"
        assert self.run(self.store.depth()).body_bytes == 0
        self.run(self.store.close(is_clean=True))
        self.runner.close()


def _depth_of(depth: Depth) -> int:
    return sum(depth.by_state[state] for state in COUNTS_AS_DEPTH)
