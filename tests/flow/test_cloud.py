"""The relay as Genesys Cloud sees it, with the platform's limits on: 12 typings a conversation, 300 calls a client."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from statistics import mean

import aiohttp
import pytest

from relay.core.activity import Activity, Kind
from relay.core.indicator import Indicator
from relay.core.moments import Ms
from relay.errors import Rejected
from relay.sandbox.chaos import Chaos, Forced
from relay.sandbox.traces import generated_trace, read_trace
from tests.flow.cloud import (
    LAST_DIGIT_MS,
    Cloudy,
    Darkness,
    agent_id,
    cloudy,
    darkness,
    most_in_a_minute,
    without_idleness,
)
from tests.gateway.rig import CALM, now_ms

# Fewer empty turns of the loop before time moves on than looptime's 42: the wheel ticks 50 times a second for minutes.
pytestmark = pytest.mark.looptime(noop_cycles=6)

HONOURED = CALM.changed(longest_duration_ms=6000)
TICK_MS = 20
WRITING = generated_trace(minutes=12, seed=3)


def steady(minutes: float, *, every_ms: Ms = 500.0) -> list[Ms]:
    """Who never pauses: the hardest typist for a limit of 12 a minute."""
    return [at * every_ms for at in range(int(minutes * 60_000 / every_ms))]


async def typed(it: Cloudy, keys: list[Ms]) -> list[Ms]:
    it.conversation()
    await it.play(keys)
    await asyncio.sleep(15)
    return it.shown_at()


async def dark_of(it: Cloudy, keys: list[Ms], *, bridged_ms: Ms) -> Darkness:
    """What the guest of one who presses these keys misses, where every minute has twelve typings and no 429."""
    shown = await typed(it, keys)
    assert most_in_a_minute(shown) <= 12
    assert it.statuses() == {200}
    return darkness(keys, it.displays(), longest_gap_ms=bridged_ms)


# The longest pause a profile bridges is min(D, P + m): 2,800 ms of `genesys`, 3,200 ms of `genesys-6000`.


async def test_a_writers_guest_is_in_the_dark_for_hardly_any_of_the_typing() -> None:
    async with cloudy() as it:
        dark = await dark_of(it, WRITING, bridged_ms=2800)
        assert 0 < dark.share <= 0.006
        assert dark.longest_ms <= 3500


async def test_with_a_display_of_six_seconds_a_writers_guest_is_never_in_the_dark() -> None:
    async with cloudy(HONOURED, profile="genesys-6000") as it:
        assert (await dark_of(it, WRITING, bridged_ms=3200)).lapses == 0
        assert {arrival.duration_ms for arrival in it.platform.arrivals} == {6000}


async def test_where_six_seconds_are_not_honoured_their_profile_lapses() -> None:
    """The counter-proof: who says 5 s where the profile counts on 6 is dark after every display."""
    async with cloudy(profile="genesys-6000") as it:
        dark = await dark_of(it, steady(1), bridged_ms=3200)
        assert {arrival.duration_ms for arrival in it.platform.arrivals} == {5000}
        assert dark.lapses >= 10


REFERENCE = os.environ.get("RELAY_REFERENCE_TRACE")


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not REFERENCE,
    reason="set RELAY_REFERENCE_TRACE to a trace of 21,411 keystrokes (one integer a line) to run it",
)
@pytest.mark.parametrize(
    ("chaos", "profile", "bridged_ms", "bars"),
    [
        (CALM, "genesys", 2800, Darkness(share=0.006, longest_ms=3500, lapses=100)),
        (HONOURED, "genesys-6000", 3200, Darkness(share=1e-9, longest_ms=LAST_DIGIT_MS, lapses=0)),
    ],
)
async def test_eleven_hours_of_real_writing_hold_the_bars(
    chaos: Chaos, profile: str, bridged_ms: Ms, bars: Darkness
) -> None:
    """Gaps are cut at 70 s: after a minute and a display nothing is left that could tell a longer one."""
    keys = read_trace(Path(REFERENCE or ""))
    assert len(keys) == 21_411
    async with cloudy(chaos, profile=profile) as it:
        dark = await dark_of(it, without_idleness(keys, longest_ms=70_000), bridged_ms=bridged_ms)
        assert dark.share <= bars.share
        assert dark.longest_ms <= bars.longest_ms
        assert dark.lapses <= bars.lapses


async def test_who_never_pauses_is_dark_once_a_minute_for_what_twelve_displays_leave_of_it() -> None:
    """12 displays, each overlapping the next by the margin of 300 ms, fill 56.7 s of the minute."""
    async with cloudy() as it:
        keys = steady(5)
        dark = await dark_of(it, keys, bridged_ms=2800)
        assert dark.longest_ms <= 3500
        assert dark.lapses <= 5
        assert dark.share <= 3.5 / 60


async def test_with_a_display_of_six_seconds_nothing_lapses_however_long_somebody_types() -> None:
    async with cloudy(HONOURED, profile="genesys-6000") as it:
        assert (await dark_of(it, steady(5), bridged_ms=3200)).lapses == 0


async def test_failures_are_calls_too_and_no_minute_has_more_than_twelve_of_either() -> None:
    chaos = CALM.changed(seed=5, rate_429=0.05, rate_5xx=0.05, latency_ms=300, token_life_s=60)
    async with cloudy(chaos) as it:
        await typed(it, steady(5))
        arrived = [arrival.at - it.began for arrival in it.platform.arrivals]
        assert it.statuses() == {200, 429, 503}
        assert most_in_a_minute(arrived) <= 12


async def test_forty_busy_conversations_share_one_client_fairly_and_provoke_no_429() -> None:
    async with cloudy() as it:
        for number in range(1, 41):
            it.conversation(number)
        until = now_ms() + 120_000
        while now_ms() < until:
            for number in range(1, 41):
                it.type(number)
            await asyncio.sleep(0.7)
        calls = [len(it.shown_at(number)) for number in range(1, 41)]
        assert it.statuses() == {200}
        assert it.platform.callers.refused_429 == 0
        assert min(calls) >= 0.8 * mean(calls)
        assert max(calls) <= 1.2 * mean(calls)
        # 280 calls a minute are what is sure to fit into any rolling one (burst 20); 40 look-ups are among them.
        assert sum(calls) >= 0.9 * (2 * 280 - 40)


async def test_a_first_key_goes_before_the_displays_of_those_who_type_on() -> None:
    """Escaped because a display that had lapsed was a first typing too, and with forty of them all had lapsed."""
    async with cloudy() as it:
        for number in range(1, 42):
            it.conversation(number)
        busy = asyncio.create_task(forty_busy(it), name="forty who type on")
        await asyncio.sleep(20)
        asked_at = now_ms() - it.began
        it.type(41)
        await asyncio.sleep(10)
        busy.cancel()
        first = it.shown_at(41)[0]
        others = [at for number in range(1, 41) for at in it.shown_at(number) if asked_at < at < first]
        assert first - asked_at < 1000
        assert len(others) <= 2


async def test_forty_first_keys_at_once_wait_their_turn_and_none_is_booked_as_a_failure() -> None:
    """Escaped because a look-up without a permit was told as one without an answer, and cost one of three tries."""
    async with cloudy() as it:
        for number in range(1, 41):
            it.conversation(number)
            it.type(number)
        for _ in range(40):
            await asyncio.sleep(0.5)
            for number in range(1, 41):
                it.type(number)
        assert all(it.shown_at(number) for number in range(1, 41))
        assert {fact.success for fact in it.broadcasts()} == {True}


async def test_a_platform_that_answers_no_lookup_is_asked_once_in_ten_seconds() -> None:
    async with cloudy() as it:
        it.platform.mischief.force(*[Forced(on="session", status=503)] * 1000)
        for _ in range(60):
            for number in range(1, 31):
                it.type(number)
            await asyncio.sleep(0.5)
        assert (
            it.platform.cloud.reads <= 16 + 3
        )  # those under way when the circuit opened, then one each 10 s
        assert len(it.broadcasts()) <= it.platform.cloud.reads
        assert set(it.suppressed()) == {"breaker_open"}


async def test_an_order_for_an_agent_whose_leg_rings_is_told_when_to_come_again() -> None:
    async with cloudy() as it:
        it.conversation().legs[1].state = "alerting"
        with pytest.raises(Rejected, match="not connected yet") as caught:
            await it.orders.broadcast(
                ("cloud", it.address().session_id),
                it.address(),
                indicator=Indicator.TYPING,
                duration_ms=5000,
                source="desk",
            )
        assert (caught.value.status, caught.value.retry_after_s) == (429, 4.5)


async def forty_busy(it: Cloudy) -> None:
    while True:
        for number in range(1, 41):
            it.type(number)
        await asyncio.sleep(0.5)


async def test_a_longer_display_than_the_platform_is_proven_to_show_is_not_counted_on() -> None:
    """Escaped because the stand-in was only asked for what it shows: it was dark for half of the time."""
    async with cloudy() as it:
        it.conversation()
        for _ in range(60):
            keystroke = Activity("cloud", it.address(), "desk", "agent-1", Kind.KEYSTROKE, duration_ms=10_000)
            it.flow.accept([keystroke])
            await asyncio.sleep(0.5)
        dark = darkness(steady(0.5), it.displays(), longest_gap_ms=2800)
        assert dark.share <= 3.5 / 60
        assert {fact.duration_ms for fact in it.broadcasts()} == {5000}


@pytest.mark.parametrize(("asked", "shown"), [(None, 5000), (10_000, 5000), (800, 800)])
async def test_an_order_is_shown_for_the_gateways_own_time_at_most(asked: int | None, shown: int) -> None:
    async with cloudy() as it:
        it.conversation()
        await it.orders.broadcast(
            ("cloud", it.address().session_id),
            it.address(),
            indicator=Indicator.TYPING,
            duration_ms=asked,
            source="desk",
        )
        assert [fact.duration_ms for fact in it.broadcasts()] == [shown]


async def test_a_pause_and_a_stop_are_told_to_trackers_and_lapse_on_the_platform() -> None:
    async with cloudy() as it:
        await typed(it, [0.0])
        assert it.transitions() == [
            ("typing", "keystroke", None),
            ("paused", "silence", "lapse"),
            ("typing_stopped", "silence", "lapse"),
        ]
        assert len(it.platform.arrivals) == 1


async def test_a_message_ends_the_display_and_the_next_key_shows_again_at_once_when_it_may() -> None:
    async with cloudy() as it:
        it.conversation()
        it.type()
        await asyncio.sleep(2)
        it.act(Kind.MESSAGE_SENT)
        await asyncio.sleep(1)
        it.type()
        await asyncio.sleep(10)
        assert [round(at) for at in it.shown_at()][:2] == [0, 4500]


async def test_what_the_platform_has_no_word_for_cannot_be_ordered() -> None:
    async with cloudy() as it:
        it.conversation()
        for indicator in (Indicator.PAUSED, Indicator.STOPPED):
            with pytest.raises(Rejected, match="can only be told") as caught:
                await it.orders.broadcast(
                    ("cloud", it.address().session_id),
                    it.address(),
                    indicator=indicator,
                    duration_ms=5000,
                    source="desk",
                )
            assert caught.value.status == 422
        done = await it.orders.broadcast(
            ("cloud", it.address().session_id),
            it.address(),
            indicator=Indicator.TYPING,
            duration_ms=5000,
            source="desk",
        )
        assert done.status == 200


async def test_a_conversation_without_its_agent_is_left_alone_for_a_minute() -> None:
    async with cloudy() as it:
        conversation = it.conversation()
        conversation.end(0)
        it.type()
        await asyncio.sleep(1)
        it.type()
        await asyncio.sleep(1)
        assert len(it.platform.arrivals) == 0
        assert [fact.error for fact in it.broadcasts()] == ["refused"]


async def test_a_conversation_that_was_handed_over_goes_on_at_the_next_agents_leg() -> None:
    """Escaped because nobody was ever handed over: the next agent was refused for more than a minute."""
    async with cloudy() as it:
        conversation = it.conversation()
        it.type()
        await asyncio.sleep(1)
        it.act(Kind.MESSAGE_SENT)
        conversation.legs[1].end(0)
        second = conversation.connect(agent_id(2), 0)
        for _ in range(10):
            await asyncio.sleep(0.5)
            it.type_as(2)
        assert it.platform.arrivals[-1].guest_id == second.communication_id
        assert it.statuses() == {200}


async def test_the_next_agent_need_not_wait_for_one_whose_leg_was_refused() -> None:
    async with cloudy() as it:
        conversation = it.conversation()
        it.type()
        await asyncio.sleep(1)
        conversation.legs[1].end(0)
        second = conversation.connect(agent_id(2), 0)
        with pytest.raises(Rejected, match="busy at another address"):
            it.type_as(2)
        for _ in range(12):
            it.type()
            await asyncio.sleep(0.5)
        assert it.broadcasts()[-1].error == "refused"
        for _ in range(10):
            it.type_as(2)
            await asyncio.sleep(0.5)
        assert it.platform.arrivals[-1].guest_id == second.communication_id
        assert it.broadcasts()[-1].success


@pytest.mark.parametrize(
    ("profile", "display_ms", "refresh_ms"),
    [("genesys", 5000, 4700), ("genesys-6000", 6000, 5300)],  # R = D - m
)
async def test_a_guests_socket_has_the_first_key_at_once_and_nothing_after_the_silence(
    profile: str, display_ms: int, refresh_ms: Ms
) -> None:
    """No typing event comes D + 2 s after the last key or later, and the first within 100 ms of its key.

    What the guest's client shows by then is another matter: the last refresh may come min(P, R) = 2.5 s after the last
    key, as here, and is displayed for D. So the screen is dark D + 2.5 s after it, and a tick.
    """
    last_key = 3 * refresh_ms - 2400
    keys = [*(at * 400.0 for at in range(int(last_key / 400))), last_key]
    async with cloudy(HONOURED, profile=profile) as it:
        conversation = it.conversation()
        it.platform.guests.admit("guest-token", conversation)
        heard: list[Ms] = []
        url = f"{it.platform.base_url}/v1?deploymentId=d-1"
        async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
            await socket.send_json({"action": "configureSession", "token": "guest-token"})
            await socket.receive_json(timeout=1)
            began = now_ms()
            playing = asyncio.create_task(it.play(keys), name="the agent's keys")
            with suppress(TimeoutError):
                while True:
                    frame = await socket.receive_json(timeout=60)
                    assert frame["body"]["events"][0]["typing"] == {"type": "On", "duration": display_ms}
                    heard.append(now_ms() - began)
            await playing
        dark_at = it.displays()[-1].until + it.began - began - last_key
    assert heard[0] <= 100
    assert len(heard) == 4
    assert 2000 < heard[-1] - last_key <= 2500 + TICK_MS < display_ms + 2000
    assert dark_at <= 2500 + display_ms + TICK_MS


async def test_a_message_leaves_the_guests_screen_dark_until_the_next_key() -> None:
    async with cloudy() as it:
        conversation = it.conversation()
        it.type()
        await asyncio.sleep(1)
        assert it.platform.visible(conversation.id) is Indicator.TYPING
        it.act(Kind.MESSAGE_SENT)
        it.platform.cloud.say(conversation, "Good morning")
        for _ in range(30):
            await asyncio.sleep(0.5)
            assert it.platform.visible(conversation.id) is None
