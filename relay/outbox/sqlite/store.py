"""The embedded outbox store: one SQLite file, one process, one writing thread, group commit.

    append, claim, settle, replay, marks ──► Writer (thread) ──► Ledger: Recorder, Lanes, Sweep on one connection
    listings ───────────────────────────────► a thread ────────► Reads: a connection that cannot write
                                              a thread ────────► Checkpoints: the log, when it is long

A write is answered when it is on disk (`synchronous = FULL`). Leases do not outlive the process: it holds the file
alone, so at the next start they are nobody's and are given back.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from relay.core.delivery import LIVE, Filter, State
from relay.core.endpoint import Standing
from relay.core.engagement import Fact
from relay.core.moments import UnixMs
from relay.core.terms import Terms
from relay.errors import OutboxFull, RelayError
from relay.outbox.holder import Hold
from relay.outbox.rows import (
    Depth,
    Purged,
    Replayed,
)
from relay.outbox.sqlite.append import Addressing, Lost
from relay.outbox.sqlite.ledger import ALIVE_UNTIL, Ledger, Options
from relay.outbox.sqlite.listings import Listings
from relay.outbox.sqlite.owed import Owed
from relay.outbox.sqlite.purge import Slice
from relay.outbox.sqlite.room import NoRoom
from relay.outbox.store import Claimed, LastLife, Listener, Recorded, Settled, Settlement, Want
from relay.outbox.writer import Done, Writer


class SqliteStore(Listings):
    """Implements `OutboxStore`. Make it with `open`."""

    def __init__(
        self,
        options: Options,
        hold: Hold,
        ledger: Ledger,
        *,
        listener: Listener,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._options = options
        self._hold = hold
        self._ledger = ledger
        self.on_work: Callable[[frozenset[str]], None] = lambda _: None
        self._listener = listener
        self._owed = Owed(options.max_queue)
        self._trouble: str | None = None
        super().__init__(options.path, inline=options.inline)
        self._append = ledger.recorder.append
        self._writer = Writer(
            ledger, inline=options.inline, clock=lambda: loop.time() * 1000, on_done=self._batch_done
        )

    @classmethod
    async def open(
        cls,
        options: Options,
        *,
        wall: Callable[[], UnixMs],
        new_id: Callable[[UnixMs], str],
        listener: Listener | None = None,
    ) -> Self:
        """Takes the file for this process, brings its schema forward and gives back the leases of a dead one.

        `new_id` makes an event's id from the time of recording. Raises StoreError where the file is held by
        another, newer than this release, not ours, or cannot be opened.
        """
        hold = Hold.take(options.path)
        try:
            ledger = Ledger(options, wall=wall, new_id=new_id)
        except BaseException:
            hold.release()
            raise
        return cls(options, hold, ledger, listener=listener or Listener())

    @property
    def last_life(self) -> LastLife:
        return self._ledger.last_life

    @property
    def trouble(self) -> str | None:
        """The last commit's failure, until one succeeds; or which limit is reached."""
        if self._trouble:
            return self._trouble
        if self._writer.waiting >= self._options.max_queue:
            return "the outbox's writer cannot keep up: outbox.max_queue writes wait for the disk"
        return self._ledger.recorder.trouble

    def append(self, fact: Fact) -> "asyncio.Future[Recorded]":
        if self._writer.waiting >= self._options.max_queue:
            self._owed.lose(fact)
            self._listener.on_refused("queue_full")
            raise OutboxFull(
                f"{self._writer.waiting} writes wait for the outbox's disk, the most allowed: slow down"
            )
        self._tell((*self._owed.addressing(), *self._owed.numbers()))
        return self._writer.submit(self._append, fact)

    async def claim(self, want: Want) -> Claimed:
        return await self._writer.submit(self._ledger.lanes.claim, want)

    async def settle(self, settlement: Settlement) -> Settled:
        return await self._writer.submit(self._ledger.lanes.settle, settlement)

    async def replay(self, delivery_id: int) -> bool:
        endpoint = await self._writer.submit(self._ledger.replays.one, delivery_id)
        if endpoint is None:
            return False
        self.on_work(frozenset({endpoint}))
        return True

    async def pause(self, endpoint: str) -> bool:
        return await self._writer.submit(self._ledger.standings.pause, endpoint, in_turn=True)

    async def resume(self, endpoint: str) -> Standing:
        before, wakes = await self._writer.submit(self._ledger.aftermath.resume, endpoint, in_turn=True)
        self.on_work(frozenset({endpoint, *wakes}))
        return before

    async def hurry(self, endpoint: str, *, most: int) -> int:
        hurried = await self._writer.submit(self._ledger.hurry.slices, (endpoint, most))
        if hurried:
            self.on_work(frozenset({endpoint}))
        return hurried

    def address(self, filters: Mapping[str, Filter], terms: Mapping[str, Terms]) -> None:
        addressing = Addressing(filters, terms)
        self._owed.said(addressing)
        self._tell((addressing,))

    async def mark_alive(self, until: UnixMs) -> None:
        self._tell(self._owed.addressing())
        await self._writer.submit(self._ledger.mark, (ALIVE_UNTIL, until))

    async def clock_fell(self, by_ms: UnixMs) -> None:
        await self._writer.submit(self._ledger.lanes.clock_fell, by_ms)

    async def sweep(self) -> bool:
        return await self._writer.submit(self._ledger.sweep.sweep, None)

    async def replay_all(self, deliveries: tuple[int, ...], state: State) -> Replayed:
        endpoints, left_out = await self._writer.submit(self._ledger.replays.slices, (deliveries, state))
        self.on_work(frozenset(endpoints))
        return Replayed(len(endpoints), left_out)

    async def purge(self, deliveries: tuple[int, ...], state: State | None) -> Purged:
        return await self._writer.submit(self._ledger.purge.deliveries, Slice(deliveries, state))

    async def purge_audit(self, rows: tuple[int, ...]) -> int:
        return await self._writer.submit(self._ledger.purge.audit, rows)

    async def forget_guests(self, sessions: tuple[int, ...]) -> int:
        return await self._writer.submit(self._ledger.purge.guests, sessions)

    async def depth(self) -> Depth:
        oldest = await self._oldest_pending_at()
        tally = self._ledger.committed
        return Depth(
            {state: tally.by_state[state] for state in State},
            oldest,
            tally.audit_rows,
            body_bytes=tally.body_bytes,
            ended={state: tally.ended[state] for state in State if state not in LIVE},
            shed=tally.shed,
        )

    async def close(self, *, is_clean: bool) -> None:
        """Lets go of the file whatever happens; a last write that fails is raised afterwards."""
        try:
            await self._writer.submit(self._ledger.lanes.void_leases, None)
            if is_clean:
                await self._writer.submit(self._ledger.say_goodbye, None)
        finally:
            await self._writer.stop()
            self._end_listing()
            await self._let_go()
            self._hold.release()

    async def _let_go(self) -> None:
        """Off the loop where there are threads: a disk may take its time, and a signal must be heard meanwhile."""
        if self._options.inline:
            self._ledger.close()
        else:
            await asyncio.to_thread(self._ledger.close)

    def _batch_done(self, done: Done) -> None:
        """Before the futures resolve: whoever waits for one finds metrics, readiness and lanes already told."""
        self._trouble = done.trouble
        self._listener.on_commit(len(done.jobs), done.took_ms)
        endpoints: set[str] = set()
        for job, result in zip(done.jobs, done.results, strict=True):
            if isinstance(result, Recorded):
                endpoints.update(result.endpoints)
            elif isinstance(result, Settled):
                endpoints.update(result.wakes)
            elif isinstance(result, RelayError) and job.kind == self._append:
                self._refused(job.item, result)
        if endpoints:
            self.on_work(frozenset(endpoints))

    def _refused(self, fact: Fact | Lost | Addressing, why: RelayError) -> None:
        if isinstance(why, NoRoom):
            self._listener.on_refused(why.limit.value)
            return
        self._owed.lose(fact)
        if not isinstance(fact, Lost | Addressing):
            self._listener.on_refused("disk_full" if isinstance(why, OutboxFull) else "write_failed")

    def _tell(self, items: Sequence[Lost | Addressing]) -> None:
        """In the order of the facts; what does not reach the file is owed."""
        for item in items:
            self._writer.submit(self._append, item).add_done_callback(_looked_at)


def _looked_at(
    future: "asyncio.Future[Any]",
) -> None:  # Any: whatever it holds, a failure is counted by `_refused`
    if not future.cancelled():
        future.exception()
