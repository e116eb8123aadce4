"""For bots and desktops: tell a relay what is going on, without ever being held up or thrown off by it.

    async with RelayClient("http://127.0.0.1:8080", "trk_…") as relay:
        async with relay.thinking(session_id, guest_id):
            answer = await model(question)

What is handed over waits in a bounded queue of the client's own (`sending`); methods that give an `Answer` wait for
it, for `patience_s` at most. aiohttp is loaded with the first use and not with this module.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from ssl import SSLContext
from typing import Any, Self

from relay import wire
from relay.client.activity import Told, activity_event, is_ending
from relay.client.address import wrong_with_key, wrong_with_url
from relay.client.answers import CLOSED, Answer, away
from relay.client.engine import Engine, running_loop, started
from relay.client.frames import Said
from relay.client.runs import ENDING_FRESH_MS, Run, Whose
from relay.client.sending import FRESH_MS, Sender
from relay.client.settling import Counts
from relay.client.streaming import CLOSE_S, Stream
from relay.client.thinking import AsyncThinking
from relay.client.tracing import current_traceparent, usable
from relay.core.moments import Ms

log = logging.getLogger("relay.client")


MOST_EVENTS = 500
"""What a relay takes in one request by its default."""


class RelayClient:
    """Tells the relay at `url` with an API key of one of its sources (`typing-relay keys new`).

    `actor` is who this program is, by default the key's source. `gateway` is needed where the relay has several and
    the source names none. `timeout_s` is for one request, `patience_s` for everything an awaited method does.
    `ssl` says whom to trust where the relay's certificate is of an authority of your own.

    Nothing here raises because of the relay, unless `strict`: then the awaited methods raise Rejected for what is
    the caller's to put right and Unavailable for the rest. ValueError for a URL or a key that is none, at once.

    Use it as an async context manager, or `close` it: that ends what is open and sends what waits. It belongs to the
    loop it is first used on; `say` and what `thinking` gives may be called on any thread from then on.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        actor: str | None = None,
        gateway: str | None = None,
        strict: bool = False,
        timeout_s: float = 2.0,
        patience_s: float = 5.0,
        ssl: SSLContext | None = None,
    ) -> None:
        if (wrong := wrong_with_url(url)) is not None:
            raise ValueError(f"the relay's URL is wanted, like http://127.0.0.1:8080: {wrong}")
        if (wrong := wrong_with_key(key)) is not None:
            raise ValueError(f"a key is wanted, or None where the relay has no sources: {wrong}")
        self.is_strict = strict
        self.counts = Counts()
        """What became of the events so far."""
        self._started = partial(started, url, key, timeout_s=timeout_s, ssl=ssl)
        self._actor = actor
        self._gateway = gateway
        self._patience_s = patience_s
        self._engine: Engine | None = None
        self._is_unbound_said = False

    async def __aenter__(self) -> Self:
        self._here()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends open runs and sends what waits, for two seconds at most. Afterwards the client may be used anew."""
        engine, self._engine = self._engine, None
        if engine is None or engine.loop.is_closed():
            return
        if engine.loop is asyncio.get_running_loop():
            await engine.closed()
        else:
            closing = asyncio.run_coroutine_threadsafe(engine.closed(), engine.loop)
            # Not for ever: a loop that stands still closes nothing.
            await asyncio.wait([asyncio.wrap_future(closing)], timeout=2 * CLOSE_S)

    def say(self, event: Told) -> None:
        """Hands over one `ActivityEvent` and is back at once; what is not taken within 5 s (an end: 15 s) is dropped."""
        told = self._stamped(event)
        self._soon(lambda sender: sender.say(told))

    async def send(self, event: Told) -> Answer:
        """The relay's answer to one `ActivityEvent`."""
        return await self._answer(self._here(), [event])

    async def send_many(self, events: Iterable[Told]) -> Answer:
        """The relay's answer to several, counted together; each 500 of them are taken as a whole or not at all.

        What follows a part that was not taken is not sent.
        """
        waiting = list(events)
        answer = Answer()
        engine = self._here()  # once: a client that is closed meanwhile is not opened by what is left
        for start in range(0, len(waiting), MOST_EVENTS):
            answer = answer.plus(await self._answer(engine, waiting[start : start + MOST_EVENTS]))
            if not answer.is_taken:
                break
        return answer

    async def typing(
        self,
        session_id: str,
        guest_id: str | None = None,
        *,
        communication_id: str | None = None,
        agent_user_id: str | None = None,
    ) -> None:
        """Somebody typed in that session just now. Say it as often as it happens: pacing is the relay's part.

        The last two are for gateways that reach the guest by an agent's leg of the conversation.
        """
        event = activity_event(
            "keystroke",
            session_id,
            guestId=guest_id,
            communicationId=communication_id,
            agentUserId=agent_user_id,
        )
        if self.is_strict:
            await self._answer(self._here(), [event])
        else:
            self.say(event)

    def thinking(
        self,
        session_id: str,
        guest_id: str | None = None,
        *,
        communication_id: str | None = None,
        agent_user_id: str | None = None,
        traceparent: str | None = None,
    ) -> AsyncThinking:
        """`async with relay.thinking(session_id, guest_id):` around the work on an answer.

        The relay adds the delay after which it shows; a heartbeat goes out every 5 s. Call `answered()` on what it
        gives once the answer is posted. Uses for one session at the same time are one. `traceparent` is by default
        that of OpenTelemetry's current span.
        """
        whose = Whose(session_id, guest_id, self._gateway, self._actor, communication_id, agent_user_id)
        return AsyncThinking(self._soon, whose, traceparent, hear=self._hear if self.is_strict else None)

    def stream(self, *, leave_on_close: bool | None = None) -> Stream:
        """`async with relay.stream() as stream:` for keystrokes as they come, of one person or of many.

        When the last stream that carried an actor closes, the relay takes it for gone; `leave_on_close=False` asks
        it not to (None: as its source is set). RuntimeError outside of any loop.
        """
        if running_loop() is None and (self._engine is None or self._engine.loop.is_closed()):
            raise RuntimeError("a stream belongs to a loop: call this inside one, or enter the client first")
        engine = self._here()
        query = "" if leave_on_close is None else f"?leaveOnClose={str(leave_on_close).lower()}"
        stream = Stream(
            lambda: engine.open_stream(query),
            lambda event: self._written(event, engine.loop.time() * 1000),
            loop=engine.loop,
            jitter=random.random,
        )
        engine.streams.add(stream)
        return stream

    # -- its loop --------------------------------------------------------------------------------------------

    def _here(self) -> Engine:
        """The engine, on the running loop if there is none yet; one whose loop has ended is as good as none."""
        if self._engine is None or self._engine.loop.is_closed():
            self._engine = self._started(counts=self.counts)
        return self._engine

    def _soon(self, act: Callable[[Sender], None], *, may_start: bool = True) -> None:
        engine = self._engine
        if engine is None or engine.loop.is_closed():
            if not may_start:
                return
            if running_loop() is None:
                self._unbound()
                return
            engine = self._here()
        if not engine.handed.soon(partial(act, engine.sender)):
            self.counts.dropped += 1

    def _unbound(self) -> None:
        self.counts.dropped += 1
        if not self._is_unbound_said:
            log.error(
                "used outside of a loop before it was entered: enter the client first; this is said once"
            )
        self._is_unbound_said = True

    # -- its words -------------------------------------------------------------------------------------------

    async def _answer(self, engine: Engine, events: Iterable[Told]) -> Answer:
        told = [self._stamped(event) for event in events]
        asking = engine.sender.ask(told, within_s=self._patience_s)
        answer = await engine.answer(asking, within_s=self._patience_s)
        error = answer.error()
        if self.is_strict and error is not None:
            raise error
        return answer

    async def _hear(self, run_of: Callable[[], Run | None]) -> Answer:
        engine = self._engine
        if engine is None:  # `begin` started one: it was closed since, which has ended the run
            run = run_of()
            return Answer() if run is not None and run.is_end_told else away(CLOSED)
        return await engine.answer(self._heard(engine.sender, run_of), within_s=self._patience_s)

    async def _heard(self, sender: Sender, run_of: Callable[[], Run | None]) -> Answer:
        run = run_of()
        if run is None:
            return away("more runs are open than this client keeps")
        return await sender.heard(run, within_s=self._patience_s)

    def _written(self, event: Told, now: Ms) -> Said | None:
        """As a stream sends it; None for what is no event."""
        try:
            written = wire.dumps(self._stamped(event))
            keystroke, ends = event.get("type") == "keystroke", is_ending(event)
        except (AttributeError, TypeError):
            return None
        fresh_ms = ENDING_FRESH_MS if ends else FRESH_MS
        return Said(written, now + fresh_ms, keystroke)

    def _stamped(self, event: Told) -> Told:
        """With what the caller left out: an id, so that it can be repeated, who speaks, and the trace it is in."""
        if not isinstance(event, Mapping):
            return event  # said to be none further on, where nothing is raised into a bot
        stamped: dict[str, Any] = {"id": uuid.uuid4().hex}
        if self._actor is not None:
            stamped["actor"] = {"id": self._actor, "kind": "bot"}
        if self._gateway is not None:
            stamped["gateway"] = self._gateway
        stamped |= event
        traceparent = usable(stamped.pop("traceparent", None)) or current_traceparent()
        if traceparent is not None:
            stamped["traceparent"] = traceparent
        return stamped
