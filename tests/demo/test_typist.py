"""A door of the test's own: what it was posted, when, and what it answered."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from relay.core.moments import Ms
from relay.demo.books import Books
from relay.demo.typist import Typist
from relay.sandbox.serving import Listener

pytestmark = pytest.mark.looptime
SESSION = "00000000-0000-4000-8000-000000000001"
DEAD = 0
"""Instead of a status: the connection is cut."""


@dataclass(slots=True)
class Desk:
    """`answers` come first, then 202 for ever. `posts` are (milliseconds since the first key, numbers of the keys)."""

    answers: list[int] = field(default_factory=list)
    slow_ms: Ms = 0
    begin: Ms = 0
    posts: list[tuple[Ms, list[int]]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    books: Books = field(default_factory=Books)

    async def take(self, request: web.Request) -> web.Response:
        events = await request.json()
        now = asyncio.get_running_loop().time() * 1000
        self.posts.append((round(now - self.begin), [event["seq"] for event in events]))
        self.events.extend(events)
        await asyncio.sleep(self.slow_ms / 1000)
        status = self.answers.pop(0) if self.answers else 202
        if status == DEAD and request.transport is not None:
            request.transport.abort()
        return web.Response(status=status or 500)

    async def write(self, keys: Sequence[Ms]) -> None:
        async with _door(self) as door, aiohttp.ClientSession() as http:
            self.begin = asyncio.get_running_loop().time() * 1000
            await Typist(SESSION, door, http, self.books).write(keys, begin=self.begin)


@asynccontextmanager
async def _door(desk: Desk) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/events", desk.take)
    listener = Listener(app, host="127.0.0.1", port=0)
    await listener.start()
    try:
        yield listener.base_url
    finally:
        await listener.close()


async def test_each_key_is_posted_when_it_is_pressed() -> None:
    desk = Desk()
    await desk.write([0, 150, 2000])
    assert desk.posts == [(0, [1]), (150, [2]), (2000, [3])]
    assert (desk.books.keys, desk.books.posts, desk.books.keys_refused) == (3, 3, 0)


async def test_keys_pressed_while_the_door_is_slow_share_the_next_post() -> None:
    desk = Desk(slow_ms=500)
    await desk.write([0, 100, 200, 300, 2000])
    assert desk.posts == [(0, [1]), (500, [2, 3, 4]), (2000, [5])]


async def test_no_post_takes_more_than_a_hundred_keys() -> None:
    desk = Desk()
    await desk.write([0.0] * 250)
    assert [len(numbers) for _, numbers in desk.posts] == [100, 100, 50]


@pytest.mark.parametrize("trouble", [503, 429, DEAD])
async def test_a_post_that_was_not_taken_is_repeated_with_the_same_ids(trouble: int) -> None:
    desk = Desk(answers=[trouble])
    await desk.write([0])
    assert desk.posts == [(0, [1]), (1000, [1])]
    assert len({event["id"] for event in desk.events}) == 1
    assert (desk.books.keys, desk.books.keys_refused) == (1, 0)


async def test_keys_refused_three_times_are_given_up_and_counted() -> None:
    desk = Desk(answers=[503, 503, 503])
    await desk.write([0, 0])
    assert (desk.books.posts, desk.books.keys, desk.books.keys_refused) == (3, 2, 2)


async def test_an_event_names_its_session_guest_and_order() -> None:
    desk = Desk()
    await desk.write([0])
    (event,) = desk.events
    assert event == {
        "id": f"{SESSION}.1",
        "sessionId": SESSION,
        "guestId": "guest-0001",
        "actor": {"id": "agent", "kind": "agent"},
        "type": "keystroke",
        "seq": 1,
    }
