"""What becomes of events once they are read: known before? within the rate? then applied, remembered and counted.

There is no await between looking for an id and remembering it, so the same event on two connections has one effect.
Used by every door events come through: requests and streams.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from relay.core.activity import Accepted, Activity
from relay.core.indicator import Address
from relay.core.moments import Ms
from relay.errors import Rejected
from relay.ingest.accounts import Accounts
from relay.ingest.credentials import Caller
from relay.ingest.events import Awake, CheckAddress, Event, Reading
from relay.ingest.orders import BroadcastRequest, BroadcastResult
from relay.ingest.refusals import BadField, rejected
from relay.ingest.tickets import bind
from relay.observe.metrics import Metrics, Tally
from relay.observe.series import EVENTS


class Taken(NamedTuple):
    """The answer's three numbers."""

    accepted: int
    duplicates: int
    stale: int


DUPLICATE = Taken(0, 1, 0)


@dataclass(frozen=True, slots=True)
class Beyond:
    """What stands behind the doors, as plain callables.

    `accept` applies all of its activities or none; it and `broadcast` raise Rejected, TooSoon or Unavailable. The
    place of a problem found by `accept` begins with the activity's index where there is more than one.
    """

    gateways: tuple[str, ...]
    check_address: CheckAddress
    awake: Awake
    accept: Callable[[Sequence[Activity]], Accepted]
    broadcast: Callable[[BroadcastRequest], Awaitable[BroadcastResult]]


class Intake:
    """Raises Rejected (403, 422, 429) or Unavailable, and then nothing was applied and no id is remembered."""

    def __init__(
        self, accounts: Accounts, beyond: Beyond, *, metrics: Metrics, now: Callable[[], Ms]
    ) -> None:
        self._accounts = accounts
        self._reading = Reading(beyond.gateways, beyond.check_address, beyond.awake)
        self._accept = beyond.accept
        self._now = now
        self._metrics = metrics
        self._tallies: dict[str, tuple[Tally, Tally, Tally]] = {}

    def gateway_for(self, named: str | None, address: Address) -> str:
        """The gateway `named`, if it is one and the address will do for it."""
        try:
            return self._reading.gateway_for(named, address)
        except BadField as why:
            raise rejected([(why.place, why.words)]) from None

    def activity(self, caller: Caller, event: Event) -> Activity:
        """What one event of this caller says. Look at its `id` afterwards: a ticket's is bound to it."""
        if caller.ticket is not None:
            bind(event, caller.ticket)
        try:
            return self._reading.activity(event, caller.source, caller.gateway)
        except BadField as why:
            raise rejected([(why.place, why.words)]) from None

    def activities(self, caller: Caller, events: Sequence[Event]) -> list[Activity]:
        """As `activity`, for each."""
        if caller.ticket is not None:
            for event in events:
                bind(event, caller.ticket)
        return self._reading.activities(events, caller.source, caller.gateway)

    def one(self, activity: Activity, event_id: str | None) -> Taken:
        source, now = activity.source, self._now()
        seen = self._accounts[source].ids
        if event_id is not None and seen.has(event_id, now):
            return self.counted(source, DUPLICATE)
        accepted, stale = self._accept((activity,))
        if event_id is not None:
            seen.remember((event_id,), now)
        return self.counted(source, Taken(accepted, 0, stale))

    def all(self, source: str, activities: Sequence[Activity], ids: Sequence[str | None]) -> Taken:
        """All of them or none; `ids` are those of their events, in the same order."""
        count, now = len(activities), self._now()
        seen = self._accounts[source].ids
        fresh = seen.fresh(ids, now)
        if len(fresh) < count:
            activities = [activities[position] for position in fresh]
            ids = [ids[position] for position in fresh]
        accepted, stale = self._applied(activities, fresh)
        seen.remember(ids, now)
        return self.counted(source, Taken(accepted, count - len(fresh), stale))

    def counted(self, source: str, told: Taken) -> Taken:
        accepted, duplicates, stale = self._tallies.get(source) or self._bound(source)
        accepted.value += told.accepted
        duplicates.value += told.duplicates
        stale.value += told.stale
        return told

    def _bound(self, source: str) -> tuple[Tally, Tally, Tally]:
        """The tallies of a source, bound on first use: sources are few and fixed."""
        bind = self._metrics.counter
        bound = (
            bind(EVENTS, source, "accepted"),
            bind(EVENTS, source, "duplicate"),
            bind(EVENTS, source, "stale"),
        )
        self._tallies[source] = bound
        return bound

    def _applied(self, activities: Sequence[Activity], fresh: Sequence[int]) -> Accepted:
        try:
            return self._accept(activities) if activities else Accepted(0)
        except Rejected as why:
            raise _placed(why, fresh) from why


def ids_of(events: Sequence[Event]) -> list[str | None]:
    return [event.get("id") for event in events]


def _placed(why: Rejected, fresh: Sequence[int]) -> Rejected:
    """Behind the door duplicates are gone: an index there is put back to its place in what was posted."""

    def placed(place: str) -> str:
        index, dot, rest = place.partition(".")
        return f"{fresh[int(index)]}{dot}{rest}" if index.isdecimal() and int(index) < len(fresh) else place

    return Rejected(
        why.status,
        why.title,
        why.detail,
        problems=tuple((placed(place), words) for place, words in why.problems),
        retry_after_s=why.retry_after_s,
    )
