import asyncio

import pytest

from relay.core.moments import Ms
from relay.ingest.rates import Rates
from relay.ingest.turns import Turns
from relay.settings.upstream import Source


class Clock:
    """The loop's; counts how often it is asked, which is how often anybody looks at the rates."""

    asked = 0

    def __call__(self) -> Ms:
        self.asked += 1
        return asyncio.get_running_loop().time() * 1000


async def passed(turns: Turns, name: int, order: list[int]) -> None:
    if not turns.is_taken(0):
        turn = turns.join(0)
        try:
            await turn
        finally:
            turns.leave(turn)
    order.append(name)


@pytest.mark.looptime
async def test_whoever_asked_first_goes_first_and_one_timer_does_for_all() -> None:
    clock, order = Clock(), list[int]()
    turns = Turns(Rates(Source(events_per_s=50)), clock)
    async with asyncio.TaskGroup() as group:
        for name in range(500):
            group.create_task(passed(turns, name, order), name=f"stream-{name}")
    assert order == list(range(500))
    assert asyncio.get_running_loop().time() == pytest.approx((500 - 2 * 50) / 50, abs=0.1)
    assert clock.asked < 500 * 5, "a handful of looks for each of them, however many wait"


@pytest.mark.looptime
async def test_whoever_leaves_the_line_costs_the_others_nothing() -> None:
    clock, order = Clock(), list[int]()
    turns = Turns(Rates(Source(events_per_s=1)), clock)
    tasks = [asyncio.create_task(passed(turns, name, order)) for name in range(5)]  # two pass at once
    await asyncio.sleep(0)
    tasks[2].cancel()
    tasks[3].cancel()
    await asyncio.wait(tasks)
    assert order == [0, 1, 4]
    assert asyncio.get_running_loop().time() == pytest.approx(1, abs=0.1)


@pytest.mark.looptime
async def test_a_turn_that_is_given_up_and_stands_in_line_yet_holds_up_nobody() -> None:
    """A stream that ends gives its turn up at once, and leaves the line when it has its next turn of the loop."""
    turns = Turns(Rates(Source(events_per_s=1)), Clock())
    while turns.is_taken(0):
        pass
    first, second = turns.join(0), turns.join(0)
    first.cancel()
    async with asyncio.timeout(3):
        await second


@pytest.mark.looptime
async def test_nobody_passes_those_who_wait() -> None:
    clock, order = Clock(), list[int]()
    rates = Rates(Source(events_per_s=1, bytes_per_s=1024))
    turns = Turns(rates, clock)
    assert turns.is_taken(0)
    assert turns.is_taken(0)
    waiting = asyncio.create_task(passed(turns, 0, order))
    await asyncio.sleep(0.5)
    rates.use(Source(events_per_s=1000))
    assert not turns.is_taken(0), "though the rates would let it"
    await waiting


async def test_there_is_room_for_what_one_by_one_would_pass_and_for_no_more() -> None:
    """A bucket that is clear lets anything pass alone; the sum of many frames once was let through like that."""
    clock, source = Clock(), Source(events_per_s=5, bytes_per_s=1024)
    turns = Turns(Rates(source), clock)
    assert turns.room() == (10, 2048)  # two seconds' worth
    turns.book(4, 1000)
    assert turns.room() == (6, 1048)
    turns.book(6, 1000)
    assert turns.room()[0] == 0
    assert not turns.is_taken(1)


@pytest.mark.looptime
async def test_there_is_no_room_while_others_wait() -> None:
    clock, order = Clock(), list[int]()
    turns = Turns(Rates(Source(events_per_s=1)), clock)
    waiting = [asyncio.create_task(passed(turns, name, order)) for name in range(3)]  # two pass at once
    await asyncio.sleep(0)
    assert turns.room() == (0, 0)
    await asyncio.wait(waiting)
