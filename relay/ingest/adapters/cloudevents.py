"""CloudEvents 1.0, JSON, structured mode: an event of ours whose envelope somebody else's bus understands.

    type      ends in one of our kinds: com.example.desk.keystroke; another ending says nothing to us
    id        with source, tells a repeat
    subject   the session, where `data` names none
    time, traceparent (extension)
    data      the rest of an event as of POST /v1/events: guestId, actor, thinkingId …; unknown fields are refused

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from hashlib import sha256

from pydantic import ValidationError

from relay import wire
from relay.core.activity import Kind
from relay.ingest.adapters.payload import Payload, parsed, text_at
from relay.ingest.events import EVENT, Event, refuse_junk
from relay.ingest.refusals import BadField, wire_problems

_KINDS = {kind.value: kind for kind in Kind}
_ENVELOPES = frozenset({"id", "type", "at", "traceparent"})


def events(payload: Payload) -> list[Event]:
    """What one CloudEvent says: one event or none. Raises BadField, Rejected (422)."""
    if text_at(payload, "specversion") != "1.0":
        raise BadField(("specversion",), "1.0 is wanted")
    kind = _KINDS.get(text_at(payload, "type").rpartition(".")[2])
    return [] if kind is None else [_event(payload, kind)]


def read(body: bytes) -> list[Event]:
    return events(parsed(body))


def _event(payload: Payload, kind: Kind) -> Event:
    said = text_at(payload, "source"), text_at(payload, "id")
    data = payload.get("data", {})
    if not isinstance(data, dict):
        raise BadField(("data",), "one JSON object is wanted: the rest of an event as of POST /v1/events")
    twice = sorted(_ENVELOPES & data.keys())
    if twice:
        raise BadField(("data", twice[0]), "the envelope says this: id, type, time, traceparent")
    envelope = {
        "sessionId": payload.get("subject"),
        "at": payload.get("time"),
        "traceparent": payload.get("traceparent"),
        "type": kind,
        "id": sha256(wire.dumps(said)).hexdigest(),
    }
    given = {name: value for name, value in envelope.items() if value is not None}
    try:
        told = wire.dumps(given | data)
    except TypeError:  # nested deeper than orjson writes, though it read it
        raise BadField(
            ("data",), "an event's fields are texts, numbers and one actor: this is nested too deeply"
        ) from None
    refuse_junk(told)
    try:
        return EVENT.validate_json(told)
    except ValidationError as why:
        raise wire_problems(why, Event) from None
