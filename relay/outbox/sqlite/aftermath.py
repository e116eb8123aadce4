"""What an answer means beyond its delivery: the endpoint's record and standing, and who is told of it.

Operational events are recorded in the commit of the settlement that caused them, as any event is, for the endpoints
that ask. Runs inside the writer's transaction; `forget` after one that was undone.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from relay.core.delivery import State
from relay.core.endpoint import Standing
from relay.core.moments import UnixMs
from relay.core.notice import (
    TURNS,
    Hush,
    Kind,
    Notice,
    asking,
    back,
    disabled,
    kind_of_failure,
    said,
    turned,
)
from relay.core.terms import DURABLE
from relay.outbox.sqlite.append import Recorder
from relay.outbox.sqlite.roster import Roster
from relay.outbox.sqlite.standings import Standings, Told
from relay.outbox.store import Recorded, Settlement

GONE = "answered 410 Gone"


class Resumed(NamedTuple):
    """`wakes` have a notice of it waiting."""

    before: Standing
    wakes: tuple[str, ...]


class Aftermath:
    """Books to `standings`, tells through `recorder`."""

    def __init__(
        self, recorder: Recorder, standings: Standings, roster: Roster, *, wall: Callable[[], UnixMs]
    ) -> None:
        self._wall = wall
        self._recorder = recorder
        self._standings = standings
        self._roster = roster
        self._hush = Hush()
        self._turned_here: set[str] = set()

    def of(
        self, settlement: Settlement, now: UnixMs, *, first_at: Callable[[], UnixMs | None], is_kept: bool
    ) -> tuple[str | None, tuple[str, ...]]:
        """(why the endpoint was disabled by it, the endpoints that have a notice of it waiting).

        `first_at` finds the first attempt of the budget; of what is not kept nothing is told but of its endpoint.
        """
        disables = self._booked(settlement, now)
        news = [*self._of_the_endpoint(settlement, disables, now)]
        if is_kept:
            news += self._of_the_message(settlement, first_at, now)
        return disables, tuple(name for notice in news for name in self._tell(notice))

    def resume(self, endpoints: Sequence[str]) -> list[Resumed]:
        """A kind of write: what each was, and who is told that it is sent something again."""
        return [self._resume(endpoint, self._wall()) for endpoint in endpoints]

    def _resume(self, endpoint: str, now: UnixMs) -> Resumed:
        told = self._standings.told(endpoint, now)
        before = self._standings.resume(endpoint, now)
        if before is not Standing.DISABLED or told is None or told.kind is not Kind.DISABLED:
            return Resumed(before, ())
        return Resumed(before, self._tell(back(endpoint, "resumed by its operator", told.since, now)))

    def forget(self) -> None:
        self._hush.forget()

    def _booked(self, settlement: Settlement, now: UnixMs) -> str | None:
        endpoint = settlement.lease.endpoint
        if settlement.disables_endpoint:
            return GONE if self._standings.disable(endpoint, GONE, now) else None
        match settlement.state:
            case State.DELIVERED:
                self._standings.succeeded(endpoint, now)
            case State.EXHAUSTED | State.EXPIRED:  # an ephemeral one has no other way to spend its attempts
                terms = self._roster.terms.get(endpoint, DURABLE)
                return self._standings.exhausted(endpoint, now, terms.patience)
            case _:
                self._standings.used(endpoint, now)
        return None

    def _of_the_endpoint(self, settlement: Settlement, disables: str | None, now: UnixMs) -> Iterator[Notice]:
        endpoint = settlement.lease.endpoint
        if settlement.turn:
            self._turned_here.add(endpoint)
            yield turned(endpoint, settlement.turn, now)
        elif settlement.state is State.DELIVERED and endpoint not in self._turned_here:
            yield from self._of_an_earlier_life(endpoint, now)
        if disables:
            yield disabled(endpoint, disables, self._standings.last_success(endpoint, now), now)

    def _of_an_earlier_life(self, endpoint: str, now: UnixMs) -> Iterator[Notice]:
        """Its circuit was open when that ended, and began closed in this one: no turn of it will say that it is well."""
        told = self._standings.told(endpoint, now)
        if told is not None and told.kind is Kind.DEGRADED:
            yield back(endpoint, "the first delivery since the relay's start succeeded", told.since, now)

    def _of_the_message(
        self, settlement: Settlement, first_at: Callable[[], UnixMs | None], now: UnixMs
    ) -> Iterator[Notice]:
        lease, attempt = settlement.lease, settlement.attempt
        kind = kind_of_failure(lease.event_type, settlement.state, lease.attempts)
        if attempt.failure and kind:
            yield Notice(
                kind,
                lease.endpoint,
                said(attempt.status, attempt.failure),
                first_at() or attempt.started_at,
                now,
                attempts=lease.attempts,
                event_id=lease.event_id,
                event_type=lease.event_type,
            )

    def _tell(self, notice: Notice) -> tuple[str, ...]:
        """None where nobody asks, or the like was told within the hour."""
        if not asking(self._roster.filters, notice):
            return ()
        told = self._standings.told(notice.endpoint, notice.at)
        if told is not None:
            self._hush.turned.setdefault(notice.endpoint, told.kind)
        passed = self._hush.passed(notice)
        if passed is None:
            return ()
        if passed.kind in TURNS:
            self._standings.tell(passed.endpoint, Told(passed.kind, passed.since), passed.at)
        (recorded,) = self._recorder.append([passed])
        return recorded.endpoints if isinstance(recorded, Recorded) else ()
