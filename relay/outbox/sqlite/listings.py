"""The store's readers: every listing and search on a thread of its own, none of which can hold up a commit."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import apsw

from relay.core.moments import UnixMs
from relay.outbox.rows import (
    AttemptRow,
    AttemptSelection,
    AuditRow,
    AuditSelection,
    DeliveryRow,
    EndpointRow,
    EventRow,
    Fate,
    Found,
    Kept,
    OpenSession,
    Pick,
    Selection,
)
from relay.outbox.sqlite.file import open_for_reading, translated
from relay.outbox.sqlite.finds import Finds
from relay.outbox.sqlite.reads import Reads

T = TypeVar("T")
S = TypeVar("S", Selection, AttemptSelection, AuditSelection)


class Listings:
    """The part of `OutboxStore` that only reads."""

    def __init__(self, path: Path, *, inline: bool) -> None:
        reader = open_for_reading(path)
        self._reads, self._finds = Reads(reader), Finds(reader)
        self._reader = None if inline else ThreadPoolExecutor(1, thread_name_prefix="outbox-reader")

    async def open_sessions(self, *, limit: int) -> list[OpenSession]:
        return await self._read(self._reads.open_sessions, limit)

    async def deliveries(self, selection: Selection) -> list[DeliveryRow]:
        return await self._paged(self._reads.deliveries, selection, selection.before)

    async def delivery(self, delivery_id: int) -> tuple[DeliveryRow, bytes] | None:
        return await self._read(self._reads.delivery, delivery_id)

    async def endpoints_attempts(self, selection: AttemptSelection) -> list[AttemptRow]:
        below = None if selection.before is None else selection.before[0] + 1
        return await self._paged(self._reads.endpoints_attempts, selection, below)

    async def attempts(self, delivery_id: int) -> list[AttemptRow]:
        return await self._read(self._reads.attempts, delivery_id)

    async def audit(self, selection: AuditSelection) -> list[AuditRow]:
        return await self._paged(self._reads.audit, selection, selection.before)

    async def picked(self, pick: Pick, *, after: int, most: int) -> Found:
        return await self._read(self._finds.picked, pick, after, most)

    async def of_session(
        self, kept: Kept, session: str, gateway: str | None, *, below: int | None, most: int
    ) -> Found:
        return await self._read(self._finds.of_session, kept, session, gateway, below, most)

    async def event(self, event_id: str, recorded_at: UnixMs) -> tuple[EventRow, list[Fate]] | None:
        found = await self._read(self._finds.event, event_id, recorded_at)
        return None if found is None else (found[1], await self._read(self._finds.fates, found[0]))

    async def endpoints(self) -> list[EndpointRow]:
        return await self._read(self._reads.endpoints)

    async def waiting(self) -> dict[str, int]:
        return await self._read(self._reads.waiting)

    async def _oldest_pending_at(self) -> UnixMs | None:
        return await self._read(self._reads.oldest_pending_at)

    def _end_listing(self) -> None:
        if self._reader:
            self._reader.shutdown()
        self._reads.close()

    async def _read(self, query: Callable[..., T], *asked: object) -> T:
        try:
            if self._reader is None:
                return query(*asked)
            return await asyncio.get_running_loop().run_in_executor(self._reader, query, *asked)
        except apsw.Error as why:
            raise translated(why) from why

    async def _paged(
        self, query: Callable[[S, int | None], tuple[list[T], int | None]], selection: S, below: int | None
    ) -> list[T]:
        """Stretch after stretch until there are as many rows as asked for."""
        rows: list[T] = []
        while len(rows) < selection.limit:
            left = replace(selection, limit=selection.limit - len(rows))
            found, below = await self._read(query, left, below)
            rows += found
            if below is None:
                break
        return rows
