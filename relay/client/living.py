"""The thread of a client that blocks: one life after another, each from a start to its close.

    soon, result ──► [ in the order of hand-over ] ──► the client, on a loop of its own
                 └── over, or no thread to be had: it is not done, and answered so

Handing over and closing exclude each other: nothing is handed to a loop that has ended.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from relay.client.answers import CLOSED, Answer, away
from relay.client.calling import RelayClient
from relay.client.engine import SLACK_S, load
from relay.client.settling import Counts
from relay.client.streaming import CLOSE_S

log = logging.getLogger("relay.client")

T = TypeVar("T")

OWN_THREAD = "a client's own thread cannot wait for an answer"

AGAIN_S = 1.0
"""After a thread that could not be had. A try costs more than what it is tried for, and may say so on stderr."""

LEFT_S = 0.5
"""For what still runs on a thread whose client is closed: there is nothing left for it to wait for."""


class Life:
    """A client on a thread of its own, from a start to a close. What it is handed is done in that order.

    `is_over` from the beginning where the system has no thread: then, as after the close, it takes nothing.
    """

    def __init__(self, client: RelayClient, patience_s: float) -> None:
        self.client = client
        self.is_over = True
        self.why = CLOSED
        self._patience_s = patience_s
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="relay client", daemon=True)
        # Re-entered by a signal handler, or by a generator that is collected in the middle of a hand-over.
        self._lock = threading.RLock()
        try:
            self._start()
        except (RuntimeError, OSError) as why:
            self.why = f"no thread can be had for this client ({type(why).__name__})"

    def _start(self) -> None:
        load()  # not on the thread: in a process that is forked meanwhile it would be half loaded for ever
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self.is_over = False
        try:
            self._thread.start()
        except RuntimeError:
            self.is_over = True
            self._loop.close()
            raise

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._lived())
        finally:
            with self._lock:  # whatever ended it: nothing is handed to a loop that is closed
                self.is_over = True
                self._loop.close()

    async def _lived(self) -> None:
        async with self.client:
            await self._closing.wait()
        await _settled()

    def soon(self, act: Callable[[], object], *, events: int = 0) -> bool:
        """Has it done on the thread, and is back at once; False if it is over, and `events` are counted as dropped."""
        is_handed = self._handed(lambda: self._loop.call_soon_threadsafe(act)) is not None
        self.client.counts.dropped += 0 if is_handed else events
        return is_handed

    def result(
        self, work: Coroutine[Any, Any, T], *, events: int = 0, patiences: int = 1, is_end: bool = False
    ) -> T | Answer:
        """What `work` comes to on the thread; if it comes to nothing there, why, and if it is over as `soon` does.

        On the thread itself it is not done, as nobody could wait for it there; an end is, and not waited for.
        """
        if self._is_here() and not is_end:
            return self._undone(work, events, f"{OWN_THREAD}: this was not sent")
        future = self._handed(lambda: asyncio.run_coroutine_threadsafe(work, self._loop))
        if future is None:
            return self._undone(work, events, self.why)
        if self._is_here():
            return away(OWN_THREAD)
        within_s = self._patience_s * patiences + SLACK_S
        try:
            return future.result(within_s)
        except TimeoutError:
            return away(f"no answer within {within_s:g} s: the thread of this client stands still")
        except CancelledError:
            return away(CLOSED)
        finally:
            future.cancel()

    def _undone(self, work: Coroutine[Any, Any, object], events: int, why: str) -> Answer:
        self.client.counts.dropped += events
        work.close()
        return away(why)

    def end(self) -> None:
        """Closes the client and ends the thread; whoever still waits is answered."""
        if self._handed(self._ending) is not None and not self._is_here():
            self._thread.join(CLOSE_S + SLACK_S)

    def _ending(self) -> asyncio.Handle:
        self.is_over = True
        return self._loop.call_soon_threadsafe(self._closing.set)

    def _is_here(self) -> bool:
        """A handler of logs may be, and whatever is collected there: whoever waited would wait for himself."""
        return threading.current_thread() is self._thread

    def _handed(self, hand: Callable[[], T]) -> T | None:
        """What `hand` gives, before any close; None if it is over, or the parent's of a process that was forked."""
        if self._process != os.getpid():
            return None
        with self._lock:
            return None if self.is_over else hand()


async def _settled() -> None:
    """What is left gets the time to come to its answer, and is then cancelled."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=LEFT_S)
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=LEFT_S)


class Lives:
    """Of one process: each with a client of its own, so that no close takes the engine of another; the figures are one."""

    def __init__(self, made: Callable[[], RelayClient], patience_s: float) -> None:
        self.counts = Counts()
        self._made = made
        self._patience_s = patience_s
        self._lock = threading.RLock()  # re-entered, as that of a life
        self._life: Life | None = None
        self._may_begin_at_s = 0.0
        self._is_alone_said = False

    def current(self) -> Life:
        """The one that goes on, or else a new one."""
        with self._lock:
            if self._life is None or (self._life.is_over and time.monotonic() >= self._may_begin_at_s):
                self._life = self._begun()
            return self._life

    def _begun(self) -> Life:
        client = self._made()
        client.counts = self.counts
        life = Life(client, self._patience_s)
        if life.is_over:
            self._may_begin_at_s = time.monotonic() + AGAIN_S
            self._alone(life)
        return life

    def _alone(self, life: Life) -> None:
        if not self._is_alone_said:
            self._is_alone_said = True
            log.error("%s: what it is told is dropped; this is said once", life.why)

    def end(self) -> None:
        if self._life is not None:
            self._life.end()


def check(told: object) -> None:
    """Raises what a strict client raises, if it is trouble."""
    error = told.error() if isinstance(told, Answer) else None
    if error is not None:
        raise error
