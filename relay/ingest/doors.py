"""The public doors: what is asked where, by whom, and what comes of it.

    request ─► meant for us? ─► which door? ─► who? ─► form, size, time ─► fields ─► seen before? ─► accept ─► 202
               hosts            404, 405       credentials  body             events    seen           (flow)

A table of two paths on aiohttp's low-level server: its router and `Application` would be a seventh of an event's
price, for names we can look up in a dictionary. There is no await between looking for an id and remembering it
(`_taken_one`, `_taken_all`), so the same event on two connections has one effect.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import hdrs, web

from relay.core.activity import Accepted, Activity
from relay.core.moments import Ms, UnixMs
from relay.errors import Rejected, Unavailable
from relay.ingest.answers import Receipt, refusal, reply
from relay.ingest.body import Form, arrived, form_of, read_body
from relay.ingest.credentials import Caller, Credentials
from relay.ingest.events import CheckAddress, Event, EventReader, Reading
from relay.ingest.hosts import HostRule
from relay.ingest.orders import BroadcastRequest, BroadcastResult, address_of, read_order, request_of
from relay.ingest.refusals import BadField, WrongMethod, rejected, too_large
from relay.ingest.seen import Seen
from relay.observe.metrics import Metrics, Tally
from relay.observe.series import EVENTS, FORGOTTEN_IDS, REFUSED_REQUESTS
from relay.settings.models import Server, Settings

WRITE = "events:write"
_ONLY_JSON = frozenset({Form.JSON})
_DRAINING_RETRY_S = 5.0  # a restart takes ten at most; most of it is over by then


class Taken(NamedTuple):
    """The answer's three numbers."""

    accepted: int
    duplicates: int
    stale: int


_DUPLICATE = Taken(0, 1, 0)
_SINGLES = (Taken(1, 0, 0), _DUPLICATE, Taken(0, 0, 1))
"""Everything that can become of one event; anything else is answered the long way."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """What stands behind the doors, as plain callables.

    `accept` applies all of its activities or none; it and `broadcast` raise Rejected, TooSoon or Unavailable. The
    place of a problem found by `accept` begins with the activity's index where there is more than one.
    """

    gateways: tuple[str, ...]
    check_address: CheckAddress
    accept: Callable[[Sequence[Activity]], Accepted]
    broadcast: Callable[[BroadcastRequest], Awaitable[BroadcastResult]]


Door = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Doors:
    """Answers every request of the public listener; hand it to `listener.runner`."""

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        beyond: Beyond,
        *,
        metrics: Metrics,
        now: Callable[[], Ms],
        wall: Callable[[], UnixMs],
    ) -> None:
        self.credentials = credentials
        """Replaced when the settings are read again."""
        self.is_draining = False
        """Set when the relay is about to stop: every further request is answered 503."""
        self._limits: Server = settings.server
        self._hosts = HostRule(settings.server.host, settings.server.allowed_hosts)
        self._reader = EventReader(max_events=settings.server.max_batch_events)
        self._reading = Reading(beyond.gateways, beyond.check_address)
        self._seen = Seen(
            window_ms=settings.server.dedupe_window_s * 1000,
            limit=settings.server.dedupe_ids,
            forgotten_early=metrics.counter(FORGOTTEN_IDS),
        )
        self._beyond = beyond
        self._counts = _Counts(metrics)
        self._receipts = {told: Receipt(told._asdict(), wall=wall) for told in _SINGLES}
        self._now = now
        self._doors: Mapping[str, Mapping[str, Door]] = {
            "/v1/events": {hdrs.METH_POST: self._events},
            "/v1/broadcasts": {hdrs.METH_POST: self._broadcasts},
        }

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._door(request)(request)
        except (Rejected, Unavailable) as why:
            response = refusal(why)
            self._counts.refused(response.status)
            return response

    def _door(self, request: web.BaseRequest) -> Door:
        """The door a request may knock at. Raises Rejected (400, 403, 404, 405), Unavailable."""
        self._hosts.check(request.headers)
        methods = self._doors.get(request.rel_url.raw_path)
        if methods is None:
            raise Rejected(404, "Not found", "nothing is served under this path")
        door = methods.get(request.method)
        if door is None:
            raise WrongMethod(", ".join(methods))
        if self.is_draining:
            raise Unavailable("the relay is stopping: repeat this later", retry_after_s=_DRAINING_RETRY_S)
        return door

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        headers, limits = request.headers, self._limits
        caller = self.credentials.caller(headers, WRITE)
        form = form_of(headers)
        body = arrived(request, max_bytes=limits.max_batch_bytes) or await read_body(
            request, max_bytes=limits.max_batch_bytes, timeout_s=limits.body_timeout_s
        )
        if form is Form.LINES:
            return reply(202, self._taken_all(caller, self._reader.lines(body)))
        if body.lstrip().startswith(b"["):
            return reply(202, self._taken_all(caller, self._reader.array(body)))
        if len(body) > limits.max_event_bytes:
            raise too_large(limits.max_event_bytes)
        told = self._taken_one(caller, self._reader.one(body))
        receipt = self._receipts.get(told) if Receipt.suits(request) else None
        return reply(202, told._asdict()) if receipt is None else receipt

    def _taken_one(self, caller: Caller, event: Event) -> Taken:
        source, event_id, now = caller.source, event.get("id"), self._now()
        try:
            activity = self._reading.activity(event, source, caller.gateway)
        except BadField as why:
            raise rejected([(why.place, why.words)]) from None
        if event_id is not None and self._seen.has(source, event_id, now):
            return self._counts.taken(source, _DUPLICATE)
        accepted, stale = self._beyond.accept((activity,))
        if event_id is not None:
            self._seen.remember(source, (event_id,), now)
        return self._counts.taken(source, Taken(accepted, 0, stale))

    def _taken_all(self, caller: Caller, events: list[Event]) -> dict[str, int]:
        source, now = caller.source, self._now()
        activities = self._reading.activities(events, source, caller.gateway)
        ids = [event.get("id") for event in events]
        fresh = self._seen.fresh(source, ids, now)
        if len(fresh) < len(events):
            activities = [activities[position] for position in fresh]
            ids = [ids[position] for position in fresh]
        accepted, stale = self._applied(activities, fresh)
        self._seen.remember(source, ids, now)
        return self._counts.taken(source, Taken(accepted, len(events) - len(fresh), stale))._asdict()

    def _applied(self, activities: Sequence[Activity], fresh: Sequence[int]) -> Accepted:
        try:
            return self._beyond.accept(activities) if activities else Accepted(0)
        except Rejected as why:
            raise _placed(why, fresh) from why

    async def _broadcasts(self, request: web.BaseRequest) -> web.StreamResponse:
        caller = self.credentials.caller(request.headers, WRITE)
        form_of(request.headers, allowed=_ONLY_JSON)
        most, timeout_s = self._limits.max_event_bytes, self._limits.body_timeout_s
        order = read_order(await read_body(request, max_bytes=most, timeout_s=timeout_s))
        address = address_of(order)
        try:
            gateway = self._reading.gateway_for(order.get("gateway") or caller.gateway, address)
        except BadField as why:
            raise rejected([(why.place, why.words)]) from None
        told = await self._beyond.broadcast(request_of(order, address, source=caller.source, gateway=gateway))
        return reply(200, {
            "success": told.success,
            "latencyMs": told.latency_ms,
            "auditId": told.audit_id,
            "status": told.status,
        })  # fmt: skip


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


_REASONS = {
    400: "malformed", 401: "unauthorised", 403: "forbidden", 404: "no_such_path", 405: "method", 408: "slow",
    409: "not_active", 413: "too_large", 415: "media_type", 422: "invalid", 429: "too_many", 502: "platform",
    503: "unavailable", 504: "platform",
}  # fmt: skip


class _Counts:
    """The doors' tallies, bound on first use: sources and reasons are few and fixed."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._events: dict[str, tuple[Tally, Tally, Tally]] = {}

    def taken(self, source: str, told: Taken) -> Taken:
        accepted, duplicates, stale = self._events.get(source) or self._bound(source)
        accepted.value += told.accepted
        duplicates.value += told.duplicates
        stale.value += told.stale
        return told

    def _bound(self, source: str) -> tuple[Tally, Tally, Tally]:
        bind = self._metrics.counter
        bound = (
            bind(EVENTS, source, "accepted"),
            bind(EVENTS, source, "duplicate"),
            bind(EVENTS, source, "stale"),
        )
        self._events[source] = bound
        return bound

    def refused(self, status: int) -> None:
        self._metrics.counter(REFUSED_REQUESTS, _REASONS.get(status, "other")).value += 1
