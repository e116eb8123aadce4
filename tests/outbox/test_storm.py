"""An hour in which every endpoint fails, under load: what is kept in memory stays bounded, and who is down is left alone."""

import asyncio
import os
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from relay.core.delivery import State
from relay.core.endpoint import Circuit
from relay.errors import OutboxFull
from relay.outbox.store import Listener, OutboxStore
from tests.outbox.receiver import Receiver
from tests.outbox.test_endpoints import down, lanes
from tests.outbox.test_outbox import endpoint, typing

ENDPOINTS = 5
MAX_ROWS = 30_000
"""As `lanes` opens its store."""


MOST_MORE_BYTES = 50_000_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def second_of_load(store: OutboxStore, second: int, per_s: int) -> int:
    """So many events over 1,000 sessions; how many of them were recorded."""
    facts = [typing(f"s{(second * per_s + n) % 1000}") for n in range(per_s)]
    results = await asyncio.gather(*map(store.append, facts), return_exceptions=True)
    assert all(isinstance(why, OutboxFull) for why in results if isinstance(why, BaseException))
    return sum(not isinstance(why, BaseException) for why in results)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("seconds", "per_s"),
    [
        pytest.param(300, 4, id="5 min"),
        pytest.param(3600, 200, id="1 h", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
async def test_all_down_under_load_costs_few_probes_and_no_memory_and_all_is_delivered_in_the_end(
    tmp_path: Path, receiver: Receiver, seconds: int, per_s: int
) -> None:
    receiver.answers = down()
    loop = asyncio.get_running_loop()
    asked: dict[str, list[float]] = defaultdict(list)
    heard = Listener(on_attempt=lambda name, *_: asked[name].append(loop.time()))
    ends = {f"tracker-{n}": endpoint(receiver.url) for n in range(ENDPOINTS)}
    recorded, most_tasks = 0, 0
    async with lanes(tmp_path, heard, **ends) as (store, endpoints):
        quiet_tasks, quiet_bytes = len(asyncio.all_tasks()), resident_bytes()
        for second in range(seconds):
            recorded += await second_of_load(store, second, per_s)
            await asyncio.sleep(1)
            most_tasks = max(most_tasks, len(asyncio.all_tasks()) - quiet_tasks)
        assert set(endpoints.circuits.values()) <= {Circuit.OPEN, Circuit.TRIAL}
        assert recorded * ENDPOINTS == sum((await endpoints.waiting()).values()) <= MAX_ROWS
        for times in asked.values():
            probes = [time for time in times if time > times[0] + 5]
            assert all(later - earlier >= 10 for earlier, later in pairwise(probes))
        # A delivery's task each, and what aiohttp and the receiver keep for their connections.
        assert most_tasks <= 4 * 8 * ENDPOINTS
        assert receiver.most_at_once <= 8 * ENDPOINTS
        assert resident_bytes() - quiet_bytes <= MOST_MORE_BYTES
        receiver.answers.clear()
        async with asyncio.timeout(2 * 3600):
            while (await store.depth()).by_state[State.DELIVERED] < recorded * ENDPOINTS:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(10)
