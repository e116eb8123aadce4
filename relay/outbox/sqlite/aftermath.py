"""What an answer means beyond its delivery: the endpoint's record and standing, and who is told of it.

Operational events are recorded in the commit of the settlement that caused them, as any event is, for the endpoints
that ask. Runs inside the writer's transaction; `forget` after one that was undone.
"""

from collections.abc import Callable, Iterator

from relay.core.delivery import State
from relay.core.moments import UnixMs
from relay.core.notice import Hush, Notice, asking, disabled, kind_of_failure, said, turned
from relay.outbox.sqlite.append import Recorder
from relay.outbox.sqlite.roster import Roster
from relay.outbox.sqlite.standings import Standings
from relay.outbox.store import Recorded, Settlement

GONE = "answered 410 Gone"


class Aftermath:
    """Books to `standings`, tells through `recorder`."""

    def __init__(self, recorder: Recorder, standings: Standings, roster: Roster) -> None:
        self._recorder = recorder
        self._standings = standings
        self._roster = roster
        self._hush = Hush()

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
                return self._standings.exhausted(endpoint, now)
            case _:
                self._standings.used(endpoint, now)
        return None

    def _of_the_endpoint(self, settlement: Settlement, disables: str | None, now: UnixMs) -> Iterator[Notice]:
        endpoint = settlement.lease.endpoint
        if settlement.turn:
            yield turned(endpoint, settlement.turn, now)
        if disables:
            yield disabled(endpoint, disables, self._standings.last_success(endpoint, now), now)

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
        passed = self._hush.passed(notice)
        if passed is None:
            return ()
        (recorded,) = self._recorder.append([passed])
        return recorded.endpoints if isinstance(recorded, Recorded) else ()
