"""What any outbox store promises, and the values that cross its door.

    fact ──append──► event + one delivery per endpoint that wants it + audit row      one commit
                          │
             ┌──claim──── pending ◄───────────────┐
             ▼                                    │
          inflight ──settle──► delivered │ retry ─┘ │ dead letter ──replay──► pending

The conformance suite (`tests/conformance/outbox_store.py`) is written against this page: a second store is done
when it passes. Every method belongs to the event loop's thread.
"""

from asyncio import Future
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from relay.core.delivery import Filter, State, Trigger
from relay.core.endpoint import Standing, Turn
from relay.core.engagement import Fact
from relay.core.indicator import SessionKey
from relay.core.moments import Ms, UnixMs
from relay.core.terms import Terms
from relay.outbox.rows import (
    Attempt,
    AttemptRow,
    AttemptSelection,
    AuditRow,
    AuditSelection,
    DeliveryRow,
    Depth,
    EndpointRow,
    EventRow,
    Fate,
    Found,
    Kept,
    OpenSession,
    Pick,
    Purged,
    Replayed,
    Selection,
)


def _nothing(*_: object) -> None:
    """What a listener does unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Plain callables for metrics; called on the event loop's thread, and expected to return at once."""

    on_attempt: Callable[[str, str, Ms], None] = _nothing
    """(endpoint, `delivered` or a `Failure`, latency)"""
    on_commit: Callable[[int, Ms], None] = _nothing
    """(writes that shared the commit, how long it took)"""
    on_refused: Callable[[str], None] = _nothing
    """(`queue_full`, `rows_full`, `bytes_full`, `disk_full`, `write_failed`): one fact was not recorded"""
    on_lane_failure: Callable[[str], None] = _nothing
    """(endpoint): its lane met something nobody foresaw and was started again"""
    on_endpoint_disabled: Callable[[str], None] = _nothing
    """(endpoint): it is sent nothing any more, until it is resumed; not told again at the next start"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One fact is on disk. `event_id` is None where no endpoint wants it; only a transition has a `sequence`.

    `endpoints` are those that have a delivery of it waiting.
    """

    event_id: str | None
    sequence: int | None
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Want:
    """What a lane can take now: at most `most` deliveries, of which at most `most_retries` were tried before.

    One with a life of its own is `expired` where less than `least_life_ms` is left of it. `held` are on their way in
    this process: they are not given again, whatever has become of their leases, but have those renewed.
    """

    endpoint: str
    most: int
    most_retries: int
    lease_ms: Ms
    least_life_ms: UnixMs = 0
    held: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Lease:
    """One delivery, ours alone until the lease ends. `claim` is the key that settles it; nobody else has it.

    `number` counts every attempt ever made; `attempts` those of the present budget, this one included.
    `is_unordered`: it overtook an earlier one of its session that has failed for more than ten minutes. It is not to
    be sent once `expires_at` has come.
    """

    delivery_id: int
    claim: int
    endpoint: str
    event_id: str
    event_type: str
    key: SessionKey
    body: bytes
    traceparent: str | None
    number: int
    attempts: int
    trigger: Trigger
    is_unordered: bool = False
    expires_at: UnixMs | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """`next_due` is when something else of this endpoint may be claimed; it may be past, None means nothing waits."""

    leases: tuple[Lease, ...]
    next_due: UnixMs | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a leased delivery. `due` is meant where `state` is PENDING.

    `turn`: with this attempt the endpoint's circuit opened, is still open, or closed.
    """

    lease: Lease
    attempt: Attempt
    state: State
    due: UnixMs | None = None
    disables_endpoint: bool = False
    turn: Turn | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """`is_ours` is False where the lease had ended: nothing was changed. `releases_next`: the session's next has a due.

    `disables`: the endpoint was disabled by this, and why. `wakes`: those that have an operational event of it waiting.
    """

    is_ours: bool
    releases_next: bool = False
    disables: str | None = None
    wakes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LastLife:
    """What the process before us left. `alive_until` is its last mark: how long it said it may send; None if unknown.

    `was_clean`: it said goodbye, so `alive_until` is exact. Otherwise it is an estimate: a process that could not
    write its marks any more, on a full disk, went on sending past it.
    """

    alive_until: UnixMs | None
    was_clean: bool


class OutboxStore(Protocol):
    """Durable facts and their deliveries. Raises Unavailable where the medium will not take a write now."""

    on_work: Callable[[frozenset[str]], None]
    """Told, on the loop, which endpoints have something new to claim; nobody, until it is set."""

    @property
    def last_life(self) -> LastLife:
        """As found when the store was opened."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why nothing can be recorded now, or None."""
        ...

    def append(self, fact: Fact) -> Future[Recorded]:
        """Resolves once the fact, its event, its deliveries and its audit row are durable: all or none.

        Commits keep the order of the calls. A transition gets its session's next `sequence`; one that is refused
        for lack of room uses its number up all the same. Raises OutboxFull at once where too much already waits;
        the future raises OutboxFull where the depth limit is reached, Unavailable where the write failed.
        """
        ...

    async def claim(self, want: Want) -> Claimed:
        """Leases what is due, retries first; of one endpoint and session never two at once, but for those overtaken."""
        ...

    async def settle(self, settlement: Settlement) -> Settled:
        """Ends a lease and records its attempt, durably."""
        ...

    async def replay_all(self, deliveries: tuple[int, ...], state: State) -> Replayed:
        """`replay` for those still in `state`, in one commit. Order is that of the deliveries.

        Those of endpoints nothing is sent to stay. Raises OutboxFull, and replays none, past the depth limit.
        """
        ...

    async def purge(self, deliveries: tuple[int, ...], state: State | None) -> Purged:
        """Forgets deliveries still in `state`, or in any where it is None, with all that hangs on them, in one commit.

        One on its way goes when it has landed, however it lands, also over a restart; it is not tried again.
        """
        ...

    async def purge_audit(self, rows: tuple[int, ...]) -> int:
        """Forgets rows of the audit, in one commit."""
        ...

    async def forget_guests(self, sessions: tuple[int, ...]) -> int:
        """Forgets who the guests of these sessions were; their numbers go on."""
        ...

    async def replay(self, delivery_id: int) -> bool:
        """Gives a delivery that has ended a new budget; False where there is none such. Id and bytes stay.

        Raises Rejected where its endpoint is disabled, or not configured any more: it would be cancelled again, or
        wait for ever. Raises OutboxFull at the depth limit; a dead letter has its room already.
        """
        ...

    async def pause(self, endpoint: str) -> bool:
        """Marks it as one that is sent nothing, durably; what is recorded for it waits. False where it was not active."""
        ...

    async def resume(self, endpoint: str) -> Standing:
        """Lets a paused or disabled one have deliveries again, and what was cancelled be replayed; what it was."""
        ...

    async def hurry(self, endpoint: str, *, most: int) -> int:
        """Makes at most so many that wait for a later attempt due now, in one commit, each with a new budget; how many.

        A session's order stays: one that was to be overtaken later goes first after all.
        """
        ...

    def address(self, filters: Mapping[str, Filter], terms: Mapping[str, Terms]) -> None:
        """Facts appended from now on are for these endpoints, on these terms; what was appended before is not touched."""
        ...

    async def mark_alive(self, until: UnixMs) -> None:
        """Tells the next process that this one may send until `until`. Where marks fail, it sends on all the same."""
        ...

    async def clock_fell(self, by_ms: UnixMs) -> None:
        """The wall clock was set back by so much: what is due later than now is due so much earlier, lives end so."""
        ...

    async def sweep(self) -> bool:
        """Drops one slice of what is past its retention; True where there is more."""
        ...

    async def open_sessions(self, *, limit: int) -> list[OpenSession]: ...

    async def deliveries(self, selection: Selection) -> list[DeliveryRow]: ...

    async def delivery(self, delivery_id: int) -> tuple[DeliveryRow, bytes] | None:
        """With its event's body."""
        ...

    async def attempts(self, delivery_id: int) -> list[AttemptRow]: ...

    async def endpoints_attempts(self, selection: AttemptSelection) -> list[AttemptRow]: ...

    async def picked(self, pick: Pick, *, after: int, most: int) -> Found:
        """A part of the dead letters asked for, oldest first, from `after` (0 at first) on."""
        ...

    async def of_session(
        self, kept: Kept, session: str, gateway: str | None, *, below: int | None, most: int
    ) -> Found:
        """A part of a session's rows, newest first, below `below` (None at first). No gateway: in any."""
        ...

    async def event(self, event_id: str, recorded_at: UnixMs) -> tuple[EventRow, list[Fate]] | None:
        """An event by its id and the time in it, and what became of it at each endpoint that wanted it."""
        ...

    async def audit(self, selection: AuditSelection) -> list[AuditRow]: ...

    async def endpoints(self) -> list[EndpointRow]:
        """Every endpoint that anything was ever sent to, or that was paused; by name."""
        ...

    async def waiting(self) -> dict[str, int]:
        """How many deliveries each endpoint has that are not yet made; none is left out but those with none."""
        ...

    async def depth(self) -> Depth: ...

    async def close(self, *, is_clean: bool) -> None:
        """Commits what was appended, gives every lease back and lets go of the medium."""
        ...
