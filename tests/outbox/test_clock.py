"""The wall clock is set to and fro while the room works: what is on its way, what waits and what rests goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from relay.core.delivery import State
from relay.outbox.outbox import Outbox
from relay.settings.endpoint import Endpoint
from relay.settings.models import Audit
from relay.settings.models import Outbox as OutboxSettings
from tests.outbox.receiver import Receiver
from tests.outbox.test_outbox import START, append_all, endpoint, typing

pytestmark = pytest.mark.looptime

HOUR_MS = 3_600_000


class Wall:
    """Goes with the loop, from wherever it is set."""

    def __init__(self) -> None:
        self.set_by_ms = 0
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> int:
        return START + self.set_by_ms + round(self._loop.time() * 1000)


@asynccontextmanager
async def running(folder: Path, wall: Wall, **endpoints: Endpoint) -> AsyncIterator[Outbox]:
    settings = OutboxSettings(path=folder / "outbox.db")
    outbox = await Outbox.open(settings, endpoints, Audit(), wall=wall, inline=True)
    await outbox.start()
    try:
        yield outbox
    finally:
        await outbox.drain(0.5)
        await outbox.close()


async def slow(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(10)
    return web.Response()


async def test_set_forward_it_sends_nothing_a_second_time(tmp_path: Path, receiver: Receiver) -> None:
    """A lease is wall time. It ended at once, and what was on its way with it was claimed anew."""
    wall = Wall()
    receiver.answers = [slow] * 10
    async with running(tmp_path, wall, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing("a"))
        await receiver.until(1)
        wall.set_by_ms = HOUR_MS
        await outbox.append(typing("b"))
        await asyncio.sleep(60)
        assert [got.data["sessionId"] for got in receiver.got] == ["a", "b"]
        assert (await outbox.depth()).by_state[State.DELIVERED] == 2


async def test_set_back_it_rests_as_long_as_was_asked_for(tmp_path: Path, receiver: Receiver) -> None:
    """The rest was until an hour and ten seconds later: five new ones waited as long."""
    wall = Wall()
    receiver.answers, receiver.headers = [429], {"Retry-After": "10"}
    async with running(tmp_path, wall, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing("a"))
        await receiver.until(1)
        wall.set_by_ms = -HOUR_MS
        await append_all(outbox, *(typing(f"later{n}") for n in range(5)))
        await asyncio.sleep(9)
        assert len(receiver.got) == 1
        await asyncio.sleep(6)
        assert len(receiver.got) == 1 + 5 + 1, "and the first one is tried again when it was to be"


async def test_set_back_it_sends_what_waits(tmp_path: Path, receiver: Receiver) -> None:
    wall = Wall()
    receiver.answers = [slow] * 8
    async with running(tmp_path, wall, tracker=endpoint(receiver.url)) as outbox:
        await append_all(outbox, *(typing(f"s{n}") for n in range(30)))
        await receiver.until(8)
        wall.set_by_ms = -HOUR_MS
        await asyncio.sleep(15)
        assert (await outbox.depth()).by_state[State.DELIVERED] == 30


async def test_set_back_what_is_overtaken_is_so_no_later(tmp_path: Path, receiver: Receiver) -> None:
    """Ten minutes after its first attempt, whatever the wall clock says they are."""
    wall = Wall()
    receiver.answers = [400, 400, 400]
    async with running(tmp_path, wall, tracker=endpoint(receiver.url)) as outbox:
        await append_all(outbox, typing(), typing())
        await asyncio.sleep(400)
        wall.set_by_ms = -HOUR_MS
        await asyncio.sleep(5)
        await outbox.append(typing())
        await asyncio.sleep(180)
        assert [got.data["sequence"] for got in receiver.got] == [1, 1, 1]
        await asyncio.sleep(25)
        assert [got.data["sequence"] for got in receiver.got] == [1, 1, 1, 2, 3]


async def test_set_back_between_two_lives_it_sends_what_waits(tmp_path: Path, receiver: Receiver) -> None:
    wall = Wall()
    wall.set_by_ms = HOUR_MS
    tracker = endpoint(receiver.url)
    async with running(tmp_path, wall, tracker=tracker) as outbox:
        await outbox.endpoints.pause("tracker")
        await outbox.append(typing())
    wall.set_by_ms = 0
    async with running(tmp_path, wall, tracker=tracker) as outbox:
        await outbox.endpoints.resume("tracker")
        await asyncio.sleep(5)
        assert len(receiver.got) == 1


async def test_an_ephemeral_ones_life_is_no_longer_for_a_clock_set_back(
    tmp_path: Path, receiver: Receiver
) -> None:
    wall = Wall()
    brief = endpoint(receiver.url, **{"class": "ephemeral"})
    async with running(tmp_path, wall, tracker=brief) as outbox:
        await outbox.endpoints.pause("tracker")
        await outbox.append(typing())
        wall.set_by_ms = -HOUR_MS
        await asyncio.sleep(29)
        assert (await outbox.depth()).by_state[State.EXPIRED] == 0
        await asyncio.sleep(5)
        assert (await outbox.depth()).by_state[State.EXPIRED] == 1
