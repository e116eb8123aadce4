"""SIGTERM: nothing that was accepted is lost, nobody is left typing, and it does not take long."""

import asyncio
import signal
import time

import aiohttp

from relay.sandbox.chaos import Forced
from tests.whole.process import RelayProcess, until
from tests.whole.test_platform_trouble import PLENTY
from tests.whole.town import Reply, Town, assert_no_gap, event, once

SESSIONS = 25


async def test_sigterm_stops_every_open_session_and_refuses_new_posts_meanwhile(town: Town) -> None:
    async with town.relay({}, **PLENTY) as relay:
        for number in range(SESSIONS):
            await town.type(relay, number)
        await until(lambda: len(town.platform.arrivals) == SESSIONS, within_s=5)
        began = time.monotonic()
        posting = asyncio.create_task(_post_until_closed(town, relay))
        relay.send(signal.SIGTERM)
        code = await relay.ended()
        took_s = time.monotonic() - began
        refused = await posting
    assert code == 0
    assert took_s <= 10
    for number in range(SESSIONS):
        assert town.told(number) == ["typing", "typing_stopped"]
        assert town.transitions(number) == [("typing", "keystroke"), ("stopped", "shutdown")]
    events = once(town.events())
    assert_no_gap(events)
    assert len([e for e in events if e.type == "typing_indicator.broadcast"]) == 2 * SESSIONS
    assert refused
    assert {(reply.status, reply.value["title"]) for reply in refused} == {(503, "Unavailable")}
    assert all(int(reply.headers["Retry-After"]) >= 1 for reply in refused)
    assert not [line for line in relay.said if '"level":"error"' in line or "Traceback" in line]


async def _post_until_closed(town: Town, relay: RelayProcess) -> list[Reply]:
    """What posts of another session were told from the first refusal to the closing of the door."""
    replies: list[Reply] = []
    while True:
        try:
            reply = await town.post(relay, event(1000))
        except aiohttp.ClientConnectionError:
            return replies
        if reply.status != 202:
            replies.append(reply)
        await asyncio.sleep(0.02)


async def test_a_second_sigterm_ends_it_at_once(town: Town) -> None:
    async with town.relay({}) as relay:
        town.platform.mischief.force(*[Forced(delay_ms=5000)] * 4)
        await town.type(relay)
        await until(town.calls, within_s=5)
        relay.send(signal.SIGTERM)
        await until(lambda: relay.logged("stopping"), within_s=2)
        relay.send(signal.SIGTERM)
        assert await relay.ended(1.0) == 128 + signal.SIGTERM
    async with town.relay({}) as relay:
        assert relay.ready_line
        await until(lambda: len(town.transitions()) == 2, within_s=5)
    assert town.transitions()[-1][0] == "stopped"


async def test_readiness_goes_before_the_doors_do(town: Town) -> None:
    async with town.relay({}) as relay:
        assert (await town.look(relay, "/readyz")).status == 200
        await town.type(relay)
        await until(town.calls, within_s=5)
        relay.send(signal.SIGTERM)
        await until(lambda: relay.logged("stopping"), within_s=2)
        reply = await town.look(relay, "/readyz")
        assert reply.status == 503
        assert "stopping" in reply.value["checks"][0]["reason"]
        assert await relay.ended() == 0


async def test_a_hangup_ends_nothing(town: Town) -> None:
    """Its default action is to end the process at once, with sessions open."""
    async with town.relay() as relay:
        relay.send(signal.SIGHUP)
        assert (await town.post(relay, event(0))).status == 202
        assert (await town.look(relay, "/readyz")).status == 200
