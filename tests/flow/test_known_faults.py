"""What a straightforward broadcaster gets wrong, as sentences that must be true of this one.

Virtual time, the real gateway and throttle, the stand-in platform. `tests/README.md` lists all of them.
"""

import asyncio
from dataclasses import replace

import pytest

from relay.core.indicator import Indicator
from relay.sandbox.chaos import Chaos, Forced
from tests.flow.river import now_ms, river

pytestmark = pytest.mark.looptime

WALL_0 = 1_800_000_000_000
"""Where the river's wall clock begins."""


async def test_nobody_waits_after_the_last_try() -> None:
    async with river(*[Forced(status=429, headers={"Retry-After": "1"})] * 3) as it:
        await it.keys(40, every_ms=200)
        last, arrived = it.broadcasts()[2], it.arrivals()[2]
    assert last.is_given_up
    assert last.at - WALL_0 - arrived.at < 100


async def test_a_try_after_a_long_wait_uses_a_token_that_lives() -> None:
    chaos = Chaos.none().changed(token_life_s=120)
    async with river(Forced(status=429, headers={"Retry-After": "200"}), chaos=chaos) as it:
        await it.keys(210, every_ms=1000)
        first, *later = it.arrivals()
    assert first.status == 429
    assert later[0].at - first.at >= 200_000
    assert {call.status for call in later} == {200}
    assert it.platform.identity.granted >= 2


@pytest.mark.parametrize("fault", [Forced(status=503), Forced(reset=True)], ids=["503", "reset"])
async def test_one_failure_of_the_platform_costs_a_wait_and_not_the_indicator(fault: Forced) -> None:
    async with river(fault) as it:
        await it.keys(20, every_ms=500)
        told = it.told()
        assert it.platform.visible(it.arrivals()[0].session_id) is Indicator.TYPING
    # The interval, the lateness an unknown outcome may have, a tenth of jitter, a tick: nothing longer.
    assert told[1][0] - told[0][0] <= 2000 + 1000 + 200 + 100
    assert [b.success for b in it.broadcasts()[:2]] == [False, True]


async def test_a_wall_clock_set_back_an_hour_refuses_nobody() -> None:
    async with river() as it:
        await it.keys(10, every_ms=100)
        it.flow.world = replace(it.flow.world, wall=lambda: WALL_0 - 3_600_000 + round(now_ms()))
        await it.keys(30, every_ms=100)
        await it.wait(20_000)
        told = it.told()
    assert [what for _, what in told] == ["typing", "typing", "typing", "paused", "typing_stopped"]
    assert [what for what, _ in it.transitions()] == ["typing", "paused", "typing_stopped"]


async def test_draining_in_the_middle_of_a_back_off_sends_nothing_more() -> None:
    async with river(Forced(status=429, headers={"Retry-After": "2"})) as it:
        it.type()
        await it.wait(500)
        await it.flow.drain()
        await it.wait(10_000)
        assert [what for _, what in it.told()] == ["typing"]


async def test_keystrokes_that_are_not_sent_leave_nothing_behind() -> None:
    async with river() as it:
        for _ in range(20):
            for _ in range(500):
                it.type()
            await it.wait(100)
        (session,) = it.flow.sessions.awake()
        assert len(session.actors) == 1
        assert len(it.broadcasts()) <= 2
        assert len(asyncio.all_tasks()) < 30
        assert it.observer.coalescing >= 5000
