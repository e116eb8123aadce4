"""The event on the wire: checked once, from bytes, and turned into the core's `Activity`.

    bytes ── pydantic (one pass in compiled code) ──► Event ── gateway, address, actor ──► Activity
      └───── JSON alone ── plain? ─────────────────────────────────────────────────────────────┘

A typed dictionary and not a model: nothing is filled in that the caller left out, a quarter less per event.
Unknown fields are refused, so message text cannot enter by mistake.
"""

import sys
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Annotated, Literal, Required

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config

from relay import wire
from relay.core.activity import Activity, Kind
from relay.core.ids import ID_PATTERN, is_traceparent
from relay.core.indicator import Address, field_of
from relay.core.moments import RFC3339_PATTERN, UnixMs, from_rfc3339
from relay.errors import Rejected
from relay.ingest import plain
from relay.ingest.plain import MOST_COUNT, Awake, Batch
from relay.ingest.refusals import BadField, Problem, rejected, too_many_events, wire_problems

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict  # pydantic brings it, and reads no other before 3.12

# Of an event hardly a string comes twice: remembering them costs a tenth of the validation (`cache_strings`).
STRICT = ConfigDict(
    strict=True,
    extra="forbid",
    hide_input_in_errors=True,
    use_attribute_docstrings=True,
    cache_strings="none",
)


def _traceparent(value: str) -> str:
    if not is_traceparent(value):
        raise ValueError("a W3C traceparent of version 00 is wanted, with a trace and a parent id")
    return value


Id = Annotated[str, Field(pattern=ID_PATTERN)]
Count = Annotated[int, Field(ge=0, le=MOST_COUNT)]
DurationMs = Annotated[int, Field(ge=100, le=10_000)]
Moment = Annotated[str, Field(pattern=RFC3339_PATTERN)]
Traceparent = Annotated[str, Field(max_length=64), AfterValidator(_traceparent)]


@with_config(STRICT)
class Actor(TypedDict, total=False):
    """Who is typing. The same person on two devices is two actors."""

    id: Required[Id]
    kind: Literal["agent", "bot"]
    device: Id | None


@with_config(STRICT)
class Event(TypedDict, total=False):
    """One activity event as posted; null is the same as absent."""

    sessionId: Required[Id]
    type: Required[Kind]
    guestId: Id | None
    """Needed by gateways of kind `guest`."""
    communicationId: Id | None
    agentUserId: Id | None
    gateway: Annotated[str, Field(max_length=64)] | None
    """By default the source's, else the only one configured."""
    id: Id | None
    """The same id twice within ten minutes has one effect."""
    actor: Actor | None
    """Who is typing; by default the source itself, as an agent."""
    epoch: Count | None
    """Raise it where `seq` begins anew."""
    seq: Count | None
    """Orders the events of one actor; what comes late is stale."""
    at: Moment | None
    """The sender's time; orders only where there is no `seq`."""
    thinkingId: Id | None
    """Which run is thinking; wanted with `thinking`."""
    final: bool | None
    """Of `message_sent`: false where more is to come."""
    visibility: Literal["public", "private"] | None
    """Private activity, an internal note, is never shown."""
    durationMs: DurationMs | None
    """How long the platform shows each indicator."""
    traceparent: Traceparent | None


EVENT: TypeAdapter[Event] = TypeAdapter(Event)


@cache  # like any of pydantic's validators it takes 7 ms to build
def _array(max_events: int) -> TypeAdapter[list[Event]]:
    return TypeAdapter(Annotated[list[Event], Field(max_length=max_events)])


_MOST_COMMAS = len(Event.__annotations__) + len(Actor.__annotations__) - 1
"""Of one event with every field, and the one before the next; no value holds any."""
_STRAY_COMMAS = 500
"""More are let through: a caller's mistake is told field by field, and that many cost a third of a millisecond."""
_LITTLE_BYTES = 2048
"""What is not larger holds too few of anything to be looked at."""

CheckAddress = Callable[[str, Address], str | None]
"""(gateway name, address) → None, or what is wrong with it, beginning with the field's name where there is one."""


def refuse_junk(body: bytes, *, most_events: int = 1) -> None:
    """Raises Rejected (413, 422) for JSON with more in it than so many events can hold, before anybody reads it.

    Reading a megabyte of members nobody knows takes 150 ms, of empty objects 60; counting its commas a third of one.
    """
    if body.count(b",") <= most_events * _MOST_COMMAS + _STRAY_COMMAS:
        return
    if most_events > 1 and body.count(b"{") > most_events:
        raise too_many_events(most_events)
    raise Rejected(
        422, "Unprocessable event", "far more fields than there are to an event; nothing was applied"
    )


class EventReader:
    """Reads bodies; one compiled validator for each of the three forms. Raises Rejected (400, 413, 422)."""

    def __init__(self, *, max_events: int) -> None:
        self._max_events = max_events
        # The compiled validators themselves: what wraps them costs a tenth of a small event.
        self._one: Callable[[bytes], Event] = EVENT.validator.validate_json
        self._many: Callable[[bytes], list[Event]] = _array(max_events).validator.validate_json

    def one(self, body: bytes) -> Event:
        """A body that is one JSON object."""
        if len(body) > _LITTLE_BYTES:
            refuse_junk(body)
        try:
            return self._one(body)
        except ValidationError as why:
            raise wire_problems(why, Event) from None

    def array(self, body: bytes) -> list[Event]:
        """A body that is one JSON array of events."""
        if len(body) > _LITTLE_BYTES:
            refuse_junk(body, most_events=self._max_events)
        try:
            return self._many(body)
        except ValidationError as why:
            raise self._refused(why) from None

    def values(self, body: bytes) -> list[wire.Json] | None:
        """What an array holds, unchecked; None for what is for `array` to judge, if only to refuse."""
        if len(body) > _LITTLE_BYTES:
            refuse_junk(body, most_events=self._max_events)
        value = _parsed(body)
        return value if isinstance(value, list) and 0 < len(value) <= self._max_events else None

    def value(self, body: bytes) -> wire.Json | None:
        """What one object holds, unchecked; None for what is for `one` to judge."""
        return _parsed(body) if len(body) <= _LITTLE_BYTES else None

    def line(self, text: bytes, index: int) -> Event:
        """One line of several; `index` is its place among them."""
        if len(text) > _LITTLE_BYTES:
            refuse_junk(text)
        try:
            return self._one(text)
        except ValidationError as why:
            raise wire_problems(why, Event, index=index) from None

    def _refused(self, why: ValidationError) -> Rejected:
        if why.error_count() > 1:  # an array too long says nothing else
            return wire_problems(why, Event)
        first = why.errors(include_url=False, include_context=False, include_input=False)[0]
        is_too_long = first["type"] == "too_long" and not first["loc"]
        return too_many_events(self._max_events) if is_too_long else wire_problems(why, Event)


def _parsed(body: bytes) -> wire.Json | None:
    try:
        return wire.loads(body)
    except wire.NotJson:
        return None


class Reading:
    """Turns events into activities by what is configured: the gateways there are, and what each needs to know."""

    def __init__(self, gateways: Collection[str], check_address: CheckAddress, awake: Awake) -> None:
        self._gateways = frozenset(gateways)
        self._check_address = check_address
        self._awake = awake

    def unchecked(self, values: Sequence[wire.Json], source: str, gateway: str) -> Batch | None:
        """One activity for each value, where nearly all are plain; None where the validator is to see them first."""
        return plain.read(values, source, gateway, self._awake[gateway], self._checked)

    def batch(self, events: Sequence[Event], source: str, gateway: str | None) -> Batch:
        """As `activities`."""
        short = (
            None
            if gateway is None
            else plain.read(events, source, gateway, self._awake[gateway], self._tried)
        )
        return short or Batch(self.activities(events, source, gateway), [event.get("id") for event in events])

    def _checked(self, value: wire.Json, source: str, gateway: str) -> Activity | None:
        try:
            return self._tried(EVENT.validator.validate_json(wire.dumps(value)), source, gateway)
        except ValidationError:
            return None

    def _tried(self, event: Event, source: str, gateway: str) -> Activity | None:
        try:
            return self.activity(event, source, gateway)
        except BadField:
            return None

    def activities(self, events: Sequence[Event], source: str, gateway: str | None) -> list[Activity]:
        """One activity for each event; `gateway` is for those that name none.

        Raises Rejected (422) with every problem of every event; then none of them counts.
        """
        problems: list[Problem] = []
        activities = []
        for index, event in enumerate(events):
            try:
                activities.append(self.activity(event, source, gateway))
            except BadField as why:
                problems.append(((index, *why.place), why.words))
        if problems:
            raise rejected(problems)
        return activities

    def activity(self, event: Event, source: str, gateway: str | None) -> Activity:
        """What one event says. Raises BadField."""
        named, actor, at = event.get("gateway") or gateway, event.get("actor"), event.get("at")
        address = Address(
            event["sessionId"], event.get("guestId"), event.get("communicationId"), event.get("agentUserId")
        )
        chosen = self.gateway_for(named, address)
        kind = event["type"]
        if kind is Kind.THINKING and event.get("thinkingId") is None:
            raise BadField(("thinkingId",), "a thinking event needs the id of its run")
        # By position, in the order of the fields: keywords cost a third of a microsecond here.
        return Activity(
            chosen,
            address,
            source,
            source if actor is None else actor_key(actor),
            kind,
            event.get("epoch") or 0,
            event.get("seq"),
            None if at is None else _unix_ms(at),
            event.get("thinkingId"),
            event.get("final") is not False,
            event.get("visibility") != "private",
            event.get("durationMs"),
            event.get("traceparent"),
        )

    def gateway_for(self, named: str | None, address: Address) -> str:
        """The gateway `named`, if it is one and the address will do for it. Raises BadField."""
        if named is None:
            raise BadField(("gateway",), "several gateways are configured, or none: name one of them")
        if named not in self._gateways:
            raise BadField(("gateway",), "no gateway of this name is configured")
        words = self._check_address(named, address)
        if words is not None:
            field = field_of(words)
            raise BadField((field,) if field else (), words)
        return named


def actor_key(actor: Actor) -> str:
    """Who is typing, in one word; ids hold no `/`."""
    device = actor.get("device")
    return actor["id"] if device is None else f"{actor['id']}/{device}"


def _unix_ms(at: str) -> UnixMs:
    try:
        return from_rfc3339(at)
    except ValueError:
        raise BadField(("at",), "there is no such day, hour or offset") from None
