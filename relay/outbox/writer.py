"""One thread writes, and whatever has queued up while it wrote shares the next commit.

    loop ── submit ──► queue ── take all ──► [ begin · each kind of work, once · commit ] ── one call back ──► loop
                                                    the writer's thread

Never waiting to gather is what makes both ends good: alone a write costs one sync, under load hundreds share one
(measured: a 2 ms gathering wait costs ten times the rate alone and gains nothing under load). A commit that the
medium fails, at whatever statement, fails its writes and nothing else; the next one starts afresh.

With `inline` there is no thread: the same commit runs on the loop, once per turn of it, so that virtual time, which
cannot see a thread, sees every write.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol, TypeVar

from relay.core.moments import Ms
from relay.errors import RelayError, Unavailable

MOST_PER_COMMIT = 1024
"""Bounds how long the last of a burst waits for the first: about 40 ms of work."""

IDLE_S = 0.2
"""A pause this long is the ledger's chance to tidy up. An empty queue alone is not: it is empty after every batch."""

log = logging.getLogger("relay.outbox")

T = TypeVar("T")
U = TypeVar("U")

Kind = Callable[[Sequence[T]], Sequence[U | RelayError]]
"""A kind of write: takes all of its items in the batch, gives one result each, in order."""


class Ledger(Protocol):
    """What the writer writes to."""

    def transaction(self) -> AbstractContextManager[None]:
        """What is written inside happens whole or not at all. Raises RelayError where the medium itself failed."""
        ...

    def idle(self) -> None:
        """Called once in each pause: the time for upkeep."""
        ...


class Job(NamedTuple):
    kind: Kind[Any, Any]  # Any: one queue carries every kind; `submit` pairs item and result
    item: Any
    future: "asyncio.Future[Any]"
    stands_in_turn: bool = False


class Done(NamedTuple):
    """One batch as it went: a result or an error for each job. `trouble` is why none could be written, or None."""

    jobs: list[Job]
    results: list[Any]
    took_ms: Ms
    trouble: str | None


class Writer:
    """Group commit for one ledger. Belongs to the loop it was made on."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        inline: bool,
        clock: Callable[[], Ms],
        on_done: Callable[[Done], None],
    ) -> None:
        """`on_done` is called on the loop after each batch, before its futures resolve. Call `stop` in the end."""
        self._ledger = ledger
        self._clock = clock
        self._on_done = on_done
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._waiting = 0
        self._is_turn_booked = False
        self._thread = (
            None if inline else threading.Thread(target=self._write, name="outbox-writer", daemon=True)
        )
        if self._thread:
            self._thread.start()

    @property
    def waiting(self) -> int:
        """Writes submitted and not yet answered."""
        return self._waiting

    def submit(self, kind: Kind[T, U], item: T, *, in_turn: bool = False) -> "asyncio.Future[U]":
        """Resolves with the result after the commit; fails with what the kind or the commit raised.

        Futures resolve in the order of the calls, but within a commit kinds are done one after the other: `in_turn` for
        what must be done in that order, too, since who waits for it does elsewhere what it did in the file.
        """
        future: asyncio.Future[U] = self._loop.create_future()
        self._waiting += 1
        self._queue.put(Job(kind, item, future, in_turn))
        if self._thread is None and not self._is_turn_booked:
            self._is_turn_booked = True
            self._loop.call_soon(self._turn)
        return future

    async def stop(self) -> None:
        """Commits what waits, then ends the thread. Nothing may be submitted afterwards."""
        if self._thread is None:
            self._turn()
            return
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # the last batch's call back is queued on the loop; let it run

    def _turn(self) -> None:
        self._is_turn_booked = False
        while not self._queue.empty():
            jobs, _ = self._take()
            self._answer(self._commit(jobs))
        self._ledger.idle()

    def _write(self) -> None:
        is_open = True
        while is_open:
            jobs, is_open = self._take()
            done = self._commit(jobs)
            with contextlib.suppress(RuntimeError):  # the loop is gone: nobody is left to tell
                self._loop.call_soon_threadsafe(self._answer, done)

    def _first(self) -> Job | None:
        try:
            return self._queue.get(timeout=IDLE_S)
        except Empty:
            self._ledger.idle()
            return self._queue.get()

    def _take(self) -> tuple[list[Job], bool]:
        """Waits for one job and takes all there are; False with the last ones there will be."""
        jobs: list[Job] = []
        job = self._first()
        while job is not None:
            jobs.append(job)
            if len(jobs) >= MOST_PER_COMMIT or self._queue.empty():
                return jobs, True
            job = self._queue.get()
        return jobs, False

    def _commit(self, jobs: list[Job]) -> Done:
        started = self._clock()
        trouble = None
        try:
            results = self._transact(jobs)
        except RelayError as why:
            results, trouble = [why] * len(jobs), str(why)
        except Exception:
            log.exception("outbox.batch_failed", extra={"fields": {"writes": len(jobs)}})
            results = [self._alone(job) for job in jobs]
            if all(isinstance(result, RelayError) for result in results):
                trouble = str(results[0])
        return Done(jobs, results, self._clock() - started, trouble)

    def _alone(self, job: Job) -> Any:  # Any: as in Job
        """One write in a commit of its own: what broke a batch must not take its neighbours along."""
        try:
            return self._transact([job])[0]
        except RelayError as why:
            return why
        except Exception as why:  # noqa: BLE001 - a fault in one write: it is told so, the thread goes on
            return Unavailable(
                f"this write failed in a way nobody foresaw ({type(why).__name__}): see the log"
            )

    def _transact(self, jobs: list[Job]) -> list[Any]:  # Any: as in Job
        if not jobs:
            return []
        with self._ledger.transaction():
            return _run(jobs)

    def _answer(self, done: Done) -> None:
        self._waiting -= len(done.jobs)
        self._on_done(done)
        for job, result in zip(done.jobs, done.results, strict=True):
            if job.future.done():  # its caller was cancelled; the write stands all the same
                continue
            if isinstance(result, RelayError):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)


def _run(jobs: list[Job]) -> list[Any]:  # Any: as in Job
    """Stretch by stretch: what stands in turn has all before it done before, and all behind it after."""
    results: list[Any] = []
    for stands_in_turn, stretch in groupby(jobs, key=attrgetter("stands_in_turn")):
        if stands_in_turn:
            results += [result for job in stretch for result in job.kind([job.item])]
        else:
            results += _together(list(stretch))
    return results


def _together(jobs: list[Job]) -> list[Any]:  # Any: as in Job
    """Each kind once, in the order of its first job, so that a batch costs few statements and not few thousand."""
    places: dict[Kind[Any, Any], list[int]] = {}
    for place, job in enumerate(jobs):
        places.setdefault(job.kind, []).append(place)
    results: list[Any] = [None] * len(jobs)
    for kind, mine in places.items():
        for place, result in zip(mine, kind([jobs[place].item for place in mine]), strict=True):
            results[place] = result
    return results
