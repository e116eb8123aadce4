"""Keystrokes as they come, through one open socket: for a program that passes on many people's typing.

    say ──► buffer ──► frames on their way ──► GET /v1/stream ──┬─ {"ack": n}               forgotten
              ▲  ▲            │                                 └─ {"error": …, "frame": k}  one by one, or dropped
              │  └────────────┴── the socket broke: what is still fresh, again
              └── full: the oldest keystroke is dropped, and counted

Every event has an id, so what is sent again has its effect once. The relay takes frames in their order, so the sum of
what it acknowledged, and the frames it refused, say exactly which are still on their way.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol, Self

from relay import wire
from relay.client.activity import ActorName, Told, activity_event
from relay.client.answers import NO_ANSWER, Answer, Fault, Trouble, away, refusal
from relay.client.frames import FRAME_BYTES, Buffer, OnTheirWay, Said, size_bytes
from relay.client.health import EARLY_MS, Health, asked_wait_ms
from relay.client.settling import Counts
from relay.core.moments import Ms

log = logging.getLogger("relay.client")

MOST_ON_THEIR_WAY = 500
FRAME_EVENTS = 50
SEND_S = 5.0
CLOSE_S = 2.0
PAUSE_MS: Ms = 1000
"""After a frame that the relay cannot take now, where it asks for no longer wait."""

STEADY_MS: Ms = 5000
"""A socket that was open for so long was not refused: the next one is opened without the wait of the last."""

_TOO_LARGE = Answer(trouble=Trouble(Fault.UNUSABLE, 413, "an event is larger than it takes"))

TOO_BIG = 1009
"""Why a relay closes a socket with a frame larger than it takes (RFC 6455 section 7.4.1)."""


class Socket(Protocol):
    """What `connection.Socket` is, and a test's own."""

    async def send(self, frame: bytes, *, within_s: float) -> None: ...
    async def receive(self) -> str | None: ...
    async def close(self, *, within_s: float) -> None: ...
    @property
    def close_code(self) -> int | None: ...


Open = Callable[[], Awaitable[Socket | Answer]]


class Stream:
    """`async with client.stream() as stream:`, then `stream.say(event)`: it neither waits nor raises.

    Opened anew whenever it breaks. `counts` has the figures of this stream. Leaving the block waits for the relay to
    acknowledge what was said, for two seconds at most; what is said after it is dropped, until it is entered anew.
    """

    def __init__(
        self,
        opened: Open,
        written: Callable[[Told], Said | None],
        *,
        loop: asyncio.AbstractEventLoop,
        jitter: Callable[[], float],
    ) -> None:
        self.counts = Counts()
        self._opened = opened
        self._written = written
        self._loop = loop
        self._jitter = jitter
        self._buffer = Buffer()
        self._way = OnTheirWay()
        self._health = Health()
        self._changed = asyncio.Event()
        self._pause_until: Ms = 0
        self._most_bytes = FRAME_BYTES
        self._closing = asyncio.Event()
        self._is_closed = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Opens it, in the background. Called by `async with`."""
        if self._task is None:
            self._closing.clear()
            self._is_closed = False
            self._task = self._loop.create_task(self._run(), name="relay client: stream")
            self._task.add_done_callback(_look)

    def say(self, event: Told) -> None:
        """Sends one `ActivityEvent`. May be called on any thread."""
        said = self._written(event)
        if said is None:
            self.counts.refused += 1
            return
        with suppress(RuntimeError):  # its loop is closed, and so is all of this
            self._loop.call_soon_threadsafe(self._put, said)

    def typing(self, session_id: str, guest_id: str | None = None, *, actor: str | None = None) -> None:
        """A key was pressed in that session just now, by `actor` if it was not the client's own."""
        whom = None if actor is None else ActorName(id=actor)
        self.say(activity_event("keystroke", session_id, guestId=guest_id, actor=whom))

    async def close(self) -> None:
        """Sends what waits and closes, in two seconds at most; what is left then is dropped and counted."""
        await asyncio.sleep(0)  # what this turn said arrives first
        task, self._task = self._task, None
        if task is None:
            return
        self._closing.set()
        self._changed.set()
        try:
            await asyncio.wait([task], timeout=CLOSE_S)
        finally:
            task.cancel()
            self._is_closed = True
            self.counts.dropped += len(self._buffer) + len(self._way)
            self._buffer, self._way = Buffer(), OnTheirWay()
        await asyncio.wait([task])

    # -- one socket after another ----------------------------------------------------------------------------

    def _put(self, said: Said) -> None:
        self.counts.dropped += self._is_closed or not self._buffer.put(said)
        self._changed.set()

    async def _run(self) -> None:
        while not self._is_over():
            if await self._is_to_wait():
                continue
            began, fails = self._now(), self._health.fails
            socket = await self._opened()
            if isinstance(socket, Answer):
                self._judge(socket, began)
                continue
            try:
                await self._spoken(socket)
            finally:
                await socket.close(within_s=1)
                is_too_big = socket.close_code == TOO_BIG and self._has_shrunk()
                lost = list(self._way.unanswered())
                self._way = OnTheirWay()
                self.counts.dropped += self._buffer.put_back(lost)
            if self._now() - began >= STEADY_MS:
                self._judge(Answer(), self._now())
            else:  # one that acknowledges a little and closes is asked ever more rarely, too
                self._health.fails = fails
            if not (self._is_over() or is_too_big):
                self._judge(away("the stream was closed"), began)

    async def _is_to_wait(self) -> bool:
        wait_ms = self._health.may_try_at - self._now()
        if wait_ms <= EARLY_MS:
            return False
        if self._closing.is_set():
            await asyncio.sleep(wait_ms / 1000)
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), wait_ms / 1000)
        return True

    def _has_shrunk(self) -> bool:
        """The relay takes no frame as large as one of these: the next are smaller, and an event too large by itself is out."""
        number, largest = self._way.largest()
        if len(largest) > 1:
            self._most_bytes = size_bytes(largest) // 2
        elif largest:
            self._way.refused(number)
            self.counts.refused += 1
            self._judge(_TOO_LARGE, self._now())
        return bool(largest)

    def _judge(self, answer: Answer, began: Ms) -> None:
        line = self._health.judge(answer, began=began, now=self._now(), jitter=self._jitter())
        if line is not None:
            log.log(line.level, "%s", line.words)
        if answer.trouble is not None and answer.trouble.fault is Fault.REFUSED:
            self._health.may_try_at = self._now() + 2 * STEADY_MS  # nothing will change by itself

    async def _spoken(self, socket: Socket) -> None:
        """Until it is over, or all is said and the stream is to be closed."""
        hearing = self._loop.create_task(self._hear(socket), name="relay client: stream's answers")
        try:
            with suppress(OSError, TimeoutError):
                while not (hearing.done() or self._is_over()):
                    await self._speak(socket)
                    await self._wait_for_change()
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])
            _look(hearing)

    async def _speak(self, socket: Socket) -> None:
        """What the buffer holds, as long as not too much is on its way."""
        self._changed.clear()
        while self._buffer and (room := MOST_ON_THEIR_WAY - len(self._way)) > 0:
            now = self._now()
            if now < self._pause_until:
                return
            frame, late = self._buffer.frame(now, most=min(room, FRAME_EVENTS), most_bytes=self._most_bytes)
            self.counts.dropped += late
            if not frame:
                return
            self._way.sent(frame)
            written = [said.written for said in frame]
            await socket.send(
                written[0] if len(written) == 1 else b"[" + b",".join(written) + b"]", within_s=SEND_S
            )

    async def _wait_for_change(self) -> None:
        pause_s = (self._pause_until - self._now()) / 1000
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s if pause_s > 0 else None):
                await self._changed.wait()

    async def _hear(self, socket: Socket) -> None:
        try:
            while (text := await socket.receive()) is not None:
                self._heard(text)
                self._changed.set()
        finally:
            self._changed.set()

    def _heard(self, text: str) -> None:
        try:
            told = wire.loads(text)
        except wire.NotJson:
            return
        if not isinstance(told, dict):
            return
        if isinstance(count := told.get("ack"), int):
            self.counts.taken += self._way.acked(count)
            if (
                self._now() >= self._pause_until
            ):  # else it is of what was taken before the relay asked to wait
                self._judge(Answer(), self._now())
        elif isinstance(told.get("error"), dict) and isinstance(number := told["error"].get("frame"), int):
            self._refused(told["error"], number)

    def _refused(self, problem: dict[str, wire.Json], number: int) -> None:
        answer, said = _answer_of(problem), self._way.refused(number)
        if answer.trouble is not None and answer.trouble.fault is Fault.AWAY:
            self._pause(answer, answer.trouble)
            self._put_back(said, number)
        elif len(said) > 1:
            self._put_back([replace(one, is_alone=True) for one in said], number)
        else:
            self.counts.refused += len(said)
            self._judge(answer, self._now())

    def _put_back(self, said: list[Said], number: int) -> None:
        """A keystroke only where nothing later of its session is on its way: said after a message, it would begin anew."""
        overtaking = self._way.sessions_after(number)
        fresh = [one for one in said if not (one.is_keystroke and one.session in overtaking)]
        self.counts.dropped += len(said) - len(fresh) + self._buffer.put_back(fresh)

    def _pause(self, answer: Answer, trouble: Trouble) -> None:
        """Of frames that were on their way together one failure counts."""
        now = self._now()
        if now >= self._pause_until:
            self._judge(answer, now)
        self._pause_until = max(self._pause_until, now + max(PAUSE_MS, asked_wait_ms(trouble)))

    def _is_over(self) -> bool:
        return self._closing.is_set() and not self._buffer and not len(self._way)

    def _now(self) -> Ms:
        return self._loop.time() * 1000


def _answer_of(problem: dict[str, wire.Json]) -> Answer:
    """What an error frame says; without headers, the wait is one of its members."""
    status, wait_s = problem.get("status"), problem.get("retryAfterS")
    return refusal(
        status if isinstance(status, int) else NO_ANSWER,
        problem,
        retry_after_s=wait_s if isinstance(wait_s, int | float) and wait_s > 0 else None,
    )


def _look(task: asyncio.Task[None]) -> None:
    if (
        not task.cancelled()
        and isinstance(why := task.exception(), Exception)
        and not isinstance(why, OSError)
    ):
        log.error("the relay's client has a fault of its own", exc_info=why)
