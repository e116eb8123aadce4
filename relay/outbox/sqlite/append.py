"""Facts become rows: the session's number, the event's frozen bytes, a delivery for each endpoint, the audit.

Runs inside the writer's transaction. The statements run once per batch, each over all of its rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import apsw

from relay import wire
from relay.core.delivery import Filter, State
from relay.core.engagement import Broadcast, Fact, Suppressed, Transition, event_data, event_type
from relay.core.indicator import SessionKey
from relay.core.moments import UnixMs, rfc3339
from relay.core.notice import Notice, asking
from relay.core.terms import DURABLE, Terms, weight
from relay.outbox.sqlite.endings import Endings
from relay.outbox.sqlite.numbers import Numbers, Step
from relay.outbox.sqlite.room import Limit, Limits, NoRoom, Room, Shortage
from relay.outbox.sqlite.roster import Roster
from relay.outbox.sqlite.shares import NOBODY, Shares
from relay.outbox.sqlite.tally import Row, Tally
from relay.outbox.store import Recorded

ADD_EVENT = """
    INSERT INTO events (id, event_id, type, recorded_at, traceparent, body, source) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
# The greatest of a list, and not coalesced with a scalar query: measured at 4 us a delivery, the other way at 25.
DUE = """
    CASE WHEN EXISTS (
        SELECT 1 FROM deliveries
        WHERE endpoint = ?2 AND gateway = ?3 AND session_id = ?4 AND finished_at IS NULL AND overtaken_at IS NULL
    ) THEN NULL ELSE (SELECT max(at) FROM (
        SELECT ?5 AS at UNION ALL
        SELECT overtaken_at FROM deliveries
        WHERE endpoint = ?2 AND gateway = ?3 AND session_id = ?4 AND finished_at IS NULL AND overtaken_at > 0
    )) END
"""
ADD_DELIVERY = f"""
    INSERT INTO deliveries (event, endpoint, gateway, session_id, state, due)
    VALUES (?1, ?2, ?3, ?4, 'pending', {DUE})
"""  # noqa: S608 - a statement of our own
ADD_LIMITED = f"""
    INSERT INTO deliveries (event, endpoint, gateway, session_id, state, due, class, weight, life_ms, expires_at)
    VALUES (?1, ?2, ?3, ?4, 'pending', {DUE}, ?6, ?7, ?8, ?5 + ?8)
"""  # noqa: S608 - as above
ADD_CANCELLED = """
    INSERT INTO deliveries (event, endpoint, gateway, session_id, state, finished_at, class, weight, life_ms, is_shed)
    VALUES (?, ?, ?, ?, 'cancelled', ?, ?, ?, ?, ?)
"""
ADD_AUDIT = "INSERT INTO audit VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_stamp = lru_cache(maxsize=64)(rfc3339)
"""Under load many facts share a millisecond, and writing it out costs more than the rest of the body."""


class Lost(NamedTuple):
    """So many transitions of a session could not be recorded; their numbers are used up."""

    key: SessionKey
    numbers: int


class Addressing(NamedTuple):
    """The facts after it are for these endpoints, on these terms."""

    filters: Mapping[str, Filter]
    terms: Mapping[str, Terms]


class Addressed(NamedTuple):
    """The endpoints an event is for; `spent` are those of them that may hold no more (see `shares`)."""

    event: str
    endpoints: tuple[str, ...]
    spent: frozenset[str]


@dataclass(slots=True)
class Batch:
    """Rows on their way into the file; of `limited` the order matters."""

    now: UnixMs
    room: Room
    events: list[Row] = field(default_factory=list)
    due: list[Row] = field(default_factory=list)
    limited: list[Row] = field(default_factory=list)
    cancelled: list[Row] = field(default_factory=list)

    def take(self, rows: int, body_bytes: int) -> None:
        self.room.rows -= rows
        self.room.body_bytes -= body_bytes


class Recorder:
    """Appends batches of facts to one connection. `shortage`, where there is any, is why events are refused."""

    def __init__(
        self,
        connection: apsw.Connection,
        tally: Tally,
        numbers: Numbers,
        endings: Endings,
        *,
        roster: Roster,
        limits: Limits,
        new_id: Callable[[UnixMs], str],
        wall: Callable[[], UnixMs],
    ) -> None:
        """`limits` bound what is undelivered."""
        self._connection = connection
        self._tally = tally
        self._numbers = numbers
        self._endings = endings
        self._limits = limits
        self._new_id = new_id
        self._wall = wall
        self._roster = roster
        self._shares = Shares(tally, roster, limits)
        self.shortage: Shortage | None = None
        self._note_shortage(None)

    def append(self, facts: Sequence[Fact | Lost | Addressing]) -> list[Recorded | NoRoom]:
        now = self._wall()
        self._audit([fact for fact in facts if isinstance(fact, Broadcast)])
        batch = Batch(now, self._room())
        results = [self._record(fact, batch) for fact in facts]
        self._numbers.write()
        self._insert(batch)
        if batch.room.lacks(1):
            self._note_shortage(self.shortage)
        return results

    @property
    def trouble(self) -> str | None:
        """Why events are refused, while they are; read on any thread."""
        shortage = self.shortage
        if shortage is None or not (limit := self._room().lacks(shortage.rows)):
            return None
        return self._limits.words(limit)

    def _record(self, fact: Fact | Lost | Addressing, batch: Batch) -> Recorded | NoRoom:
        if isinstance(fact, Addressing):
            self._roster.use(*fact)
            return Recorded(None, None)
        if isinstance(fact, Lost):
            return Recorded(None, self._numbers.take(Step(fact.key, None, "", None, fact.numbers), batch.now))
        event, endpoints = self._addressed(fact)
        # A notice has its place whatever is full: it may be what says so, and there are few of them an hour.
        spent = NOBODY if isinstance(fact, Notice) else self._shares.spent(endpoints, batch.room, batch.now)
        without = self._tally.disabled | spent
        rows = sum(name not in without for name in endpoints) if without else len(endpoints)
        limit = self._lacking(rows, batch, fact) if rows and batch.room.lacks(rows) else None
        number = (
            self._numbers.take(_step(fact, is_refused=limit is not None), batch.now)
            if isinstance(fact, Transition)
            else None
        )
        if limit is not None:
            self.shortage = Shortage(limit, rows)
            return NoRoom(self._limits.words(limit), limit)
        if event is None or not endpoints:
            return Recorded(None, number)
        body = _body(fact, event, number)
        event_id = self._add(batch, fact, Addressed(event, endpoints, spent), body)
        batch.take(rows, rows * len(body))
        if self.shortage and rows >= self.shortage.rows:
            self.shortage = None
        return Recorded(event_id, number, endpoints)

    def _addressed(self, fact: Fact) -> tuple[str | None, tuple[str, ...]]:
        event = event_type(fact)
        if isinstance(fact, Notice):
            return event, asking(self._roster.filters, fact)
        return event, self._roster.wanting(event, fact.key[0], fact.source) if event else ()

    def _add(self, batch: Batch, fact: Fact, to: Addressed, body: bytes) -> str:
        now, disabled, has_limited = batch.now, self._tally.disabled, bool(self._roster.limited)
        event_id, key = self._new_id(now), self._tally.next_event
        self._tally.next_event += 1
        self._tally.shed += len(to.spent)
        batch.events.append((key, event_id, to.event, now, _traceparent(fact), body, fact.source))
        for endpoint in to.endpoints:
            row = (key, endpoint, *fact.key, now)
            limited = self._limited_for(endpoint, fact) if has_limited else None
            if endpoint in disabled or endpoint in to.spent:
                batch.cancelled.append(
                    (*row, *_limits_of(to.event, limited or DURABLE), endpoint in to.spent)
                )
                continue
            self._tally.hold(endpoint, 1, len(body))
            if limited is None:
                batch.due.append(row)
            else:
                batch.limited.append((*row, *_limits_of(to.event, limited)))
        return event_id

    def _limited_for(self, endpoint: str, fact: Fact) -> Terms | None:
        """An ephemeral endpoint is owed a notice as any other is: that its neighbour is down is no typing."""
        terms = self._roster.limited.get(endpoint)
        return None if terms and terms.is_ephemeral and isinstance(fact, Notice) else terms

    def _lacking(self, rows: int, batch: Batch, fact: Fact) -> Limit | None:
        """The limit that forbids so many rows more, when all that may be given up for them has been."""
        if isinstance(fact, Notice):  # as above
            return None
        self._insert(batch)  # what it supersedes makes room, and what it adds may be given up again
        room = batch.room = self._room()
        if room.lacks(rows) and self._endings.shed(rows - room.rows, 1 - room.body_bytes, batch.now):
            batch.room = self._room()
        return batch.room.lacks(rows)

    def _room(self) -> Room:
        return Room.left(self._limits, self._tally)

    def _note_shortage(self, refused: Shortage | None) -> None:
        """At a limit, with nothing to give up, the next event would be refused: better said before it is."""
        limit = self._room().lacks(1)
        self.shortage = Shortage(limit, 1) if limit and not self._endings.can_shed else refused

    def _insert(self, batch: Batch) -> None:
        self._many(ADD_EVENT, batch.events)
        self._many(ADD_DELIVERY, batch.due)
        for row in batch.limited:
            self._add_limited(row)
        self._many(ADD_CANCELLED, batch.cancelled)
        self._tally.add(State.PENDING, len(batch.due) + len(batch.limited))
        self._tally.add(State.CANCELLED, len(batch.cancelled))
        for rows_in in (batch.events, batch.due, batch.limited, batch.cancelled):
            rows_in.clear()

    def _add_limited(self, row: Row) -> None:
        _, endpoint, gateway, session_id, now, _, weight, _ = row
        if weight is not None:
            self._endings.supersede(endpoint, (gateway, session_id), weight, now)
        self._connection.execute(ADD_LIMITED, row)

    def _audit(self, broadcasts: Sequence[Broadcast]) -> None:
        self._many(ADD_AUDIT, [_audit_row(broadcast) for broadcast in broadcasts])
        self._tally.audit_rows += len(broadcasts)

    def _many(self, statement: str, rows: Sequence[Row]) -> None:
        if rows:
            self._connection.executemany(statement, rows)


def _step(fact: Transition, *, is_refused: bool) -> Step:
    """A refused transition leaves the state as trackers know it: an open session is still closed at the next start."""
    return Step(fact.key, fact.guest_id, fact.source, None if is_refused else fact.state.value, 1)


def _limits_of(event: str, terms: Terms) -> Row:
    """Class, weight and life of a delivery."""
    return terms.delivery_class.value, weight(event) if terms.is_ephemeral else None, terms.life_ms


def _body(fact: Fact, event: str, number: int | None) -> bytes:
    return wire.dumps({"type": event, "timestamp": _stamp(fact.at), "data": event_data(fact, number)})


def _traceparent(fact: Fact) -> str | None:
    return None if isinstance(fact, Suppressed | Notice) else fact.traceparent


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
