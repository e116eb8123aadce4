"""The client's engine: what waits goes out, in the order of each session, without anybody waiting for it.

    say, enter, leave ──► Waiting ──pump──► ≤ 4 requests on their way ──► Answer ──► Health ─► when to pump again
                             ▲                                              │
                             └──────────── away: put back, while fresh ◄────┘

There is no task while there is nothing to do: `_pump` is called by whatever changes, and by one timer. Everything
here runs on one loop and between two awaits; only `_deliver` waits, and its connection has a deadline.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from relay import wire
from relay.client.activity import Told, actor_id, is_ending
from relay.client.answers import CLOSED, Answer, Fault, Trouble, away
from relay.client.health import EARLY_MS, SAID_AT, Health, Line
from relay.client.runs import ENDING_FRESH_MS, Ending, Known, Run, Runs, Whose
from relay.client.settling import Counts, Settling, tell
from relay.client.waiting import Entry, Letter, Taken, Waiting
from relay.core.moments import NEVER, Ms

log = logging.getLogger("relay.client")

FRESH_MS: Ms = 5000
"""A keystroke told later is told too late: the relay itself takes six seconds of silence for the end."""

MOST_WAITING = 1000
MOST_RUNS = 10_000
MOST_AT_ONCE = 4

Post = Callable[[bytes], Awaitable[tuple[Answer, bool]]]
"""Bytes → the answer, and whether they went through a connection of their own."""


class Sender:
    """Sends for one client on one loop."""

    def __init__(
        self,
        post: Post,
        *,
        loop: asyncio.AbstractEventLoop,
        jitter: Callable[[], float],
        counts: Counts,
    ) -> None:
        self.counts = counts
        self._post = post
        self._loop = loop
        self._jitter = jitter
        self._waiting = Waiting(most=MOST_WAITING)
        self._runs = Runs(most=MOST_RUNS)
        self._settling = Settling(self._waiting, self._runs, counts)
        self._health = Health()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._is_crowded = False
        self._is_unwritable_said = False
        self._is_closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    # -- what is told ----------------------------------------------------------------------------------------

    def say(self, event: Told) -> None:
        """Hands over one event; nobody learns what became of it but the figures and, once, the log."""
        try:
            letter = self._letter([event])
        except TypeError:
            self._unwritable(1)
        else:
            self._put(letter)

    async def ask(self, events: Sequence[Told], *, within_s: float) -> Answer:
        """The relay's answer to these events, or that there was none in time."""
        try:
            letter = self._letter(events)
        except TypeError:
            return self._unwritable(len(events))
        letter.is_alone, letter.expires_at = True, self._now() + within_s * 1000
        if (silence := self._health.silence(self._now(), until=letter.expires_at)) is not None:
            return self._lost(letter, Answer(trouble=silence))
        answered = self._answered(letter)
        self._put(letter)
        try:
            return await self._within(answered, within_s)
        finally:
            if self._waiting.drop(letter):
                self._lost(letter, away("nobody waits for its answer any more"))

    async def heard(self, run: Run, *, within_s: float) -> Answer:
        """What the relay answers to what is to be said of `run` now."""
        if run.is_over or run.known is Known.SURELY if run.is_open else not run.is_end_news:
            return Answer()
        now = self._now()
        if (silence := self._health.silence(now, until=now + within_s * 1000)) is not None:
            return Answer(trouble=silence)
        # Refused, it rests: whoever asks wants to know what the relay says now.
        if self._runs.wake(run):
            self._waiting.mark(run)
            self._pump_soon()
        return await self._within(self._answered(run), within_s)

    def _answered(self, entry: Entry) -> asyncio.Future[Answer]:
        answered: asyncio.Future[Answer] = self._loop.create_future()
        entry.on_answer.append(lambda answer: None if answered.done() else answered.set_result(answer))
        return answered

    async def _within(self, answered: asyncio.Future[Answer], within_s: float) -> Answer:
        try:
            async with asyncio.timeout(within_s):
                return await answered
        except TimeoutError:
            return self._late(within_s)

    def _late(self, within_s: float) -> Answer:
        """Nothing was taken in time; where the relay said why, with its words."""
        why = self._health.away
        if why is None:
            return away(f"no answer within {within_s:g} s")
        return Answer(trouble=replace(why, words=f"not taken within {within_s:g} s: {why.words}"))

    def enter(self, whose: Whose, traceparent: str | None = None) -> Run | None:
        """The run of `whose`, which is told from now on; None, and counted, where there are too many."""
        try:
            hash(whose), wire.dumps([*whose, traceparent])  # found out later, it would stop what goes with it
        except TypeError:
            self._unwritable(1)
            return None
        run, is_new = (None, False) if self._is_closed else self._runs.enter(whose, traceparent)
        if run is None:
            self.counts.dropped += 1
        elif is_new:
            self._waiting.mark(run)
            self._pump_soon()
        return run

    def leave(self, run: Run, ending: Ending | None = None) -> bool:
        """True if that was the last use, and so the run's end."""
        is_end = self._runs.leave(run, self._now(), ending)
        if is_end and run.is_end_news:
            crowded_out = self._waiting.mark(run)
            if crowded_out is not None:
                self._settling.lose(crowded_out, away("too much is waiting to be sent"))
            self._pump_soon()
        elif is_end:
            is_unheard = self._waiting.drop(run) and self._health.away is not None
            self.counts.dropped += is_unheard  # of a run that only was short there was nothing to hear
            tell(run, Answer())
        return is_end

    async def close(self, *, within_s: float) -> None:
        """Ends what is open and sends what waits, for so long; then gives up what is left."""
        for run in self._runs.all():
            run.depth = 1
            self.leave(run)
        self._is_closed = True
        self._pump()
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            pass
        finally:
            self._give_up()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _give_up(self) -> None:
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()
        for entry in self._waiting.emptied():
            self._settling.lose(entry, away(CLOSED))
        for task in self._tasks:
            task.cancel()

    # -- sending it ------------------------------------------------------------------------------------------

    def _letter(self, events: Sequence[Told]) -> Letter:
        """Raises TypeError for what is no event, or has no form in JSON."""
        if not all(isinstance(event, Mapping) for event in events):
            raise TypeError("an event is a mapping")
        sessions = frozenset(found for event in events if isinstance(found := event.get("sessionId"), str))
        written = [wire.dumps(event) for event in events]
        endings = [(event.get("sessionId"), actor_id(event)) for event in events if is_ending(event)]
        ended = [run for session_id, actor in endings for run in self._runs.end(session_id, actor)]
        fresh_ms = ENDING_FRESH_MS if endings else FRESH_MS
        return Letter(written, sessions, self._now() + fresh_ms, bool(endings), ended=ended)

    def _put(self, letter: Letter) -> None:
        if self._is_closed:
            self._settling.lose(letter, away(CLOSED))
            return
        crowded_out = self._waiting.put(letter)
        if crowded_out is not None:
            self._settling.lose(crowded_out, away("too much is waiting to be sent"))
            if not self._is_crowded:
                log.warning("more than %d events wait for the relay: the oldest are dropped", MOST_WAITING)
            self._is_crowded = True
        self._pump_soon()

    def _lost(self, letter: Letter, answer: Answer) -> Answer:
        self._settling.lose(letter, answer)
        self._pump_soon()  # what it was to end goes on
        return answer

    def _pump_soon(self) -> None:
        """With the loop's next turn: what one turn says goes out together."""
        self._idle.clear()
        if self._soon is None:
            self._soon = self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._soon = None
        now = self._now() + EARLY_MS
        for run in self._runs.due(now):
            self._waiting.mark(run)
        while self._health.may_try_at <= now and len(self._tasks) < MOST_AT_ONCE:
            taken = self._waiting.take(now)
            for late in taken.expired:
                self._settling.lose(late, away("it was not taken in time"))
            if not taken.parcel:
                break
            self._start(taken)
        self._rest(now)

    def _start(self, taken: Taken) -> None:
        told = taken.told()
        if not told:
            self._waiting.release(entry for entry, _ in taken.parcel)
            for entry, _ in taken.parcel:
                tell(entry, Answer())
            return
        body = told[0] if len(told) == 1 else b"[" + b",".join(told) + b"]"
        alone = not self._tasks
        task = self._loop.create_task(
            self._deliver(taken, body, is_alone=alone), name="relay client: one request"
        )
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (why := task.exception()) is not None:
            log.error("the relay's client has a fault of its own", exc_info=why)
        self._pump()

    def _rest(self, now: Ms) -> None:
        """Until the next thing that is due by the clock, if there is one."""
        self._is_crowded = self._is_crowded and bool(self._waiting)
        is_hopeless = self._is_closed and self._health.fails >= SAID_AT
        if not self._tasks and (is_hopeless or not self._waiting):
            self._idle.set()
        due = self._runs.next_beat_at()
        if self._waiting and len(self._tasks) < MOST_AT_ONCE and self._health.may_try_at > now:
            due = min(due, self._health.may_try_at)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if due == NEVER else self._loop.call_at(due / 1000, self._pump)

    async def _deliver(self, taken: Taken, body: bytes, *, is_alone: bool) -> None:
        began = self._now()
        entries = [entry for entry, _ in taken.parcel]
        try:
            answer, is_new = await self._post(body)
        except BaseException:
            self._waiting.release(entries)
            for entry in entries:  # whoever asked is told, and does not wait for a loop that may stop
                self._settling.lose(entry, away("it was given up on its way"))
            raise
        now = self._now()
        self._log(self._health.judge(answer, began=began, now=now, jitter=self._jitter()))
        self._waiting.release(entries)
        is_new = is_new and is_alone  # one beside others on their way means a larger pool, and no other relay
        if is_new and answer.is_taken:
            self._doubt()
        self._settling.settle(taken, answer, is_new=is_new, gate_at=self._health.may_try_at)

    def _doubt(self) -> None:
        """Behind a new connection there may be a relay that has started anew, and a heartbeat revives nothing."""
        for run in self._runs.doubt():
            self._waiting.mark(run)

    def _unwritable(self, events: int) -> Answer:
        self.counts.refused += events
        words = "an event is a mapping of names to what JSON has a form for, and this is none"
        if not self._is_unwritable_said:
            log.error("%s; this is said once", words)
        self._is_unwritable_said = True
        return Answer(trouble=Trouble(Fault.UNUSABLE, 422, words))

    def _log(self, line: Line | None) -> None:
        if line is not None:
            log.log(line.level, "%s", line.words)

    def _now(self) -> Ms:
        return self._loop.time() * 1000
