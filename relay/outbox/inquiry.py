"""Answers why an event was delivered to an endpoint, or was not: what is recorded, held beside how things stand."""

from collections.abc import Awaitable, Callable, Mapping

from relay.core import why
from relay.core.delivery import Filter
from relay.core.ids import uuid7_ms
from relay.core.moments import UnixMs
from relay.outbox.rows import Fate
from relay.outbox.store import OutboxStore

EVENT_PREFIX = "msg_"


class Inquiry:
    """Over one store and the endpoints as configured."""

    def __init__(
        self,
        store: OutboxStore,
        filters: Mapping[str, Filter],
        *,
        holdings: Callable[[], Awaitable[Mapping[str, why.Holding]]],
        wall: Callable[[], UnixMs],
        kept_ms: UnixMs,
    ) -> None:
        """`holdings` says what keeps each endpoint back now; `kept_ms` is the longest anything is kept."""
        self._store = store
        self.filters = filters
        """What each endpoint wants to hear; may be replaced at any time."""
        self._holdings = holdings
        self._wall = wall
        self._kept_ms = kept_ms

    async def why(self, event_id: str, endpoint: str | None = None) -> dict[str, why.Verdict]:
        """A verdict for each endpoint, configured or with a delivery of it; or for the one asked about.

        Of an event that is not kept there is one verdict, whatever the endpoint.
        """
        recorded_at = (
            uuid7_ms(event_id.removeprefix(EVENT_PREFIX)) if event_id.startswith(EVENT_PREFIX) else None
        )
        found = None if recorded_at is None else await self._store.event(event_id, recorded_at)
        if found is None:
            verdict = why.unknown(recorded_at, now=self._wall(), kept_ms=self._kept_ms)
            return {"*" if endpoint is None else endpoint: verdict}
        row, fates = found
        by_endpoint = {fate.delivery.endpoint: fate for fate in fates}
        names = [endpoint] if endpoint else [*self.filters, *(by_endpoint.keys() - self.filters.keys())]
        event, holdings = why.Event(row.event_type, row.gateway, row.source), await self._holdings()
        return {
            name: why.verdict(
                event,
                progress_of(by_endpoint.get(name)),
                self.filters.get(name),
                holdings.get(name, why.Holding()),
                now=self._wall(),
            )
            for name in names
        }


def progress_of(fate: Fate | None) -> why.Progress | None:
    if fate is None:
        return None
    row = fate.delivery
    last = row.last_failure if row.last_status is None else f"status {row.last_status}"
    return why.Progress(
        row.state,
        fate.budget_attempts,
        row.due,
        row.finished_at,
        last,
        fate.waits_for,
        fate.superseded_by,
        fate.is_shed,
    )
