"""`endpoint.test`: one signed event sent now because an operator asks, and nowhere recorded."""

from dataclasses import dataclass

from relay import wire
from relay.core.moments import UnixMs, rfc3339

TEST = "endpoint.test"


@dataclass(frozen=True, slots=True)
class Probe:
    """What `Webhook.send` needs of a delivery."""

    event_id: str
    body: bytes
    traceparent: str | None = None
    is_unordered: bool = False
    expires_at: UnixMs | None = None


def probe_of(endpoint: str, event_id: str, at: UnixMs) -> Probe:
    """Has the shape of every event, so that a receiver which verifies and reads it is known to do so."""
    data = {"endpoint": endpoint, "why": "asked for by the relay's operator"}
    return Probe(event_id, wire.dumps({"type": TEST, "timestamp": rfc3339(at), "data": data}))
