import asyncio
import time

import pytest

from relay.observe.lag import LoopLag


@pytest.mark.looptime
async def test_a_punctual_loop_has_no_lag() -> None:
    lag = LoopLag(asyncio.get_running_loop())
    lag.start()
    await asyncio.sleep(10)
    assert lag.lag_ms < 1
    lag.stop()


async def test_a_held_loop_shows_while_it_is_held_and_after() -> None:
    lag = LoopLag(asyncio.get_running_loop())
    lag.start()
    _hold(0.4)
    held = lag.lag_ms
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    lag.stop()
    assert held >= 100  # 0.4 s held, of which 0.25 s were not yet due
    assert lag.lag_ms >= 100


def _hold(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


async def test_a_stopped_meter_measures_nothing() -> None:
    lag = LoopLag(asyncio.get_running_loop())
    lag.start()
    lag.stop()
    assert lag.lag_ms == 0
