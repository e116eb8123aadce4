"""Genesys Cloud Open Messaging: the outbound webhook, which tells a middleware what an agent does.

    Event, Typing On    said anew every five seconds while the agent types; there is no Off    ─► thinking
    Text, Structured    a message to the customer, which ends the typing                      ─► message_sent
    Receipt, Inbound, …                                                                       ─► nothing

Typing comes as `thinking`, the one kind of activity that lasts until it is ended or its lease runs out: a keystroke
would pause after half of the five seconds. Typing is off until the integration's messaging setting turns it on.

https://developer.genesys.cloud/commdigital/digital/openmessaging/outboundMessages
"""

from typing import Any

from relay.core.activity import Kind
from relay.ingest.adapters.payload import (
    Paths,
    Payload,
    duration_of,
    fitted,
    found_at,
    id_at,
    moment_of,
    parsed,
    text_at,
)
from relay.ingest.events import Event
from relay.ingest.refusals import BadField

PATHS = Paths("channel.to.id", "channel.to.id")
"""The customer as the middleware named it when it sent the first message: a typing payload knows no conversation."""

_MESSAGES = frozenset({"Text", "Structured"})


def events(payload: Payload, paths: Paths) -> list[Event]:
    """What one delivery says: one event or none. Raises BadField."""
    kind, typing = text_at(payload, "type"), None
    if payload.get("direction") != "Outbound":
        return []
    if kind == "Event":
        typing = _typing_of(payload)
    if typing is None and kind not in _MESSAGES:
        return []
    return [_event(payload, paths, typing)]


def read(body: bytes, paths: Paths) -> list[Event]:
    return events(parsed(body), paths)


def _typing_of(payload: Payload) -> dict[str, Any] | None:
    """The last Typing On of an Event, if there is one."""
    told = payload.get("events")
    if not isinstance(told, list):
        raise BadField(("events",), "a list is wanted where type is Event")
    on = [
        one["typing"]
        for one in told
        if isinstance(one, dict) and one.get("eventType") == "Typing" and found_at(one, "typing.type") == "On"
    ]
    return on[-1] if on else None


def _event(payload: Payload, paths: Paths, typing: dict[str, Any] | None) -> Event:
    message_id = _id_of(payload)
    event: Event = {
        "id": message_id,
        "sessionId": id_at(payload, paths.session),
        "guestId": id_at(payload, paths.guest),
        "type": Kind.MESSAGE_SENT,
        "at": moment_of(found_at(payload, "channel.time")),
    }
    if typing is None:
        return event
    return event | {
        "type": Kind.THINKING,
        "thinkingId": message_id,
        "durationMs": duration_of(typing.get("duration")),
    }


def _id_of(payload: Payload) -> str:
    """Of its id and its time: "each message must have a unique combination" of the two, says the platform."""
    said, time = text_at(payload, "id"), found_at(payload, "channel.time")
    return fitted(f"{said}~{time}" if isinstance(time, str) else said)
