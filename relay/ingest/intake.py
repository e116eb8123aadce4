"""What becomes of events once they are read: known before? within the rate? then applied, remembered and counted.

There is no await between looking for an id and remembering it, so the same event on two connections has one effect.
Used by every door events come through: requests and streams.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from relay import wire
from relay.core.activity import Accepted, Activity
from relay.core.indicator import Address
from relay.core.moments import Ms
from relay.errors import Rejected
from relay.ingest.accounts import Accounts
from relay.ingest.credentials import Caller
from relay.ingest.events import CheckAddress, Event, EventReader, Reading
from relay.ingest.orders import BroadcastRequest, BroadcastResult
from relay.ingest.plain import Awake, Batch
from relay.ingest.refusals import BadField, rejected, too_many_events
from relay.ingest.shares import MOST_EVENTS
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
    place of a problem found by `accept` begins with the activity's index.
    """

    gateways: tuple[str, ...]
    check_address: CheckAddress
    awake: Awake
    accept: Callable[[Sequence[Activity]], Accepted]
    broadcast: Callable[[BroadcastRequest], Awaitable[BroadcastResult]]


class Intake:
    """Raises Rejected (403, 413, 422, 429) or Unavailable, and then nothing was applied and no id is remembered."""

    def __init__(
        self,
        accounts: Accounts,
        beyond: Beyond,
        reader: EventReader,
        *,
        metrics: Metrics,
        now: Callable[[], Ms],
    ) -> None:
        self._reader = reader
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

    def event(self, caller: Caller, body: bytes) -> Batch:
        """What the one event of a body says."""
        return self._unchecked(caller, [self._reader.value(body)]) or self._event(
            caller, self._reader.one(body)
        )

    def array(self, caller: Caller, body: bytes) -> Batch:
        """What the events of a body say that is one array."""
        values = self._reader.values(body)
        short = None if values is None else self._unchecked(caller, values)
        return short or self.batch(caller, self._reader.array(body))

    def frames(self, caller: Caller, frames: Sequence[bytes]) -> Batch:
        """What frames of one event each say. What is wrong with one is told without its place."""
        value, one = self._reader.value, self._reader.one
        short = self._unchecked(caller, [value(frame) for frame in frames])
        return short or self.batch(caller, [one(frame) for frame in frames])

    def batch(self, caller: Caller, events: Sequence[Event]) -> Batch:
        """What events say that are checked already."""
        if caller.ticket is not None:
            if len(events) > MOST_EVENTS:
                raise too_many_events(MOST_EVENTS)
            for event in events:
                bind(event, caller.ticket)
        return self._reading.batch(events, caller.source, caller.gateway)

    def _unchecked(self, caller: Caller, values: Sequence[wire.Json]) -> Batch | None:
        """None where the validator is to see them: always, of a ticket, whose events it binds."""
        if caller.ticket is not None or caller.gateway is None:
            return None
        return self._reading.unchecked(values, caller.source, caller.gateway)

    def _event(self, caller: Caller, event: Event) -> Batch:
        if caller.ticket is not None:
            bind(event, caller.ticket)
        try:
            activity = self._reading.activity(event, caller.source, caller.gateway)
        except BadField as why:
            raise rejected([(why.place, why.words)]) from None
        return Batch([activity], [event.get("id")])

    def one(self, activity: Activity, event_id: str | None) -> Taken:
        source, now = activity.source, self._now()
        seen = self._accounts[source].ids
        if event_id is not None and seen.has(event_id, now):
            return self.counted(source, DUPLICATE)
        accepted, stale = self._applied((activity,))
        if event_id is not None:
            seen.remember((event_id,), now)
        return self.counted(source, Taken(accepted, 0, stale))

    def all(self, source: str, batch: Batch) -> Taken:
        """All of them or none."""
        (activities, ids), now = batch, self._now()
        count = len(ids)
        seen = self._accounts[source].ids
        fresh = seen.fresh(ids, now)
        if len(fresh) < count:
            activities = [activities[position] for position in fresh]
            ids = [ids[position] for position in fresh]
        accepted, stale = self._applied(activities, fresh) if activities else Accepted(0)
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

    def _applied(self, activities: Sequence[Activity], fresh: Sequence[int] | None = None) -> Accepted:
        """`fresh` are their places in what was posted, None for what was posted by itself."""
        try:
            return self._accept(activities)
        except Rejected as why:
            raise placed(why, BY_ITSELF if fresh is None else [str(place) for place in fresh]) from why


BY_ITSELF = ("",)
"""The place of an event that was posted alone: it has none among others."""


def placed(why: Rejected, places: Sequence[str]) -> Rejected:
    """What is told by an event's index among those taken is told by its place in what was posted."""

    def at(told: str) -> str:
        index, dot, rest = told.partition(".")
        if not index.isdecimal() or int(index) >= len(places):
            return told
        place = places[int(index)]
        return f"{place}{dot}{rest}" if place else rest

    return Rejected(
        why.status,
        why.title,
        why.detail,
        problems=tuple((at(told), words) for told, words in why.problems),
        retry_after_s=why.retry_after_s,
    )
