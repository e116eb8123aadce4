"""A process that was suspended in the middle of a typing comes back as if it had been punctual."""

import asyncio
import signal

from relay.core.indicator import Indicator
from tests.whole.process import until
from tests.whole.town import BRISK, Town

ASLEEP_S = 5.0
INTERVAL_MS = int(BRISK["RELAY_TYPING__MIN_INTERVAL_MS"])


async def test_a_suspension_ends_in_a_stop_and_not_in_a_burst(town: Town) -> None:
    async with town.relay() as relay:
        for _ in range(10):
            await town.type(relay)
            await asyncio.sleep(0.1)
        await until(lambda: len(town.calls()) >= 2, within_s=5)
        before = len(town.calls())
        relay.send(signal.SIGSTOP)
        await asyncio.sleep(ASLEEP_S)
        relay.send(signal.SIGCONT)
        await until(lambda: town.transitions()[-1:] == [("stopped", "silence")], within_s=5)
        await asyncio.sleep(3 * INTERVAL_MS / 1000)
        assert await relay.stop() == 0
    after = town.calls()[before:]
    assert [call.indicator for call in after] == [Indicator.STOPPED], "it told the guest what had long passed"
    gaps = [b.at - a.at for a, b in zip(town.calls(), town.calls()[1:], strict=False)]
    assert all(gap >= INTERVAL_MS for gap in gaps)
    # As a punctual one: paused after P of silence, stopped after S, though both were noticed late.
    assert town.transitions() == [("typing", "keystroke"), ("paused", "silence"), ("stopped", "silence")]


async def test_many_suspended_sessions_all_end_and_the_limit_holds(town: Town) -> None:
    sessions = 30
    limited = {"RELAY_GATEWAYS__GUEST__RATE_PER_MINUTE": "600", "RELAY_GATEWAYS__GUEST__BURST": "20"}
    async with town.relay(**limited) as relay:
        for number in range(sessions):
            await town.type(relay, number)
        await asyncio.sleep(0.3)
        relay.send(signal.SIGSTOP)
        await asyncio.sleep(3)
        relay.send(signal.SIGCONT)
        before = len(town.platform.arrivals)
        await until(
            lambda: all(town.transitions(n)[-1:] == [("stopped", "silence")] for n in range(sessions)),
            within_s=10,
        )
        await until(
            lambda: all(town.told(n)[-1:] in (["typing_stopped"], []) for n in range(sessions)), within_s=10
        )
    after = sorted(call.at for call in list(town.platform.arrivals)[before:])
    # A leaky bucket of 20 that leaks ten a second: no second sees more than both together.
    for at in after:
        assert len([other for other in after if at <= other < at + 1000]) <= 20 + 10 + 1
