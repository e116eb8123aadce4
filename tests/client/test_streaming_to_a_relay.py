"""The stream against the real door it was made for."""

import asyncio

import pytest

from relay.client import RelayClient
from tests.client.beside import GUEST, KEY, SESSION, beside, relay_beside

pytestmark = pytest.mark.looptime

EVENT = {"sessionId": SESSION, "guestId": GUEST, "type": "keystroke"}


async def test_keystrokes_are_shown_and_the_actor_leaves_with_the_stream() -> None:
    async with beside() as (relay, client):
        async with client.stream() as stream:
            for _ in range(30):
                stream.typing(SESSION, GUEST, actor="agent-7")
                await asyncio.sleep(0.2)
            assert relay.sees() == "typing"
        assert (stream.counts.taken, stream.counts.dropped, stream.counts.refused) == (30, 0, 0)
        await asyncio.sleep(3)
        assert (relay.kinds().count("keystroke"), relay.kinds()[-1]) == (30, "actor_left")
        assert relay.sees() is None


async def test_an_actor_may_stay_when_its_stream_closes() -> None:
    async with beside() as (relay, client):
        async with client.stream(leave_on_close=False) as stream:
            stream.typing(SESSION, GUEST)
        await asyncio.sleep(1)
        assert relay.kinds() == ["keystroke"]


async def test_what_the_relay_cannot_use_is_dropped_and_its_neighbours_arrive() -> None:
    async with beside() as (relay, client), client.stream() as stream:
        for number in range(6):
            stream.say(EVENT | {"seq": number} | ({"guestId": "../x"} if number == 3 else {}))
        await asyncio.sleep(3)
        assert [one.seq for one in relay.taken] == [0, 1, 2, 4, 5]
        assert (stream.counts.taken, stream.counts.refused) == (5, 1)


async def test_a_key_that_is_none_opens_no_stream_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with relay_beside() as relay, RelayClient(relay.url, KEY[:-1] + "x") as client:
        stream = client.stream()
        stream.start()
        stream.say(EVENT)
        await asyncio.sleep(60)
        lines = [record.getMessage() for record in caplog.records if record.name == "relay.client"]
        assert len(lines) == 1
        assert "401" in lines[0]
        assert KEY[10:-1] not in caplog.text
        await client.close()
        assert relay.kinds() == []


async def test_a_thousand_keystrokes_at_once_have_one_effect_each() -> None:
    async with beside() as (relay, client):
        async with client.stream() as stream:
            for number in range(1000):
                stream.say(EVENT | {"seq": number})
        assert [one.seq for one in relay.taken if one.seq is not None] == list(range(1000))
        assert stream.counts.taken == 1000


async def test_a_socket_that_breaks_costs_nothing_and_repeats_nothing() -> None:
    async with beside() as (relay, client), client.stream(leave_on_close=False) as stream:
        doors = relay.house.doors
        assert doors is not None
        for number in range(60):
            stream.say(EVENT | {"seq": number})
            await asyncio.sleep(0.1)
            if number % 20 == 10:
                await doors.streams.drain()
        await asyncio.sleep(3)
        assert [one.seq for one in relay.taken] == list(range(60))
        assert (stream.counts.taken, stream.counts.dropped) == (60, 0)
        assert relay.house.counted('relay_stream_ends_total{reason="draining"}') == 3
