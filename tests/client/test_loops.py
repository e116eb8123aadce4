"""A client belongs to one loop; who is on another may use it, and is not told the wrong thing for it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from relay.client import RelayClient, engine
from relay.client.engine import Engine
from tests.client.standing import standing, taken

EVENT = {"sessionId": "s1", "guestId": "g1", "type": "keystroke"}


@pytest.fixture
def elsewhere() -> Iterator[asyncio.AbstractEventLoop]:
    """A second loop, on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="a second loop")
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def done_on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


async def test_a_strict_block_on_another_loop_than_the_clients_hears_the_relays_answer(
    elsewhere: asyncio.AbstractEventLoop,
) -> None:
    """It was told that too many runs are open, before its own had been looked at."""

    async def thinks() -> None:
        async with client.thinking("s1", "g1"):
            assert relay.kinds() == ["thinking"]

    async with standing() as relay, RelayClient(relay.url, strict=True) as client:
        await done_on(elsewhere, thinks())
        assert relay.kinds() == ["thinking", "thinking_done"]


async def test_closed_on_another_loop_than_its_own_a_client_ends_what_is_open(
    elsewhere: asyncio.AbstractEventLoop,
) -> None:
    """It raised, and the guest saw the bot at work until the lease was over."""
    async with standing() as relay:
        client = RelayClient(relay.url)
        client.thinking("s1", "g1").begin()
        assert (await client.send(EVENT)).is_taken
        await done_on(elsewhere, client.close())
        assert relay.kinds() == ["thinking", "keystroke", "thinking_done"]


async def test_what_another_thread_began_a_moment_before_is_over_when_it_is_ended_here() -> None:
    """Ended on the loop at once, it had not begun there yet, and stayed open."""
    async with standing() as relay:
        async with RelayClient(relay.url) as client:
            use = client.thinking("s1", "g1")
            on_another_thread(use.begin)
            use.end()
            assert (await client.send(EVENT)).is_taken
        assert relay.kinds() == ["keystroke"]


async def test_what_another_thread_said_is_said_before_what_is_said_sent_or_closed_here() -> None:
    async with standing() as relay:
        async with RelayClient(relay.url) as client:
            on_another_thread(partial(client.say, EVENT | {"seq": 0}))
            client.say(EVENT | {"seq": 1})
            on_another_thread(partial(client.say, EVENT | {"seq": 2}))
            await client.send(EVENT | {"seq": 3})
            on_another_thread(partial(client.say, EVENT | {"seq": 4}))
        assert [event["seq"] for events in relay.requests for event in events] == [0, 1, 2, 3, 4]
        assert client.counts.dropped == 0


async def test_on_another_loop_a_relay_that_hangs_is_told_as_that(
    elsewhere: asyncio.AbstractEventLoop,
) -> None:
    """Both deadlines were the same, and the one of a loop that stands still came first."""

    async def asks() -> None:
        trouble = (await client.send(EVENT)).trouble
        assert trouble is not None
        assert trouble.words == "no answer within 0.2 s"

    async def hung(_: list[dict[str, Any]]) -> web.Response:
        await asyncio.sleep(2)
        return taken()

    async with standing(hung) as relay, RelayClient(relay.url, patience_s=0.2) as client:
        await done_on(elsewhere, asks())


async def test_on_another_loop_one_that_stands_still_is_told_as_that(
    elsewhere: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SLACK_S", 0.1)
    async with RelayClient("http://127.0.0.1:1", patience_s=0.1) as client:
        asked = asyncio.run_coroutine_threadsafe(client.send(EVENT), elsewhere)
        trouble = asked.result(5).trouble  # this loop stands still meanwhile
    assert trouble is not None
    assert trouble.words == "no answer within 0.2 s: the loop of this client stands still"


def on_another_thread(act: Callable[[], None]) -> None:
    """Done there before the loop has another turn."""
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


async def test_what_is_asked_of_a_loop_that_has_ended_is_answered() -> None:
    """It raised that the loop is closed, and left a coroutine that nobody awaits."""
    async with standing() as relay:
        client = RelayClient(relay.url)
        other = asyncio.new_event_loop()
        its_engine = await asyncio.to_thread(other.run_until_complete, engine_of(client))
        await asyncio.to_thread(other.run_until_complete, client.close())
        other.close()
        asked = its_engine.sender.ask([EVENT], within_s=1)
        assert (await its_engine.answer(asked, within_s=1)).trouble is not None


async def engine_of(client: RelayClient) -> Engine:
    await client.send(EVENT)
    assert client._engine is not None
    return client._engine
