"""One stream: frames of a WebSocket become activities, one frame after the other.

    frame ─► its turn (rates) ─► fields ─► intake ─► carried        {"ack": n} after 100 events or a second
                 │                  └─ refused ─► {"error": problem, "frame": k}, and the stream goes on
                 └ not yet: nothing more is read, and TCP tells the caller so; a pong now and then says we live

One task reads, takes and answers, one frame after the other; frames that have come together and are in order are taken
together. So a stream's work is bounded by its own pace, and what it holds by what aiohttp reads ahead (half a megabyte
at most, then it stops reading). Another keeps: acks that are due, pings, and the end of a caller that answers none.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import WSCloseCode, WSMsgType, web

from relay import wire
from relay.errors import Rejected, Unavailable
from relay.ingest.ahead import plain_frames
from relay.ingest.answers import document
from relay.ingest.credentials import Caller
from relay.ingest.ends import WORDS, End
from relay.ingest.intake import Taken
from relay.ingest.turns import Turn, Turns
from relay.ingest.workshop import Load, Workshop

ACK_EVENTS = 100
ACK_S = 1.0
PING_AFTER_S = 20.0
"""Below the idle limit of the proxies people use (60 s)."""
PONG_WITHIN_S = 10.0
UNREAD_S = 5.0
"""How long a caller may leave our words unread."""
GRACE_S = 5.0
"""And then how long it has to read why that was too long."""
TURN_EVENTS = 64
"""A third of a millisecond's work; then the loop turns, however much has come."""
TOGETHER_BYTES = 65_536
"""Of frames taken together, beside the first: they are out of aiohttp's hands, which reads others meanwhile."""
ALIVE_S = 4.0
"""A stream that waits for its turn says so, by a pong nobody asked for (RFC 6455 section 5.5.3): a ping behind the frames
that wait is not read before them, and clients that wait five seconds for its answer (ours does) take silence for an end."""

Socket = web.WebSocketResponse[Literal[False]]

_TEXT, _BINARY, _PING, _PONG = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG
_CONTROL = frozenset({_PING, _PONG})


@dataclass(slots=True, eq=False)
class Stream:
    """One open socket. `run` it; `end` may be called meanwhile, from another task."""

    caller: Caller
    lines: tuple[Turns, ...]
    """Where each frame waits for its turn, one after the other."""
    socket: Socket
    workshop: Workshop
    load: Load = field(default_factory=dict)
    why: End = End.CALLER
    _taken: int = 0
    _acked: int = 0
    _frames: int = 0
    _since_turn: int = 0
    _ack_at: float = 0.0
    _heard_at: float = 0.0
    _pinged_at: float | None = None
    _turn: Turn | None = None
    _is_ending: bool = False
    _is_gone: bool = False
    """Nothing can be said any more; what was said here before is taken, but for what would wait for its turn."""
    _clock: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _has_news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until it is over, whoever ended it; `why` says who."""
        self._is_heard()
        reading = asyncio.create_task(self._read(), name="stream-reading")
        tasks = [reading, asyncio.create_task(self._keep(), name="stream-keeping")]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if reading not in done:
                await self.end(End.SILENT)
        except TimeoutError:
            await self.end(End.UNREAD)
        except ConnectionError:
            pass  # the caller went before its turn came
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def end(self, why: End) -> None:
        """Close with its code and words, as far as the caller still listens. Once; further calls do nothing."""
        if self._is_over:
            return
        self.why, self._is_ending = why, True
        if self._turn is not None:
            self._turn.cancel()
        await self._close(*WORDS[why])

    async def _close(self, code: int, words: bytes = b"") -> None:
        """What was taken is acknowledged first, where that is read: it would be sent again on the caller's next stream."""
        with suppress(TimeoutError):
            if self.why is not End.UNREAD:
                await self._acknowledge()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await self.socket.close(code=code, message=words, drain=False)

    @property
    def _is_over(self) -> bool:
        return self._is_ending or self.socket.closed

    # Reading.

    async def _read(self) -> None:
        while (frame := await self._next()) is not None:
            await self._take(frame)
            if self._taken - self._acked >= ACK_EVENTS:
                await self._acknowledge()
        await self._close(self.socket.close_code or WSCloseCode.OK)

    async def _next(self) -> bytes | str | None:
        """The next frame's bytes (a text for what was no text), or None at the end; pings meanwhile."""
        while not self.socket.closed:
            message = (
                await self.socket.receive()
            )  # without a timeout: one for each frame costs half of the frame
            self._is_heard()
            if message.type is _TEXT:
                frame: bytes = message.data
                return frame
            if message.type is _BINARY:
                return "binary"
            if message.type not in _CONTROL:
                return None
            await self._wait_for_its_turn(len(message.data))  # else a flood of them would be free
            if message.type is _PING and not self.socket.closed:
                await self._send(message.data, _PONG)
        return None

    def _is_heard(self) -> None:
        self._heard_at, self._pinged_at = self._clock.time(), None

    # Keeping.

    async def _keep(self) -> None:
        """Acks that are due, and pings; ends once the caller must be taken for gone."""
        while await self._seen_to():
            self._has_news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._wake_at()):
                    await self._has_news.wait()

    def _wake_at(self) -> float:
        ping_at = (
            self._heard_at + PING_AFTER_S if self._pinged_at is None else self._pinged_at + PONG_WITHIN_S
        )
        return min(ping_at, self._ack_at) if self._taken > self._acked else ping_at

    async def _seen_to(self) -> bool:
        """What is due by now is done; False if nothing was heard of the caller for too long."""
        now = self._clock.time()
        if self._taken > self._acked and now >= self._ack_at:
            await self._acknowledge()
        if self._pinged_at is not None and now >= self._pinged_at + PONG_WITHIN_S:
            return False
        if self._pinged_at is None and now >= self._heard_at + PING_AFTER_S:
            self._pinged_at = now
            await self._send(b"", _PING)
        return True

    # Taking.

    async def _take(self, frame: bytes | str) -> None:
        """It, and the plain ones that have come with it."""
        await self._wait_for_its_turn(len(frame))
        if self._is_over:
            return  # while it waited: whoever sent it may no longer, and was never told that it was taken
        if isinstance(frame, bytes) and (others := await self._come_with(frame)):
            await self._take_all([frame, *others])
        else:
            await self._take_alone(frame)

    async def _come_with(self, frame: bytes) -> list[bytes]:
        """What a ticket sends waits in two lines, and is what one person types: it comes by itself."""
        if len(self.lines) > 1 or frame[:1] != b"{":
            return []
        (turns,) = self.lines
        most, most_bytes = turns.room()
        most = min(most, TURN_EVENTS - self._since_turn - 1, ACK_EVENTS - (self._taken - self._acked) - 1)
        # It never suspends, so nobody is cancelled between what is taken here and its being applied.
        others = await plain_frames(self.socket, most, min(most_bytes, TOGETHER_BYTES))
        turns.book(len(others), sum(map(len, others)))
        self._since_turn += len(others)
        return others

    async def _take_all(self, frames: list[bytes]) -> None:
        try:
            told = self.workshop.plain_frames(frames, self.caller, self.load)
        except (Rejected, Unavailable):  # one of them is, and none was applied: each is told its own answer
            for frame in frames:
                if not self._is_over:
                    await self._take_alone(frame)
        else:
            self.workshop.frames.value += len(frames)
            self._frames += len(frames)
            self._count(told)

    async def _take_alone(self, frame: bytes | str) -> None:
        self._frames += 1
        self.workshop.frames.value += 1
        try:
            self._count(self._applied(frame))
        except (Rejected, Unavailable) as why:
            self.workshop.errors.value += 1
            problem = document(why) | {"frame": self._frames}
            await self._send(wire.dumps({"error": problem}), _TEXT)

    async def _wait_for_its_turn(self, size_bytes: int) -> None:
        """A source beyond its rates is read more slowly; one that is not gives the others a turn now and then."""
        for turns in self.lines:
            if not turns.is_taken(size_bytes):
                await self._wait_in_line(turns, size_bytes)
        self._since_turn += 1
        if self._since_turn >= TURN_EVENTS:
            self._since_turn = 0
            await asyncio.sleep(0)

    async def _wait_in_line(self, turns: Turns, size_bytes: int) -> None:
        """Until it is its turn, or the stream's end. Raises ConnectionError where the caller has gone meanwhile."""
        if self.socket.closed:
            return
        await self._acknowledge()
        self._turn = turn = turns.join(size_bytes)
        try:
            while not turn.done():
                done, _ = await asyncio.wait((turn,), timeout=ALIVE_S)
                self._is_heard()  # what it answers to pings is not read meanwhile
                if not done:
                    await self._send(b"", _PONG)
                if self._is_gone:
                    raise ConnectionResetError
        finally:
            self._turn = None
            turns.leave(turn)

    def _applied(self, frame: bytes | str) -> Taken:
        if isinstance(frame, str):
            raise Rejected(
                415, "Unsupported frame", "text frames are wanted: an event, or an array of events"
            )
        return self.workshop.frame(frame, self.caller, self.load, self._book_array)

    def _book_array(self, events: int) -> None:
        for turns in self.lines:
            turns.book_events(max(0, events - 1))
        self._since_turn += events

    # Answering.

    def _count(self, told: Taken) -> None:
        """A duplicate or a stale event is taken too: nobody has to send it again."""
        if self._taken == self._acked:
            self._ack_at = self._clock.time() + ACK_S
            self._has_news.set()
        self._taken += sum(told)

    async def _acknowledge(self) -> None:
        if self._taken > self._acked:
            self._acked = self._taken
            await self._send(b'{"ack":%d}' % self._acked, _TEXT)

    async def _send(self, data: bytes, kind: WSMsgType) -> None:
        """Raises TimeoutError where the caller does not read."""
        if self._is_gone:
            return
        try:
            async with asyncio.timeout(UNREAD_S):
                await self.socket.send_frame(data, kind)
        except ConnectionError:
            self._is_gone = True
