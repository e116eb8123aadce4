"""The one place where real time must pass to prove anything: a tenth of a second at a time."""

import asyncio
import time

import pytest

from relay.demo.clock import hurried_wall, run_hurried


async def _slept(seconds: float) -> tuple[float, float]:
    """(seconds by the loop, real seconds) that a sleep took."""
    loop, began = asyncio.get_running_loop(), time.monotonic()
    began_loop = loop.time()
    await asyncio.sleep(seconds)
    return loop.time() - began_loop, time.monotonic() - began


def test_two_seconds_of_a_loop_at_twenty_take_a_tenth_of_a_second() -> None:
    by_loop, real = run_hurried(_slept(2.0), speed=20)
    assert by_loop >= 2.0
    assert 0.1 <= real < 1.0


def test_a_loop_at_one_keeps_real_time() -> None:
    by_loop, real = run_hurried(_slept(0.1), speed=1)
    assert by_loop == pytest.approx(real, abs=0.01)


def test_deadlines_come_as_much_sooner() -> None:
    async def late() -> float:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):
                await asyncio.Event().wait()
        return time.monotonic() - began

    assert 0.1 <= run_hurried(late(), speed=20) < 1.0


def test_a_thread_wakes_a_loop_that_waits_for_nothing_else() -> None:
    async def told() -> int:
        return await asyncio.to_thread(lambda: 7)

    assert run_hurried(told(), speed=20) == 7


def test_the_wall_clock_begins_right_and_keeps_step_with_the_loop() -> None:
    async def both() -> tuple[int, float]:
        loop, wall = asyncio.get_running_loop(), hurried_wall(20)
        assert wall() == pytest.approx(time.time() * 1000, abs=1000)
        began, began_loop = wall(), loop.time()
        await asyncio.sleep(2.0)
        return wall() - began, (loop.time() - began_loop) * 1000

    by_wall, by_loop = run_hurried(both(), speed=20)
    assert by_wall == pytest.approx(by_loop, abs=100)
