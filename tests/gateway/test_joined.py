"""Throttle and gateway together, as the application joins them: what the platform counts is what is promised."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from relay.core.indicator import Address, Rank, SessionKey
from relay.core.outcome import CoolOff, Expired, Held, Outcome, Shown
from relay.gateway.guest import GuestGateway
from relay.gateway.port import Hold
from relay.gateway.throttle import Throttle
from relay.sandbox.chaos import Chaos, Forced
from relay.sandbox.platform import StandInPlatform
from tests.gateway.rig import CALM, START, STOP, now_ms, settings_for

pytestmark = pytest.mark.looptime


@dataclass
class Joined:
    platform: StandInPlatform
    gateway: GuestGateway = field(init=False)
    throttle: Throttle = field(init=False)
    outcomes: list[tuple[SessionKey, Outcome]] = field(default_factory=list)
    marks: int = 0
    has_news: asyncio.Event = field(default_factory=asyncio.Event)

    def mark(self, number: int, rank: Rank = Rank.START) -> None:
        self.marks += 1
        self.throttle.mark(("guest", str(UUID(int=number))), rank)

    async def carry(self, key: SessionKey) -> None:
        """A carry as the flow makes it, without its pacer."""
        address, deadline_ms = Address(key[1], "guest-1"), now_ms() + 2000
        await self.gateway.probe(address, deadline_ms=deadline_ms)
        outcome = await self.gateway.show(address, START, deadline_ms=deadline_ms)
        if isinstance(outcome, Expired) and await self.throttle.permit(Rank.START, deadline_ms):
            outcome = await self.gateway.show(address, START, deadline_ms=deadline_ms)
        self.outcomes.append((key, outcome))
        self.has_news.set()

    async def all_told(self, *, within_s: float) -> None:
        """Until each mark has its outcome. The marks of one test never come to nothing."""
        async with asyncio.timeout(within_s):
            while len(self.outcomes) < self.marks:
                self.has_news.clear()
                await self.has_news.wait()

    @property
    def requests(self) -> int:
        return len(self.platform.arrivals) + self.platform.probes


@asynccontextmanager
async def joined(
    chaos: Chaos = CALM, *, rate_per_minute: int = 300, burst: int = 20
) -> AsyncIterator[Joined]:
    async with StandInPlatform(chaos) as platform:
        it = Joined(platform)
        it.throttle = Throttle("guest", it.carry, rate_per_minute=rate_per_minute, burst=burst)
        it.gateway = GuestGateway(
            "guest",
            settings_for(platform.base_url),
            permit=it.throttle.permit,
            cool_off=it.throttle.cool_off,
            wall=lambda: 0,
        )
        await it.gateway.start()
        it.throttle.start()
        try:
            yield it
        finally:
            await it.throttle.close()
            await it.gateway.close()


async def test_a_first_key_is_at_the_platform_without_any_waiting() -> None:
    async with joined() as it:
        await asyncio.sleep(1)
        asked_at = now_ms()
        it.mark(1)
        await it.all_told(within_s=1)
        assert it.platform.arrivals[0].at - asked_at < 1


async def test_sixteen_first_keys_at_once_do_not_wait_for_each_other() -> None:
    async with joined(rate_per_minute=6000, burst=100) as it:
        await asyncio.sleep(1)
        for number in range(16):
            it.mark(number)
        await it.all_told(within_s=5)
        assert now_ms() - 1000 < 1
        assert [type(outcome) for _, outcome in it.outcomes] == [Shown] * 16


async def test_no_minute_at_the_platform_sees_more_than_the_rate_probes_included() -> None:
    async with joined(CALM.changed(latency_ms=50), rate_per_minute=60, burst=10) as it:
        times = []
        for number in range(200):
            it.mark(number, Rank.STOP)
        seen = 0
        while now_ms() < 180_000:
            await asyncio.sleep(0.1)
            times += [now_ms()] * (it.requests - seen)
            seen = it.requests
        in_a_minute = max(bisect_left(times, at + 59_900) - place for place, at in enumerate(times))
        assert in_a_minute <= 60
        assert len(times) >= 3 * 50


async def test_a_herd_under_a_429_waits_together_and_nobody_counts_as_shown() -> None:
    """Fifty sessions of the tutorial sent 150 times into a 429 and were all recorded as shown."""
    async with joined(rate_per_minute=6000, burst=100) as it:
        await asyncio.sleep(1)
        limited = Forced(status=429, headers={"retry-after": "5"})
        it.platform.mischief.force(*[limited] * 1000)
        for number in range(50):
            it.mark(number)
        await asyncio.sleep(4)
        # Only the calls that were under way when the first answer came.
        assert len(it.platform.arrivals) <= 16
        assert all(isinstance(outcome, CoolOff | Held) for _, outcome in it.outcomes)


async def test_nothing_at_all_reaches_the_platform_before_retry_after_is_over() -> None:
    async with joined() as it:
        await asyncio.sleep(1)
        it.platform.mischief.force(Forced(status=429, headers={"retry-after": "5"}))
        it.mark(1)
        await asyncio.sleep(0.1)
        for number in range(2, 10):
            it.mark(number, Rank.STOP)
        await asyncio.sleep(4.8)
        assert (len(it.platform.arrivals), it.platform.probes) == (1, 1)
        await asyncio.sleep(1)
        assert len(it.platform.arrivals) == 9


async def test_a_revoked_token_costs_every_session_one_repeat_and_everybody_one_log_in() -> None:
    async with joined(rate_per_minute=6000, burst=100) as it:
        for number in range(10):
            it.mark(number)
        await it.all_told(within_s=5)
        it.platform.identity.revoke_all()
        for number in range(10):
            it.mark(number)
        await it.all_told(within_s=5)
        assert [type(outcome) for _, outcome in it.outcomes] == [Shown] * 20
        assert it.platform.identity.granted == 2


async def test_under_the_default_misbehaviour_every_call_ends_in_a_value() -> None:
    async with joined(Chaos(seed=11, token_life_s=60), rate_per_minute=6000, burst=500) as it:
        for turn in range(10):
            for number in range(40):
                it.mark(turn * 40 + number)
            await asyncio.sleep(15)
        await it.all_told(within_s=60)
        assert len(it.outcomes) == 400
        shown = sum(isinstance(outcome, Shown) for _, outcome in it.outcomes)
        assert shown >= 0.85 * 400


async def test_a_stop_goes_out_while_starts_wait_for_permits() -> None:
    async with joined(rate_per_minute=60, burst=10) as it:
        for number in range(500):
            it.mark(number)
        await asyncio.sleep(20)
        asked_at = now_ms()
        it.throttle.mark(("guest", str(UUID(int=9999))), Rank.STOP)
        await asyncio.sleep(3)
        (arrival,) = [each for each in it.platform.arrivals if each.session_id == str(UUID(int=9999))]
        assert arrival.at - asked_at <= 2500  # one leak of the reserve for its probe at most


async def test_a_stop_is_not_held_back_by_an_open_circuit() -> None:
    async with joined() as it:
        await asyncio.sleep(1)
        it.platform.mischief.force(*[Forced(status=500)] * 5)
        for number in range(5):
            it.mark(number)
        await it.all_told(within_s=5)
        assert (it.gateway.held_by(START), it.gateway.held_by(STOP)) == (Hold.CIRCUIT_OPEN, None)
