"""The bodies an endpoint may ask for, each made of the recorded one and so the same at every attempt.

    standard      the recorded bytes themselves: {type, timestamp, data}
    cloudevents   CloudEvents 1.0, JSON, structured mode: one document, no `ce-` headers

The signature headers are the same for both: they are over whatever bytes are sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay import wire
from relay.settings.endpoint import FormatName

SEQUENCE_DIGITS = 10
"""The extension wants sequences that sort as texts; ten digits hold the 32 bits it speaks of."""


@dataclass(frozen=True, slots=True)
class Format:
    """`body_of` makes the body of (event id, recorded bytes); it depends on nothing else."""

    content_type: str
    body_of: Callable[[str, bytes], bytes]


def cloud_event(event_id: str, recorded: bytes) -> bytes:
    """The recorded event as a CloudEvent (spec 1.0.2; JSON format 3; extension Sequence).

    `sequence` counts within `subject`, the session. `sequencetype` is left out: its one value, `Integer`, would
    promise a number without gaps over everything a source says.
    """
    event = wire.loads(recorded)
    data = event["data"]
    gateway, session_id, sequence = (data.get(name) for name in ("gateway", "sessionId", "sequence"))
    told = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/typing-relay/{gateway}" if gateway else "/typing-relay",
        "type": event["type"],
        "time": event["timestamp"],
        "subject": session_id,
        "sequence": None if sequence is None else f"{sequence:0{SEQUENCE_DIGITS}d}",
        "datacontenttype": "application/json",
        "data": data,
    }
    # An attribute that has no value is absent: null and the empty text are not values (spec, "Type System").
    return wire.dumps({name: value for name, value in told.items() if value not in (None, "")})


def _as_recorded(_event_id: str, recorded: bytes) -> bytes:
    return recorded


STANDARD = Format("application/json", _as_recorded)
CLOUDEVENTS = Format("application/cloudevents+json", cloud_event)

FORMATS: Mapping[FormatName, Format] = {"standard": STANDARD, "cloudevents": CLOUDEVENTS}
