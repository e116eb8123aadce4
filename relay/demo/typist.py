"""One session's keys, pressed at their times and posted through the relay's door, as a desktop's backend would.

sleep until the next key ─► press it ─► is another due already? ─ yes ─► press that too, the post takes both
                                                                └ no ──► POST /v1/events, and on
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import count

import aiohttp

from relay import wire
from relay.core.moments import Ms
from relay.demo.books import Books

MOST_KEYS = 100
"""In one post: what piles up while the door does not answer."""

TRIES = 3
PAUSE_S = 1.0
"""Between two tries of one post; ids make it safe to repeat."""

TIMEOUT = aiohttp.ClientTimeout(total=10)


class Typist:
    """Writes in one session. Its guest is named after it."""

    def __init__(self, session_id: str, door: str, http: aiohttp.ClientSession, books: Books) -> None:
        self.session_id = session_id
        self._url = f"{door}/v1/events"
        self._http = http
        self._books = books
        self._numbers: Iterator[int] = count(1)

    async def write(self, keys: Iterable[Ms], *, begin: Ms) -> None:
        """Press `keys`, ascending milliseconds after `begin` on the loop's clock; returns when the last is posted."""
        loop, pressed = asyncio.get_running_loop(), 0
        for key in keys:
            ahead_s = (begin + key) / 1000 - loop.time()
            if pressed and (ahead_s > 0 or pressed >= MOST_KEYS):
                await self._post(pressed)
                pressed, ahead_s = 0, (begin + key) / 1000 - loop.time()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            pressed += 1
        if pressed:
            await self._post(pressed)

    async def _post(self, keys: int) -> None:
        body = wire.dumps([self._event(next(self._numbers)) for _ in range(keys)])
        self._books.keys += keys
        for turn in range(TRIES):
            if turn:
                await asyncio.sleep(PAUSE_S)
            if await self._is_taken(body):
                return
        self._books.keys_refused += keys

    async def _is_taken(self, body: bytes) -> bool:
        self._books.posts += 1
        headers = {"content-type": "application/json"}
        try:
            async with self._http.post(self._url, data=body, headers=headers, timeout=TIMEOUT) as answer:
                return answer.status == 202
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _event(self, number: int) -> dict[str, object]:
        return {
            "id": f"{self.session_id}.{number}",
            "sessionId": self.session_id,
            "guestId": f"guest-{self.session_id[-4:]}",
            "actor": {"id": "agent", "kind": "agent"},
            "type": "keystroke",
            "seq": number,
        }
