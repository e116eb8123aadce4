"""What is not told: a call that is held before it is sent is no attempt, and nobody is told that it failed."""

import pytest

from relay.core.activity import Kind
from relay.core.indicator import Address
from relay.observe.series import TOO_MANY
from relay.sandbox.chaos import Forced
from tests.flow.river import ADDRESS, KEY, River, now_ms, river

pytestmark = pytest.mark.looptime

OTHER = Address("6f0c2f9e-8a52-4d7e-9d3a-0123456789ab", "guest-18")
SLOW = Forced(on="session", delay_ms=200)
WAIT = Forced(status=429, headers={"retry-after": "3"}, delay_ms=200)


async def two_sessions_of_which_the_second_is_overtaken_by_a_429(it: River) -> None:
    """The second has its permit and waits for its probe (1300 to 1500 ms) when the first is limited, at 1400 ms."""
    await it.wait(1000)
    it.type()
    await it.wait(300)
    it.type(address=OTHER)
    await it.wait(1500)


async def test_a_call_that_is_held_by_a_closed_gate_is_no_broadcast_and_no_429() -> None:
    """Escaped because only what the platform got was counted, and not what was booked as its answer."""
    async with river(SLOW, SLOW, WAIT) as it:
        await two_sessions_of_which_the_second_is_overtaken_by_a_429(it)
        assert [(fact.key[1], fact.status) for fact in it.broadcasts()] == [(ADDRESS.session_id, 429)]
        assert it.metrics.counter(TOO_MANY, "guest").value == 1
        assert it.suppressed() == []


async def test_a_call_that_is_held_by_a_closed_gate_is_made_when_it_opens_as_a_first_attempt() -> None:
    async with river(SLOW, SLOW, WAIT) as it:
        await two_sessions_of_which_the_second_is_overtaken_by_a_429(it)
        it.type(address=OTHER)
        await it.wait(2500)
        first = next(fact for fact in it.broadcasts() if fact.key[1] == OTHER.session_id)
        assert (first.success, first.attempts) == (True, 1)
        limited, shown = (each.at for each in it.arrivals())
        assert 3190 <= shown - limited <= 3400  # 200 to its answer, and the 3,000 that this asks for


async def test_a_circuit_that_is_open_is_told_to_the_trackers_as_the_reason_for_silence() -> None:
    async with river(*[Forced(status=500)] * 5) as it:
        for number in range(6):
            it.type(address=Address(f"{number:08x}-8a52-4d7e-9d3a-0123456789ab", f"guest-{number}"))
            await it.wait(100)
        assert it.suppressed() == ["breaker_open"]
        assert len(it.arrivals()) == 5


async def test_a_call_whose_session_came_to_rest_under_it_takes_no_mark_from_who_woke_it() -> None:
    """As after a loop that stood still: the probe's deadline and the session's rest are then over at once."""
    async with river(SLOW, rate_per_minute=60, burst=3) as it:
        await it.wait(1000)
        it.type()
        await it.wait(50)  # it has its permit, and waits for its probe, which has the other
        it.act(Kind.CLEARED)
        first = it.flow.sessions.get(KEY)
        assert first is not None
        first.touched -= 10_000
        it.flow.sessions.arm(first, now_ms())
        await it.wait(50)
        it.type()
        assert not it.flow.sessions.is_awake(first)
        assert it.arrivals() == []
        await it.wait(2000)
        assert [what for _, what in it.told()] == ["typing"]
