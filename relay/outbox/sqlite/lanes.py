"""Deliveries move: claimed under a lease, settled by its key, given back.

Runs inside the writer's transaction. The invariant all of it keeps: of the live deliveries of one endpoint and
session that are not overtaken, at most one has a `due`, and there is one unless there are none such.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import apsw

from relay.core.delivery import LIVE, State, Trigger, overtaken_at
from relay.core.moments import UnixMs
from relay.core.terms import DURABLE, Weight, least_superseding
from relay.outbox.sqlite.aftermath import Aftermath
from relay.outbox.sqlite.drop import drop
from relay.outbox.sqlite.endings import RELEASE_NEXT, Endings, Live
from relay.outbox.sqlite.roster import Roster
from relay.outbox.sqlite.tally import ATTEMPT_ROW_BYTES, Row, Tally
from relay.outbox.store import Claimed, Lease, Settled, Settlement, Want

LEAST_SUPERSEDING = " ".join(f"WHEN {one.value} THEN {least_superseding(one).value}" for one in Weight)
# A newer event of the session took its place while it was in flight.
IS_STALE = f"""
    (d.weight IS NOT NULL AND d.trigger = 'schedule' AND EXISTS (
        SELECT 1 FROM deliveries AS n
        WHERE n.endpoint = d.endpoint AND n.gateway = d.gateway AND n.session_id = d.session_id
          AND n.finished_at IS NULL AND n.id > d.id AND n.weight >= CASE d.weight {LEAST_SUPERSEDING} END
    ))
"""  # noqa: S608 - numbers of our own
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
RENEW = "UPDATE deliveries SET due = ? WHERE id = ?"
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
VOID_LEASES = """
    UPDATE deliveries SET state = 'pending', claim = NULL, due = ?
    WHERE id IN (SELECT id FROM deliveries INDEXED BY deliveries_due WHERE due IS NOT NULL AND claim IS NOT NULL)
"""
# Overtaken ones have a due later than that of their overtaking. `expires_at` further off than a whole life is of then.
MOVE_UP = """
    UPDATE deliveries SET due = max(?1, due - ?2), overtaken_at = CASE
        WHEN overtaken_at > ?1 THEN max(?1, overtaken_at - ?2) ELSE overtaken_at END
    WHERE due > ?1
"""
SHORTEN = """
    UPDATE deliveries SET expires_at = expires_at - ?2
    WHERE expires_at > ?1 + life_ms AND expires_at IS NOT NULL AND finished_at IS NULL
"""

MOST_ROUNDS = 32
"""Of a claim that meets only what is past: about 20 ms at most, then it asks to be asked again."""


class DueRow(NamedTuple):
    """One of `DUE`'s: those have a due, so the others of its session wait for it unless it is overtaken."""

    delivery_id: int
    state: State
    gateway: str
    session_id: str
    attempts: int
    budget_start: int
    trigger: str
    event_id: str
    event_type: str
    body: bytes
    traceparent: str | None
    is_unordered: int
    overtaken_at: UnixMs | None
    expires_at: UnixMs | None
    is_stale: int

    def live(self, endpoint: str) -> Live:
        is_head, key = self.overtaken_at is None, (self.gateway, self.session_id)
        return Live(self.delivery_id, State(self.state), is_head, endpoint, key, len(self.body))


class Due(NamedTuple):
    """`is_cut`: there was too much of what is past to look behind it."""

    rows: list[DueRow]
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
        bury: Callable[[UnixMs], None],
        wall: Callable[[], UnixMs],
        claims: Iterator[int],
    ) -> None:
        """`bury` purges what has landed unseen; `claims` never gives the same number twice, also not after a restart."""
        self._connection = connection
        self._tally = tally
        self._aftermath = aftermath
        self._endings = endings
        self._roster = roster
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
            asked = (want.endpoint, is_retry, now, most)
            rows = list(map(DueRow._make, self._connection.execute(DUE, asked)))
            held = [row for row in rows if row.state == State.INFLIGHT and row.delivery_id in want.held]
            late = [row for row in rows if row.expires_at is not None and row.expires_at <= soon]
            stale = [row for row in rows if row.is_stale and row not in late]
            if not (held or late or stale):
                return Due(rows)
            self._renew(want, held, now)
            for ended, gone in ((State.EXPIRED, late), (State.SUPERSEDED, stale)):
                self._endings.end([row.live(want.endpoint) for row in gone if row not in held], ended, now)
        return Due([], is_cut=True)

    def _renew(self, want: Want, held: Sequence[DueRow], now: UnixMs) -> None:
        """Their leases ended, and they are on their way: the disk was slow to settle them, or the clock was set."""
        until = now + int(want.lease_ms)
        self._connection.executemany(RENEW, [(until, row.delivery_id) for row in held])

    def _leased(self, endpoint: str, row: DueRow) -> Lease:
        self._tally.move(State(row.state), State.INFLIGHT, endpoint, body_bytes=0)
        return Lease(
            delivery_id=row.delivery_id,
            claim=next(self._claims),
            endpoint=endpoint,
            event_id=row.event_id,
            event_type=row.event_type,
            key=(row.gateway, row.session_id),
            body=row.body,
            traceparent=row.traceparent,
            number=row.attempts + 1,
            attempts=row.attempts + 1 - row.budget_start,
            trigger=Trigger(row.trigger),
            is_unordered=bool(row.is_unordered),
            expires_at=row.expires_at,
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
        self._tally.move(State.INFLIGHT, settlement.state, lease.endpoint, body_bytes=len(lease.body))
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
        free_at = now if due is None else self._overtaken(lease, due, now)
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

    def _overtaken(self, lease: Lease, due: UnixMs, now: UnixMs) -> UnixMs | None:
        """From when on the lane goes on without a delivery that is due again at `due`; None if it waits for it."""
        first_at = self._first_attempt_at(lease)
        assert first_at is not None  # of this budget there is one by now
        after_ms = self._roster.terms.get(lease.endpoint, DURABLE).unordered_after_ms
        free_at = overtaken_at(min(first_at, now), due, after_ms=after_ms)
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

    def clock_fell(self, spans: Sequence[UnixMs]) -> list[None]:
        """A kind of write: by so much the wall clock was set back, and no wait or life is to be longer for it."""
        for span in spans:
            self._connection.execute(MOVE_UP, (self._wall(), span))
            self._connection.execute(SHORTEN, (self._wall(), span))
        return [None] * len(spans)

    def void_leases(self, _: Sequence[None]) -> list[int]:
        """Gives every lease back; the process that held them is gone, or about to be."""
        self._connection.execute(VOID_LEASES, (self._wall(),))
        voided = self._connection.changes()
        self._tally.move(
            State.INFLIGHT, State.PENDING, "", rows=voided, body_bytes=0
        )  # whosever: both are depth
        return [voided]


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
