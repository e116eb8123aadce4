"""What an operator does with what is kept: look at it, send dead letters again, forget them, forget a session.

    a filter ──► search (one stretch of keys a read) ──► ≤ 100 at a time ──► a commit each, others' commits between

Nothing here holds up the hot path longer than one slice, however much is asked for; and nothing is asked for in one
go that would take longer than an operator waits: a call does `MOST` and says whether more are left.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from relay.errors import OutboxFull
from relay.outbox.rows import (
    AttemptRow,
    AttemptSelection,
    AuditRow,
    AuditSelection,
    DeliveryRow,
    Found,
    Kept,
    Pick,
    Purged,
    Selection,
)
from relay.outbox.store import OutboxStore

MOST = 10_000
SLICE = 100
"""Measured at 5 to 10 ms of a commit, on a machine with neighbours: what an append may have to wait."""

PAGE_ROWS = 1000

Deed = Callable[[tuple[int, ...]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Done:
    """How many a call did, or would do; `is_more`: others that the filter wants are left.

    `left_out` were not replayed, since their endpoint is disabled or not configured any more.
    """

    count: int
    is_more: bool
    left_out: int = 0


class Letters:
    """Over one store. What several callers ask for at once is done in turns."""

    def __init__(self, store: OutboxStore) -> None:
        self._store = store

    async def count(self, pick: Pick) -> Done:
        """How many a replay or a purge would take now."""
        return await self._each(pick, _counted)

    async def replay(self, pick: Pick) -> Done:
        """Sends dead letters once more, oldest first: same ids, same bytes, new budgets.

        Ends early at the depth limit, which those that were no `exhausted` ones may reach; raises OutboxFull where
        that left room for none.
        """
        left_out = 0

        async def replayed(keys: tuple[int, ...]) -> int:
            nonlocal left_out
            done = await self._store.replay_all(keys, pick.state)
            left_out += done.left_out
            return done.count

        return replace(await self._each(pick, replayed), left_out=left_out)

    async def purge(self, pick: Pick) -> Done:
        """Forgets dead letters, with their attempts, and their events where nobody else's delivery needs them."""

        async def purged(keys: tuple[int, ...]) -> int:
            return (await self._store.purge(keys, pick.state)).deliveries

        return await self._each(pick, purged)

    async def purge_session(self, session: str, gateway: str | None = None) -> Purged:
        """Forgets everything recorded of a session until now: events, deliveries, attempts, audit, its guest's id.

        Its number goes on, so that no tracker sees one twice. What it records from now on is not touched.
        """
        total = Purged()
        async for keys in self._of_session(Kept.DELIVERIES, session, gateway):
            total += await self._store.purge(keys, None)
        async for keys in self._of_session(Kept.AUDIT, session, gateway):
            total += Purged(audit_rows=await self._store.purge_audit(keys))
        async for keys in self._of_session(Kept.SESSIONS, session, gateway):
            await self._store.forget_guests(keys)
        return total

    async def deliveries(self, selection: Selection) -> list[DeliveryRow]:
        """Newest first."""
        return await self._store.deliveries(selection)

    async def delivery(self, delivery_id: int) -> tuple[DeliveryRow, bytes] | None:
        """With its event's body."""
        return await self._store.delivery(delivery_id)

    async def attempts(self, delivery_id: int) -> list[AttemptRow]:
        """Every attempt at one delivery that is still kept, oldest first."""
        return await self._store.attempts(delivery_id)

    async def endpoints_attempts(self, selection: AttemptSelection) -> list[AttemptRow]:
        """Of one endpoint, those of its newest deliveries first."""
        return await self._store.endpoints_attempts(selection)

    async def audit_pages(self, selection: AuditSelection) -> AsyncIterator[list[AuditRow]]:
        """The audit, newest first, a page at a time; no read is open between two pages."""
        left = selection.limit
        while left > 0:
            rows = await self._store.audit(replace(selection, limit=min(left, PAGE_ROWS)))
            if rows:
                yield rows
            if len(rows) < min(left, PAGE_ROWS):
                return
            left -= len(rows)
            selection = replace(selection, before=rows[-1].row_id)

    async def _each(self, pick: Pick, deed: Deed) -> Done:
        count, found, left = 0, Found((), 0), MOST
        while left > 0 and found.go_on is not None:
            found = await self._store.picked(pick, after=found.go_on, most=min(SLICE, left))
            try:
                done = await deed(found.keys) if found.keys else 0
            except OutboxFull:
                if count == 0:
                    raise
                return Done(count, is_more=True)
            # Of what was done: those left out would else be all that the next call came to.
            count, left = count + done, left - done
        return Done(count, is_more=await self._is_any(pick, found.go_on))

    async def _is_any(self, pick: Pick, after: int | None) -> bool:
        while after is not None:
            found = await self._store.picked(pick, after=after, most=1)
            if found.keys:
                return True
            after = found.go_on
        return False

    async def _of_session(
        self, kept: Kept, session: str, gateway: str | None
    ) -> AsyncIterator[tuple[int, ...]]:
        below: int | None = None
        while True:
            found = await self._store.of_session(kept, session, gateway, below=below, most=SLICE)
            if found.keys:
                yield found.keys
            if found.go_on is None:
                return
            below = found.go_on


async def _counted(keys: tuple[int, ...]) -> int:
    return len(keys)
