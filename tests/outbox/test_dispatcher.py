"""Days of retries in virtual time: a store that writes inline, lanes, and a real receiver."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from relay.core.delivery import Failure, State
from relay.core.destination import LOOPBACK
from relay.core.signature import Keys
from relay.core.terms import Terms
from relay.outbox.dispatcher import Dispatcher
from relay.outbox.rows import Selection
from relay.outbox.sqlite.store import SqliteStore
from relay.outbox.store import Listener, OutboxStore
from relay.outbox.webhook import Target
from tests.conformance.outbox_store import START, broadcast
from tests.outbox.receiver import SECRET, Receiver
from tests.outbox.test_sqlite import Disk

M_S = 60.0
H_S = 3600.0


class LoopDisk(Disk):
    """Its wall clock is the loop's virtual one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, inline=True)
        loop = asyncio.get_running_loop()
        self.wall = lambda: START + round(loop.time() * 1000)

    async def open(
        self, *, max_rows: int = 1000, max_bytes: int = 10_000_000, terms: Mapping[str, Terms] | None = None
    ) -> SqliteStore:
        self.clock = self.wall  # type: ignore[assignment]  # a clock is called, here and in the room
        return await super().open(max_rows=max_rows, max_bytes=max_bytes, terms=terms)


@pytest.fixture
async def store(tmp_path: Path, receiver: Receiver) -> AsyncIterator[OutboxStore]:
    """Delivers to the receiver."""
    disk = LoopDisk(tmp_path)
    store = await disk.open()
    target = {"all": Target(receiver.url, Keys([SECRET]), allow=LOOPBACK)}
    dispatcher = Dispatcher(store, target, wall=disk.wall, listener=Listener())
    store.on_work = dispatcher.wake
    dispatcher.start()
    yield store
    await dispatcher.stop(1)
    await store.close(is_clean=True)


async def dead_letter(store: OutboxStore, receiver: Receiver) -> int:
    """One event refused until its budget is spent."""
    receiver.answers = [500] * 10
    await store.append(broadcast())
    await asyncio.sleep(90 * H_S)
    (dead,) = await store.deliveries(Selection(State.EXHAUSTED))
    return dead.delivery_id


@pytest.mark.looptime
async def test_the_ten_attempts_keep_their_schedule_id_and_bytes(
    store: OutboxStore, receiver: Receiver
) -> None:
    rows = await store.attempts(await dead_letter(store, receiver))
    assert len(receiver.got) == 10
    assert len({(got.event_id, got.body) for got in receiver.got}) == 1
    assert len({got.headers["webhook-timestamp"] for got in receiver.got}) == 10
    times = [row.attempt.started_at / 1000 for row in rows]
    waits = [5, 5 * M_S, 30 * M_S, 2 * H_S, 5 * H_S, 10 * H_S, 14 * H_S, 20 * H_S, 24 * H_S]
    for wait_s, (earlier, later) in zip(waits, pairwise(times), strict=True):
        assert wait_s <= later - earlier <= wait_s * 1.1 + 1


@pytest.mark.looptime
async def test_a_dead_letter_replayed_is_sent_at_once_with_its_old_id(
    store: OutboxStore, receiver: Receiver
) -> None:
    dead = await dead_letter(store, receiver)
    assert await store.replay(dead)
    await asyncio.sleep(1)
    assert receiver.got[10].event_id == receiver.got[0].event_id
    assert await store.deliveries(Selection(State.EXHAUSTED)) == []


@pytest.mark.long
@pytest.mark.looptime
async def test_a_replayed_dead_letter_has_its_whole_budget_again(
    store: OutboxStore, receiver: Receiver
) -> None:
    dead = await dead_letter(store, receiver)
    receiver.answers = [500] * 9
    await store.replay(dead)
    await asyncio.sleep(90 * H_S)
    (row,) = await store.deliveries(Selection())
    assert (row.state, row.attempts, len(receiver.got)) == (State.DELIVERED, 20, 20)


@pytest.mark.looptime
async def test_a_refused_address_is_in_the_log_and_tried_again_by_schedule(
    tmp_path: Path, receiver: Receiver
) -> None:
    """The name may be mended by then."""
    disk = LoopDisk(tmp_path)
    store = await disk.open()
    dispatcher = Dispatcher(
        store, {"all": Target(receiver.url, Keys([SECRET]))}, wall=disk.wall, listener=Listener()
    )
    store.on_work = dispatcher.wake
    dispatcher.start()
    await store.append(broadcast())
    await asyncio.sleep(10)
    (waiting,) = await store.deliveries(Selection(State.PENDING))
    rows = await store.attempts(waiting.delivery_id)
    assert [row.attempt.failure for row in rows] == [Failure.BLOCKED_ADDRESS] * 2
    assert rows[0].attempt.status is None
    assert receiver.got == []
    await dispatcher.stop(1)
    await store.close(is_clean=True)
