import asyncio
import logging
from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from looptime import new_event_loop

from relay.core.budget import shares
from relay.core.indicator import Rank, SessionKey
from relay.gateway.throttle import Throttle
from tests.gateway.rig import now_ms, throttled

pytestmark = pytest.mark.looptime


def key(number: int) -> SessionKey:
    return "guest", f"session-{number}"


class Carrier:
    """Notes what was carried and when; each carry takes `takes_ms`."""

    def __init__(self, takes_ms: float = 0) -> None:
        self.takes_ms = takes_ms
        self.carried: list[tuple[float, SessionKey]] = []
        self.now: set[SessionKey] = set()
        self.most_at_once = 0

    async def __call__(self, session: SessionKey) -> None:
        assert session not in self.now, "one key was carried twice at once"
        self.now.add(session)
        self.most_at_once = max(self.most_at_once, len(self.now))
        self.carried.append((now_ms(), session))
        await asyncio.sleep(self.takes_ms / 1000)
        self.now.remove(session)

    @property
    def keys(self) -> list[SessionKey]:
        return [session for _, session in self.carried]

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.carried]


async def test_with_free_permits_a_mark_is_carried_at_once() -> None:
    carrier = Carrier()
    async with throttled(carrier) as throttle:
        await asyncio.sleep(1)
        marked_at = now_ms()
        throttle.mark(key(1), Rank.START)
        for _ in range(3):
            await asyncio.sleep(0)
        assert carrier.times == [marked_at]


async def test_no_minute_sees_more_than_the_rate_and_none_is_wasted_in_the_long_run() -> None:
    carrier = Carrier()
    async with throttled(carrier, rate_per_minute=60, burst=10) as throttle:
        for number in range(1000):
            throttle.mark(key(number), Rank.STOP)
        await asyncio.sleep(600)
    times = carrier.times
    in_a_minute = max(bisect_left(times, at + 60_000) - place for place, at in enumerate(times))
    assert in_a_minute <= 60
    assert len(times) >= 10 * 50  # (rate - burst) a minute is what leaks


async def test_stops_go_before_older_starts_and_pauses_go_last() -> None:
    carrier = Carrier()
    async with throttled(carrier, rate_per_minute=60, burst=2, carriers=1) as throttle:
        for number, rank in enumerate([Rank.PAUSE, Rank.REFRESH, Rank.START, Rank.STOP]):
            throttle.mark(key(number), rank)
        await asyncio.sleep(60)
    assert carrier.keys == [key(3), key(2), key(1), key(0)]


async def test_the_final_stop_survives_a_bucket_that_starts_have_emptied() -> None:
    carrier = Carrier()
    async with throttled(carrier, rate_per_minute=60, burst=10) as throttle:
        for number in range(1000):
            throttle.mark(key(number), Rank.START)
        await asyncio.sleep(30)
        asked_at = now_ms()
        throttle.mark(key(5000), Rank.STOP)
        await asyncio.sleep(2)
    assert key(5000) in carrier.keys
    assert carrier.times[carrier.keys.index(key(5000))] == asked_at  # the reserve was full


async def test_starts_never_touch_the_tenth_kept_for_stops() -> None:
    carrier = Carrier()
    any_work, stops = shares(60, 10)
    async with throttled(carrier, rate_per_minute=60, burst=10) as throttle:
        for number in range(1000):
            throttle.mark(key(number), Rank.START)
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        assert len(carrier.carried) == any_work.burst
        assert throttle.headroom == stops.burst


async def test_a_key_marked_while_it_is_carried_is_carried_once_more_afterwards() -> None:
    carrier = Carrier(takes_ms=100)
    async with throttled(carrier) as throttle:
        throttle.mark(key(1), Rank.START)
        await asyncio.sleep(0.05)
        throttle.mark(key(1), Rank.REFRESH)
        throttle.mark(key(1), Rank.STOP)
        await asyncio.sleep(1)
    assert carrier.times == [0, 100]


async def test_an_unmarked_key_is_not_carried() -> None:
    carrier = Carrier(takes_ms=100)
    async with throttled(carrier) as throttle:
        throttle.mark(key(1), Rank.START)
        throttle.unmark(key(1))
        throttle.mark(key(2), Rank.START)
        await asyncio.sleep(0.05)
        throttle.mark(key(2), Rank.START)
        throttle.unmark(key(2))
        await asyncio.sleep(1)
    assert carrier.keys == [key(2)]


async def test_never_more_are_carried_at_once_than_there_are_carriers() -> None:
    carrier = Carrier(takes_ms=1000)
    async with throttled(carrier, rate_per_minute=6000, burst=100, carriers=4) as throttle:
        for number in range(40):
            throttle.mark(key(number), Rank.START)
        await asyncio.sleep(30)
    assert carrier.most_at_once == 4
    assert carrier.keys == [key(number) for number in range(40)]


async def test_what_waits_for_a_slot_costs_no_permit() -> None:
    carrier = Carrier(takes_ms=1000)
    async with throttled(carrier, carriers=1) as throttle:
        before = throttle.headroom
        for number in range(10):
            throttle.mark(key(number), Rank.START)
        await asyncio.sleep(0.001)
        assert before - throttle.headroom == 1


async def test_a_cool_off_holds_everything_back_until_it_is_over() -> None:
    carrier = Carrier()
    async with throttled(carrier) as throttle:
        throttle.cool_off(5000)
        throttle.mark(key(1), Rank.STOP)
        throttle.mark(key(2), Rank.START)
        await asyncio.sleep(10)
    assert carrier.times == [5000, 5000]


async def test_a_cool_off_that_begins_while_waiting_for_a_permit_is_honoured() -> None:
    carrier = Carrier()
    async with throttled(carrier, rate_per_minute=60, burst=2) as throttle:
        for number in range(5):
            throttle.mark(key(number), Rank.START)
        await asyncio.sleep(0.5)
        assert len(carrier.carried) == 1
        throttle.cool_off(20_000)
        await asyncio.sleep(60)
    assert all(at >= 20_000 for at in carrier.times[1:])


async def test_a_longer_cool_off_extends_a_shorter_one() -> None:
    carrier = Carrier()
    async with throttled(carrier) as throttle:
        throttle.cool_off(1000)
        throttle.mark(key(1), Rank.START)
        await asyncio.sleep(0.5)
        throttle.cool_off(3000)
        await asyncio.sleep(10)
    assert carrier.times == [3000]


async def test_a_probe_takes_a_permit_and_no_slot() -> None:
    """Sixteen first indicators that each probe would otherwise wait for each other."""
    granted = []

    async def carry(_: SessionKey) -> None:
        granted.append(await throttle.permit(Rank.START, now_ms() + 500))

    async with throttled(carry, carriers=2) as throttle:
        before = throttle.headroom
        for number in range(2):
            throttle.mark(key(number), Rank.START)
        await asyncio.sleep(0.001)
        assert granted == [True, True]
        assert before - throttle.headroom == 4


async def test_a_call_under_way_gets_its_permit_before_older_marks_of_its_rank() -> None:
    order = []

    async def carry(session: SessionKey) -> None:
        order.append(session)
        if session == key(0):
            await throttle.permit(Rank.START, now_ms() + 60_000)
            order.append(("guest", "its permit"))

    async with throttled(carry, rate_per_minute=60, burst=2) as throttle:
        for number in range(3):
            throttle.mark(key(number), Rank.START)
        await asyncio.sleep(60)
    assert order == [key(0), ("guest", "its permit"), key(1), key(2)]


async def test_a_permit_that_does_not_come_in_time_is_refused_and_leaves_nothing_behind() -> None:
    carrier = Carrier()
    async with throttled(carrier, rate_per_minute=10, burst=2) as throttle:
        throttle.cool_off(60_000)
        assert not await throttle.permit(Rank.START, now_ms() + 500)
        assert now_ms() == 500
        assert throttle.waiting == 0


async def test_probes_count_towards_the_rate() -> None:
    async with throttled(Carrier(), rate_per_minute=60, burst=10) as throttle:
        granted = 0
        while now_ms() < 60_000:
            granted += await throttle.permit(Rank.STOP, 60_000)
        assert 40 <= granted <= 60


async def test_a_carry_that_fails_is_logged_and_its_slot_is_free_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    carried = []

    async def carry(session: SessionKey) -> None:
        carried.append(session)
        raise RuntimeError("a fault of ours")

    async with throttled(carry, carriers=1) as throttle:
        with caplog.at_level(logging.ERROR):
            throttle.mark(key(1), Rank.START)
            throttle.mark(key(2), Rank.START)
            await asyncio.sleep(1)
    assert carried == [key(1), key(2)]
    assert caplog.messages == ["carry failed", "carry failed"]


async def test_closing_cancels_what_is_carried_and_serves_nothing_more() -> None:
    carrier = Carrier(takes_ms=60_000)
    throttle = Throttle("guest", carrier, rate_per_minute=300, burst=20)
    throttle.start()
    throttle.mark(key(1), Rank.START)
    await asyncio.sleep(1)
    await throttle.close()
    throttle.mark(key(2), Rank.START)
    await asyncio.sleep(60)
    assert carrier.keys == [key(1)]
    assert not await throttle.permit(Rank.START, now_ms() + 500)
    assert asyncio.all_tasks() == {asyncio.current_task()}


Script = list[tuple[float, int, Rank]]
SCRIPTS = st.lists(
    st.tuples(st.floats(0, 5000), st.integers(0, 60), st.sampled_from(Rank)), min_size=1, max_size=120
)


@settings(max_examples=40, deadline=None)
@given(script=SCRIPTS, rate=st.integers(10, 2000), burst_share=st.floats(0.05, 0.9))
def test_any_window_admits_at_most_the_burst_and_what_leaks_meanwhile(
    script: Script, rate: int, burst_share: float
) -> None:
    burst = max(2, min(rate - 1, int(rate * burst_share)))
    carrier = Carrier()

    async def play() -> None:
        async with throttled(carrier, rate_per_minute=rate, burst=burst) as throttle:
            for pause_ms, number, rank in script:
                await asyncio.sleep(pause_ms / 1000)
                throttle.mark(key(number), rank)
            await asyncio.sleep(36_000)
            assert not throttle.waiting

    loop = new_event_loop()
    try:
        loop.run_until_complete(play())
    finally:
        loop.close()
    any_work, stops = shares(rate, burst)
    times = carrier.times
    for first, since in enumerate(times):
        for last, to in enumerate(times[first:], first):
            span_s = (to - since) / 1000
            assert last - first + 1 <= any_work.most_in(span_s) + stops.most_in(span_s) + 1e-6
