"""The room's face: facts go in, and from then on they are the outbox's to deliver.

    append ──► store (one commit) ──► lanes are woken ──► receivers
    upkeep, each second: a mark that we are alive (a real write: it is also the disk's probe), a slice of sweeping

Order of use: `open`, `close_open_sessions` before anything is appended, `start`, … , `drain`, `close`.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Self

from relay.core.delivery import Filter, State
from relay.core.endpoint import Standing
from relay.core.engagement import Fact, Reason, Transition
from relay.core.ids import uuid7
from relay.core.indicator import Indicator
from relay.core.moments import UnixMs
from relay.core.terms import Terms
from relay.errors import RelayError, Unavailable
from relay.outbox.dispatcher import Dispatcher
from relay.outbox.endpoints import Endpoints
from relay.outbox.inquiry import Inquiry
from relay.outbox.letters import Letters
from relay.outbox.rows import AttemptRow, AuditRow, AuditSelection, DeliveryRow, Depth, OpenSession, Selection
from relay.outbox.sqlite.ledger import Options
from relay.outbox.sqlite.store import SqliteStore
from relay.outbox.sqlite.sweep import Keep
from relay.outbox.step import Step
from relay.outbox.store import Listener, OutboxStore, Recorded
from relay.outbox.targets import targets_of
from relay.outbox.webhook import Target
from relay.settings.endpoint import Endpoint
from relay.settings.models import Audit
from relay.settings.models import Outbox as OutboxSettings

ALIVE_EACH_S = 1.0
ALIVE_AHEAD_MS: UnixMs = 2000
"""A mark speaks for the time until the next one, and for as long as that may come late."""

SWEEP_PAUSE_S = 0.02
"""Between two full slices: 25,000 rows a second at most, and every commit goes in between."""

SESSIONS_AT_ONCE = 500
"""Left open and closed in one go; fewer where `outbox.max_queue` is small, or the queue would refuse its own."""

DAY_MS = 86_400_000

log = logging.getLogger("relay.outbox")


class Outbox:
    """Records facts and delivers their events. Make it with `open`; everything belongs to that event loop."""

    def __init__(
        self,
        store: OutboxStore,
        targets: Mapping[str, Target],
        *,
        wall: Callable[[], UnixMs],
        listener: Listener,
        max_queue: int,
        configured: Mapping[str, Endpoint],
        kept_ms: UnixMs,
    ) -> None:
        self._store = store
        self._wall = wall
        self._dispatcher = Dispatcher(store, targets, wall=wall, listener=listener)
        self.endpoints = Endpoints(store, self._dispatcher, wall=wall, new_id=_event_id)
        store.on_work = self._dispatcher.wake
        self._upkeep: asyncio.Task[None] | None = None
        self._step = Step(wall=wall, loop_s=asyncio.get_running_loop().time)
        self._sessions_at_once = min(SESSIONS_AT_ONCE, max_queue // 2)
        self._configured = configured
        self.inquiry = Inquiry(
            store, _filters(configured), holdings=self.endpoints.holdings, wall=wall, kept_ms=kept_ms
        )
        """Why an event was delivered, or was not."""
        self.letters = Letters(store)
        """What an operator does with what is kept."""
        self.last_alive: UnixMs | None = store.last_life.alive_until
        """The last instant until which a process before us said it may send; None for a new file. See `LastLife`."""
        self.was_clean: bool = store.last_life.was_clean

    @classmethod
    async def open(
        cls,
        settings: OutboxSettings,
        endpoints: Mapping[str, Endpoint],
        audit: Audit,
        *,
        wall: Callable[[], UnixMs],
        inline: bool = False,
        listener: Listener | None = None,
    ) -> Self:
        """Takes the outbox file. `inline` writes on the event loop, for virtual time; else `wall` is read by the
        writer's thread too.

        Raises SettingsError for an endpoint that cannot be used, StoreError for a file that cannot.
        """
        targets = targets_of(endpoints)
        told = listener or Listener()
        options = _options(settings, endpoints, audit, inline=inline)
        store = await SqliteStore.open(options, wall=wall, new_id=_event_id, listener=told)
        return cls(
            store,
            targets,
            wall=wall,
            listener=told,
            max_queue=settings.max_queue,
            configured=endpoints,
            kept_ms=max(options.keep.ended_ms, options.keep.dead_letter_ms),
        )

    async def close_open_sessions(self) -> int:
        """Tells trackers that the sessions a dead process left open have stopped; how many were told is on disk.

        Call it before this process appends anything: it cannot tell its own sessions from the dead one's.
        """
        closed = 0
        while sessions := await self._store.open_sessions(limit=self._sessions_at_once):
            stops = [self._store.append(_restart(session, self._wall())) for session in sessions]
            results = await asyncio.gather(*stops, return_exceptions=True)
            refused = [why for why in results if isinstance(why, BaseException)]
            closed += len(results) - len(refused)
            if refused:
                # They stay open in the record, so the next start closes them; this one need not fail for it.
                log.error("outbox.sessions_left_open", extra={"fields": {"why": str(refused[0])}})
                break
        return closed

    def append(self, fact: Fact) -> "asyncio.Future[Recorded]":
        """Resolves when the fact and its deliveries are durable; commits keep the order of the calls.

        Raises OutboxFull at once where too much already waits for the disk. The future, which must be looked at,
        fails with OutboxFull at the depth limit or on a full disk, with Unavailable on any other failed write.
        """
        return self._store.append(fact)

    async def start(self) -> None:
        """Begins to deliver, and to mark that we live."""
        rows = await self._store.endpoints()
        await self._store.mark_alive(self._wall() + ALIVE_AHEAD_MS)
        self._dispatcher.start(
            stopped={
                row.name: (row.standing, row.reason) for row in rows if row.standing is not Standing.ACTIVE
            }
        )
        self._upkeep = asyncio.create_task(self._keep_up(), name="outbox-upkeep")

    def prepared(self, endpoints: Mapping[str, Endpoint]) -> Callable[[], None]:
        """What makes the same endpoints be told and sent as configured here, from the next fact and attempt on.

        Call it within this turn of the loop. Raises SettingsError for one that cannot be used.
        """
        changed = {
            name: one
            for name, one in endpoints.items()
            if one != self._configured[name]
            or one.names_files  # which may have been renewed under their names
        }
        retarget = self._dispatcher.prepared(targets_of(changed))

        def take() -> None:
            filters = _filters(endpoints)
            self._configured, self.inquiry.filters = endpoints, filters
            self._store.address(filters, _terms(endpoints))
            retarget()

        return take

    async def drain(self, timeout_s: float = 5.0) -> None:
        """Delivers what is due, the facts of a moment ago among it, for `timeout_s`; the rest stays pending."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        with suppress(Unavailable, TimeoutError):  # a disk that hangs is not waited for
            async with asyncio.timeout_at(until_s):
                await self.flush()
        await self._dispatcher.stop(max(0.0, until_s - loop.time()))

    async def flush(self) -> None:
        """Returns when all that was appended before is on disk. Raises Unavailable where the disk fails."""
        # Commits keep the order of the calls: after the mark, all facts are on disk.
        await self._store.mark_alive(self._wall() + ALIVE_AHEAD_MS)

    async def close(self) -> None:
        """Writes what was appended and the clean-stop mark, and lets go of the file. `drain` first, or what is on its way is cut off."""
        if self._upkeep:
            self._upkeep.cancel()
            with suppress(asyncio.CancelledError):
                await self._upkeep
        await self._dispatcher.stop(0)
        try:
            await self._store.close(is_clean=True)
        except Unavailable as why:
            log.error("outbox.closed_without_mark", extra={"fields": {"why": why.detail}})  # noqa: TRY400 - foreseen

    @property
    def trouble(self) -> str | None:
        """Why facts cannot be recorded now, for readiness; None if they can."""
        return self._store.trouble

    async def deliveries(
        self,
        state: State | None = None,
        endpoint: str | None = None,
        *,
        session: str | None = None,
        since: UnixMs | None = None,
        limit: int = 100,
    ) -> list[DeliveryRow]:
        """Newest first."""
        return await self._store.deliveries(Selection(state, endpoint, session, since, limit))

    async def attempts(self, delivery_id: int) -> list[AttemptRow]:
        """Every attempt at one delivery, oldest first."""
        return await self._store.attempts(delivery_id)

    async def audit(
        self, *, limit: int = 100, session: str | None = None, since: UnixMs | None = None
    ) -> list[AuditRow]:
        """Broadcast attempts, newest first."""
        return await self._store.audit(AuditSelection(session, since, limit))

    async def depth(self) -> Depth:
        return await self._store.depth()

    async def replay(self, delivery_id: int) -> bool:
        """Sends a delivery that has ended once more, with its id, its bytes and a new budget."""
        return await self._store.replay(delivery_id)

    async def _keep_up(self) -> None:
        while True:
            pause_s = SWEEP_PAUSE_S if await self._tidy() else ALIVE_EACH_S
            await asyncio.sleep(pause_s)

    async def _tidy(self) -> bool:
        """Marks and sweeps once; True where there is more to sweep."""
        try:
            if fell_ms := self._step.fell_ms():
                await self._store.clock_fell(fell_ms)
                self._step.made_good(fell_ms)
                self._dispatcher.wake(self._configured)
            await self._store.mark_alive(self._wall() + ALIVE_AHEAD_MS)
            return await self._store.sweep()
        except RelayError as why:
            log.warning("outbox.upkeep_failed", extra={"fields": {"why": str(why)}})
            return False


def _options(
    settings: OutboxSettings, endpoints: Mapping[str, Endpoint], audit: Audit, *, inline: bool
) -> Options:
    return Options(
        path=settings.path,
        filters=_filters(endpoints),
        keep=Keep(
            ended_ms=int(settings.retention_days * DAY_MS),
            dead_letter_ms=int(settings.dead_letter_days * DAY_MS),
            history_rows=settings.history_rows,
            audit_ms=int(audit.retention_days * DAY_MS),
            audit_rows=audit.max_rows,
            attempts_bytes=settings.attempts_bytes,
        ),
        terms=_terms(endpoints),
        max_rows=settings.max_rows,
        max_bytes=settings.max_bytes,
        max_queue=settings.max_queue,
        synchronous=settings.synchronous,
        inline=inline,
    )


def _filters(endpoints: Mapping[str, Endpoint]) -> dict[str, Filter]:
    return {name: Filter(one.events, one.gateways, one.sources) for name, one in endpoints.items()}


def _terms(endpoints: Mapping[str, Endpoint]) -> dict[str, Terms]:
    return {name: one.terms() for name, one in endpoints.items()}


def _event_id(at: UnixMs) -> str:
    # It names an event and guards nothing: a system call for each was a fiftieth of the writer's time.
    return "msg_" + uuid7(at, random.getrandbits(74))


def _restart(session: OpenSession, at: UnixMs) -> Transition:
    return Transition(
        key=session.key,
        guest_id=session.guest_id,
        source=session.source,
        state=Indicator.STOPPED,
        reason=Reason.RESTART,
        actors=0,
        at=at,
    )
