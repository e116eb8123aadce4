"""CloudEvents 1.0, JSON, structured mode: an event of ours whose envelope somebody else's bus understands.

    type      ends in one of our kinds: com.example.desk.keystroke; another ending says nothing to us
    id        with source, tells a repeat
    subject   the session, where `data` names none
    time, traceparent (extension)
    data      the rest of an event as of POST /v1/events: guestId, actor, thinkingId …; unknown fields are refused

Null is the same as absent (section 2.2), of `data` too.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

import re
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from relay import wire
from relay.core.activity import Kind
from relay.core.ids import is_traceparent
from relay.ingest.adapters.payload import Payload, moment_of, parsed, text_at
from relay.ingest.events import EVENT, Event, refuse_junk
from relay.ingest.refusals import BadField, wire_problems

_KINDS = {kind.value: kind for kind in Kind}
_LATER_TRACE = re.compile(r"(?!00|ff)[0-9a-f]{2}-([0-9a-f]{32}-[0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
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
    data = {} if payload.get("data") is None else payload["data"]
    if not isinstance(data, dict):
        raise BadField(("data",), "one JSON object is wanted: the rest of an event as of POST /v1/events")
    twice = sorted(_ENVELOPES & data.keys())
    if twice:
        raise BadField(("data", twice[0]), "the envelope says this: id, type, time, traceparent")
    envelope = {
        "sessionId": payload.get("subject"),
        "at": _moment(payload.get("time")),
        "traceparent": _trace_of(payload.get("traceparent")),
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


def _moment(said: Any) -> str | None:
    told = moment_of(said)
    if told is None and said is not None:
        raise BadField(("time",), "an RFC 3339 time is wanted, with its zone")
    return told


def _trace_of(said: Any) -> str | None:
    """A traceparent as version 00 tells it; None where there is none to go on with, and so a trace begins anew.

    W3C Trace Context, "Versioning of traceparent": of a later version its ids and the sampled bit hold, whatever else
    it says, and ff is none.
    """
    found = _LATER_TRACE.fullmatch(said) if isinstance(said, str) else None
    told = said if found is None else f"00-{found[1]}-{int(found[2], 16) & 1:02x}"
    return told if isinstance(told, str) and is_traceparent(told) else None
