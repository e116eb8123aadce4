"""Deliveries move: claimed under a lease, settled by its key, replayed, taken off a disabled endpoint.

Runs inside the writer's transaction. The invariant all of it keeps: of the live deliveries of one endpoint and
session that are not overtaken, at most one has a `due`, and there is one unless there are none such.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import apsw

from relay.core.delivery import COUNTS_AS_DEPTH, LIVE, State, Trigger, overtaken_at
from relay.core.moments import UnixMs
from relay.core.terms import DURABLE
from relay.outbox.sqlite.aftermath import Aftermath
from relay.outbox.sqlite.drop import drop
from relay.outbox.sqlite.endings import RELEASE_NEXT, Endings, Live
from relay.outbox.sqlite.room import Limits, NoRoom, Room
from relay.outbox.sqlite.roster import Roster
from relay.outbox.sqlite.tally import ATTEMPT_ROW_BYTES, Row, Tally
from relay.outbox.store import Claimed, Lease, Settled, Settlement, Want

# A newer event of the session took its place while it was in flight. The least weight that supersedes one's own:
# `core.terms.SUPERSEDES`, read backwards.
IS_STALE = """
    (d.weight IS NOT NULL AND d.trigger = 'schedule' AND EXISTS (
        SELECT 1 FROM deliveries AS n
        WHERE n.endpoint = d.endpoint AND n.gateway = d.gateway AND n.session_id = d.session_id
          AND n.finished_at IS NULL AND n.id > d.id AND n.weight >= min(d.weight, 1)
    ))
"""
DUE = f"""
    SELECT d.id, d.state, d.gateway, d.session_id, d.attempts, d.budget_start, d.trigger,
           e.event_id, e.type, e.body, e.traceparent, EXISTS (
               SELECT 1 FROM deliveries AS o
               WHERE o.endpoint = d.endpoint AND o.gateway = d.gateway AND o.session_id = d.session_id
                 AND o.finished_at IS NULL AND o.id < d.id AND o.overtaken_at IS NOT NULL
           ), d.overtaken_at, d.expires_at, {IS_STALE}
    FROM deliveries d JOIN events e ON e.id = d.event
    WHERE d.endpoint = ? AND d.is_retry = ? AND d.due <= ? ORDER BY d.due, d.id LIMIT ?
"""  # noqa: S608 - a condition of our own
STALE = f"SELECT 1 FROM deliveries d WHERE d.id = ? AND {IS_STALE}"  # noqa: S608 - as above
LEASE = "UPDATE deliveries SET state = 'inflight', claim = ?, due = ? WHERE id = ?"
NEXT_DUE = """
    SELECT min(due) FROM (
        SELECT min(due) AS due FROM deliveries WHERE endpoint = ?1 AND is_retry = 0 AND due IS NOT NULL
        UNION ALL
        SELECT min(due) FROM deliveries WHERE endpoint = ?1 AND is_retry = 1 AND due IS NOT NULL
    )
"""
SETTLE = """
    UPDATE deliveries SET state = ?, due = ?, claim = NULL, is_retry = 1, attempts = attempts + 1, finished_at = ?
    WHERE id = ? AND claim = ? RETURNING overtaken_at
"""
FIRST_ATTEMPT_AT = "SELECT started_at FROM attempts WHERE delivery = ? AND number = ?"
OVERTAKE = "UPDATE deliveries SET overtaken_at = ? WHERE id = ?"
ADD_ATTEMPT = "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
REPLAY = """
    UPDATE deliveries AS mine
    SET state = 'pending', finished_at = NULL, claim = NULL, is_retry = 1, trigger = 'replay',
        overtaken_at = NULL, budget_start = attempts, expires_at = ?2 + life_ms, due = CASE WHEN EXISTS (
            SELECT 1 FROM deliveries AS other
            WHERE other.endpoint = mine.endpoint AND other.gateway = mine.gateway
              AND other.session_id = mine.session_id AND other.finished_at IS NULL AND other.overtaken_at IS NULL
        ) THEN NULL ELSE ?2 END
    WHERE id = ?1
"""
ENDED = """
    SELECT d.state, d.endpoint, length(e.body) FROM deliveries d JOIN events e ON e.id = d.event
    WHERE d.id = ? AND d.finished_at IS NOT NULL
"""
VOID_LEASES = """
    UPDATE deliveries SET state = 'pending', claim = NULL, due = ?
    WHERE id IN (SELECT id FROM deliveries INDEXED BY deliveries_due WHERE due IS NOT NULL AND claim IS NOT NULL)
"""

MOST_ROUNDS = 32
"""Of a claim that meets only what is past: about 20 ms at most, then it asks to be asked again."""


class Due(NamedTuple):
    """`is_cut`: there was too much of what is past to look behind it."""

    rows: list[Row]
    is_cut: bool = False


class Lanes:
    """The deliveries of one connection."""

    def __init__(
        self,
        connection: apsw.Connection,
        tally: Tally,
        aftermath: Aftermath,
        endings: Endings,
        roster: Roster,
        *,
        limits: Limits,
        bury: Callable[[UnixMs], None],
        wall: Callable[[], UnixMs],
        claims: Iterator[int],
    ) -> None:
        """`limits` bound what is replayed; `bury` purges what has landed unseen; `claims` never gives the same number twice, also not after a restart."""
        self._connection = connection
        self._tally = tally
        self._aftermath = aftermath
        self._endings = endings
        self._roster = roster
        self._limits = limits
        self._bury_doomed = bury
        self._wall = wall
        self._claims = claims

    def claim(self, wants: Sequence[Want]) -> list[Claimed]:
        return [self._claim(want) for want in wants]

    def _claim(self, want: Want) -> Claimed:
        now = self._wall()
        if self._tally.doomed:
            self._bury_doomed(now)
        retries = self._due(want, is_retry=1, most=want.most_retries, now=now)
        fresh = self._due(want, is_retry=0, most=want.most - len(retries.rows), now=now)
        leases = [self._leased(want.endpoint, row) for row in (*retries.rows, *fresh.rows)]
        until = now + int(want.lease_ms)
        self._connection.executemany(LEASE, [(lease.claim, until, lease.delivery_id) for lease in leases])
        next_due = self._connection.execute(NEXT_DUE, (want.endpoint,)).get
        is_cut = retries.is_cut or fresh.is_cut
        return Claimed(tuple(leases), now + 1 if is_cut else next_due)

    def _due(self, want: Want, *, is_retry: int, most: int, now: UnixMs) -> Due:
        """What is due and worth sending. What is too old, or was superseded, ends here, and what it held back is due."""
        if most <= 0:
            return Due([])
        soon = now + want.least_life_ms
        for _ in range(MOST_ROUNDS):
            rows: list[Row] = self._connection.execute(DUE, (want.endpoint, is_retry, now, most)).fetchall()
            late = [_live(want.endpoint, row) for row in rows if row[-2] is not None and row[-2] <= soon]
            stale = [_live(want.endpoint, row) for row in rows if row[-1] and row[-2] > soon]
            if not late and not stale:
                return Due(rows)
            self._endings.end(late, State.EXPIRED, now)
            self._endings.end(stale, State.SUPERSEDED, now)
        return Due([], is_cut=True)

    def _leased(self, endpoint: str, row: Row) -> Lease:
        (
            delivery_id,
            state,
            gateway,
            session_id,
            attempts,
            start,
            trigger,
            event_id,
            kind,
            body,
            trace,
            *rest,
        ) = row
        is_unordered, _, expires_at, _ = rest
        self._tally.move(State(state), State.INFLIGHT, body_bytes=0)
        return Lease(
            delivery_id=delivery_id,
            claim=next(self._claims),
            endpoint=endpoint,
            event_id=event_id,
            event_type=kind,
            key=(gateway, session_id),
            body=body,
            traceparent=trace,
            number=attempts + 1,
            attempts=attempts + 1 - start,
            trigger=Trigger(trigger),
            is_unordered=bool(is_unordered),
            expires_at=expires_at,
        )

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return [self._settle(settlement) for settlement in settlements]

    def _settle(self, settlement: Settlement) -> Settled:
        settlement = self._unless_superseded(settlement)
        lease, now = settlement.lease, self._wall()
        is_live = settlement.state in LIVE
        due, finished_at = (settlement.due or now, None) if is_live else (None, now)
        row = (settlement.state.value, due, finished_at, lease.delivery_id, lease.claim)
        found: list[Row] = self._connection.execute(SETTLE, row).fetchall()
        if not found:
            return Settled(is_ours=False)
        ((overtaken,),) = found
        self._tally.move(State.INFLIGHT, settlement.state, body_bytes=len(lease.body))
        is_doomed = lease.delivery_id in self._tally.doomed
        disables, wakes = self._aftermath.of(
            settlement, now, first_at=lambda: self._first_attempt_at(lease), is_kept=not is_doomed
        )
        if is_doomed:
            releases_next = self._bury(lease, now, is_overtaken=overtaken is not None)
            return Settled(True, releases_next, disables, wakes)  # noqa: FBT003 - as below
        self._connection.execute(ADD_ATTEMPT, _attempt_row(settlement))
        self._tally.attempts_bytes += ATTEMPT_ROW_BYTES + len(settlement.attempt.excerpt)
        if overtaken is not None:  # the others have gone on without it
            return Settled(is_ours=True, disables=disables, wakes=wakes)
        free_at = now if due is None else self._overtaken(lease, due)
        releases_next = free_at is not None and self._release_next(lease, max(now, free_at))
        return Settled(True, releases_next, disables, wakes)  # noqa: FBT003 - is ours, and what it brought

    def _bury(self, lease: Lease, now: UnixMs, *, is_overtaken: bool) -> bool:
        """It was purged while it was on its way: however it went, it has landed and nothing of it is kept."""
        drop(self._connection, self._tally, [lease.delivery_id])
        return not is_overtaken and self._release_next(lease, now)

    def _unless_superseded(self, settlement: Settlement) -> Settlement:
        """An ephemeral one is not tried again where something newer of its session already waits."""
        lease = settlement.lease
        if settlement.state is not State.PENDING or lease.expires_at is None:
            return settlement
        if self._connection.execute(STALE, (lease.delivery_id,)).get is None:
            return settlement
        return replace(settlement, state=State.SUPERSEDED, due=None)

    def _overtaken(self, lease: Lease, due: UnixMs) -> UnixMs | None:
        """From when on the lane goes on without a delivery that is due again at `due`; None if it waits for it."""
        first_at = self._first_attempt_at(lease)
        assert first_at is not None  # of this budget there is one by now
        after_ms = self._roster.terms.get(lease.endpoint, DURABLE).unordered_after_ms
        free_at = overtaken_at(first_at, due, after_ms=after_ms)
        if free_at is not None:
            self._connection.execute(OVERTAKE, (free_at, lease.delivery_id))
        return free_at

    def _first_attempt_at(self, lease: Lease) -> UnixMs | None:
        first = (lease.delivery_id, lease.number - lease.attempts + 1)
        found: UnixMs | None = self._connection.execute(FIRST_ATTEMPT_AT, first).get
        return found

    def _release_next(self, lease: Lease, at: UnixMs) -> bool:
        self._connection.execute(RELEASE_NEXT, (at, lease.endpoint, *lease.key))
        return self._connection.changes() > 0

    def replay(self, delivery_ids: Sequence[int]) -> list[str | NoRoom | None]:
        """The endpoint of each delivery that waits again now; None for one that is not there or has not ended."""
        return [self._replay(delivery_id) for delivery_id in delivery_ids]

    def _replay(self, delivery_id: int) -> str | NoRoom | None:
        found: list[Row] = self._connection.execute(ENDED, (delivery_id,)).fetchall()
        return self._lacking(found) or next((self._wait_again(delivery_id, row) for row in found), None)

    def replay_slices(self, slices: Sequence[tuple[tuple[int, ...], State]]) -> list[list[str] | NoRoom]:
        """Of each slice the endpoints of those that waited in its state, and wait again now; one for each delivery."""
        return [self._replay_slice(deliveries, state) for deliveries, state in slices]

    def _replay_slice(self, deliveries: Sequence[int], state: State) -> list[str] | NoRoom:
        looked_at = [(one, self._connection.execute(ENDED, (one,)).fetchall()) for one in deliveries]
        found = [(one, row) for one, rows in looked_at for row in rows if row[0] == state]
        return self._lacking([row for _, row in found]) or [self._wait_again(*one) for one in found]

    def _lacking(self, rows: Sequence[Row]) -> NoRoom | None:
        """Whole or not at all. A dead letter has its room already, and what is lighter makes none for what is old."""
        more = sum(State(state) not in COUNTS_AS_DEPTH for state, *_ in rows)
        limit = Room.left(self._limits, self._tally).lacks(more) if more else None
        return NoRoom(self._limits.words(limit), limit) if limit else None

    def _wait_again(self, delivery_id: int, row: Row) -> str:
        state, endpoint, body_bytes = row
        self._connection.execute(REPLAY, (delivery_id, self._wall()))
        self._tally.move(State(state), State.PENDING, body_bytes=body_bytes)
        return str(endpoint)

    def void_leases(self, _: Sequence[None]) -> list[int]:
        """Gives every lease back; the process that held them is gone, or about to be."""
        self._connection.execute(VOID_LEASES, (self._wall(),))
        voided = self._connection.changes()
        self._tally.move(State.INFLIGHT, State.PENDING, rows=voided, body_bytes=0)
        return [voided]


def _live(endpoint: str, row: Row) -> Live:
    """One of `DUE`'s rows: those have a due, so the others wait for it unless they have gone on without it."""
    delivery_id, state, gateway, session_id, *rest = row
    return Live(delivery_id, State(state), rest[-3] is None, endpoint, (gateway, session_id), len(rest[5]))


def _attempt_row(settlement: Settlement) -> Row:
    lease, attempt = settlement.lease, settlement.attempt
    return (
        lease.delivery_id,
        lease.number,
        lease.trigger.value,
        attempt.started_at,
        attempt.status,
        attempt.failure.value if attempt.failure else None,
        attempt.headers_ms,
        attempt.total_ms,
        attempt.excerpt,
    )
