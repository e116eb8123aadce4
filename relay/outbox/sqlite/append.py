"""Facts become rows: the session's number, the event's frozen bytes, a delivery for each endpoint, the audit.

Runs inside the writer's transaction. The statements run once per batch, each over all of its rows.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import apsw

from relay import wire
from relay.core.delivery import Filter, State
from relay.core.engagement import Broadcast, Fact, Suppressed, Transition, event_data, event_type
from relay.core.indicator import SessionKey
from relay.core.moments import UnixMs, rfc3339
from relay.errors import OutboxFull
from relay.outbox.sqlite.numbers import Numbers, Step
from relay.outbox.sqlite.tally import Row, Tally
from relay.outbox.store import Recorded

ADD_EVENT = """
    INSERT INTO events (id, event_id, type, recorded_at, traceparent, body, source) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
# The greatest of a list, and not coalesced with a scalar query: measured at 4 us a delivery, the other way at 25.
ADD_DELIVERY = """
    INSERT INTO deliveries (event, endpoint, gateway, session_id, state, due)
    VALUES (?1, ?2, ?3, ?4, 'pending', CASE WHEN EXISTS (
        SELECT 1 FROM deliveries
        WHERE endpoint = ?2 AND gateway = ?3 AND session_id = ?4 AND finished_at IS NULL AND overtaken_at IS NULL
    ) THEN NULL ELSE (SELECT max(at) FROM (
        SELECT ?5 AS at UNION ALL
        SELECT overtaken_at FROM deliveries
        WHERE endpoint = ?2 AND gateway = ?3 AND session_id = ?4 AND finished_at IS NULL AND overtaken_at > 0
    )) END)
"""
ADD_CANCELLED = """
    INSERT INTO deliveries (event, endpoint, gateway, session_id, state, finished_at)
    VALUES (?, ?, ?, ?, 'cancelled', ?)
"""
ADD_AUDIT = "INSERT INTO audit VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_stamp = lru_cache(maxsize=64)(rfc3339)
"""Under load many facts share a millisecond, and writing it out costs more than the rest of the body."""


class Lost(NamedTuple):
    """So many transitions of a session could not be recorded; their numbers are used up."""

    key: SessionKey
    numbers: int


class RowsFull(OutboxFull):
    """The depth limit refused this fact; its session's number was used up in the same commit."""


class Plan(NamedTuple):
    """One fact with what was decided about it before its number is known."""

    fact: Fact | Lost
    event: str | None
    endpoints: tuple[str, ...]
    is_refused: bool


class Recorder:
    """Appends batches of facts to one connection."""

    def __init__(
        self,
        connection: apsw.Connection,
        tally: Tally,
        numbers: Numbers,
        filters: Mapping[str, Filter],
        *,
        max_rows: int,
        new_id: Callable[[UnixMs], str],
        wall: Callable[[], UnixMs],
    ) -> None:
        """`filters` says what each endpoint wants; `max_rows` bounds what is undelivered."""
        self._connection = connection
        self._tally = tally
        self._numbers = numbers
        self._max_rows = max_rows
        self._new_id = new_id
        self._wall = wall

        @lru_cache(maxsize=4096)  # types x gateways x sources, all from the configuration
        def wanting(event: str, gateway: str, source: str) -> tuple[str, ...]:
            return tuple(name for name, want in filters.items() if want.admits(event, gateway, source))

        self._wanting = wanting

    def append(self, facts: Sequence[Fact | Lost]) -> list[Recorded | RowsFull]:
        now = self._wall()
        plans = self._planned(facts)
        self._audit([plan.fact for plan in plans if isinstance(plan.fact, Broadcast)])
        return self._record(plans, now)

    def _planned(self, facts: Sequence[Fact | Lost]) -> list[Plan]:
        room = self._max_rows - self._tally.depth
        plans = []
        for fact in facts:
            event, endpoints = (None, ()) if isinstance(fact, Lost) else self._addressed(fact)
            is_refused = len(endpoints) > room
            room -= 0 if is_refused else len(endpoints)
            plans.append(Plan(fact, event, endpoints, is_refused))
        return plans

    def _addressed(self, fact: Fact) -> tuple[str | None, tuple[str, ...]]:
        event = event_type(fact)
        return event, self._wanting(event, fact.key[0], fact.source) if event else ()

    def _record(self, plans: Sequence[Plan], now: UnixMs) -> list[Recorded | RowsFull]:
        results: list[Recorded | RowsFull] = []
        events: list[Row] = []
        due: list[Row] = []
        cancelled: list[Row] = []
        for plan in plans:
            fact, event, endpoints, is_refused = plan
            step = _step(plan)
            number = self._numbers.take(step, now) if step else None
            if is_refused:
                results.append(_refusal(self._max_rows))
                continue
            if isinstance(fact, Lost) or event is None or not endpoints:
                results.append(Recorded(None, number))
                continue
            event_id, key = self._new_id(now), self._tally.next_event
            self._tally.next_event += 1
            body = _body(fact, event, number)
            events.append((key, event_id, event, now, _traceparent(fact), body, fact.source))
            for endpoint in endpoints:
                rows = cancelled if endpoint in self._tally.disabled else due
                rows.append((key, endpoint, *fact.key, now))
            results.append(Recorded(event_id, number, endpoints))
        self._numbers.write()
        self._insert(events, due, cancelled)
        return results

    def _insert(self, events: list[Row], due: list[Row], cancelled: list[Row]) -> None:
        self._many(ADD_EVENT, events)
        self._many(ADD_DELIVERY, due)
        self._many(ADD_CANCELLED, cancelled)
        self._tally.by_state[State.PENDING] += len(due)
        self._tally.by_state[State.CANCELLED] += len(cancelled)

    def _audit(self, broadcasts: Sequence[Broadcast]) -> None:
        self._many(ADD_AUDIT, [_audit_row(broadcast) for broadcast in broadcasts])
        self._tally.audit_rows += len(broadcasts)

    def _many(self, statement: str, rows: Sequence[Row]) -> None:
        if rows:
            self._connection.executemany(statement, rows)


def _refusal(max_rows: int) -> RowsFull:
    return RowsFull(
        f"the outbox holds {max_rows} undelivered rows, its limit: mend or pause the endpoint behind, "
        "purge dead letters, or raise outbox.max_rows"
    )


def _step(plan: Plan) -> Step | None:
    """A refused transition leaves the state as trackers know it: an open session is still closed at the next start."""
    match plan.fact:
        case Lost(key, count):
            return Step(key, None, "", None, count)
        case Transition() as fact:
            return Step(
                fact.key, fact.guest_id, fact.source, None if plan.is_refused else fact.state.value, 1
            )
        case _:
            return None


def _body(fact: Fact, event: str, number: int | None) -> bytes:
    return wire.dumps({"type": event, "timestamp": _stamp(fact.at), "data": event_data(fact, number)})


def _traceparent(fact: Fact) -> str | None:
    return None if isinstance(fact, Suppressed) else fact.traceparent


def _audit_row(fact: Broadcast) -> Row:
    return (
        fact.audit_id,
        fact.at,
        *fact.key,
        fact.guest_id,
        fact.source,
        fact.indicator.value,
        fact.duration_ms,
        fact.cause.value,
        fact.success,
        fact.status,
        fact.error,
        fact.message,
        fact.latency_ms,
        fact.attempts,
    )
