"""What the guest's WebSocket says: each frame as public Web Messaging clients read it.

    {"type": "message" | "response", "class": …, "code": …, "body": …, "tracingId"?}

Some of them are particular: one throws on any `code` but 200 in a usual frame, another on a missing `channel.time`, a
third drops a frame whose class or presence type it does not know.
"""

from uuid import uuid4

from relay.core.moments import UnixMs, rfc3339
from relay.sandbox.conversations import Direction, Message

Frame = dict[str, object]

HEALTH_CHECK_TRACING_ID = "SGVhbHRoQ2hlY2tNZXNzYWdlSWQ="
"""By which the mobile client knows its own echo: tracing ids come back as they went."""

SESSION_EXPIRED, SESSION_NOT_FOUND, MESSAGE_TOO_LONG, MISSING_PARAMETER = 4006, 4007, 4011, 4020
FEATURE_UNAVAILABLE = 4000


def session_response(*, is_new: bool, life_s: int, expires_s: int, is_read_only: bool) -> Frame:
    body: Frame = {
        "connected": True,
        "newSession": is_new,
        "readOnly": is_read_only,
        "maxCustomDataBytes": 2048,
        "durationSeconds": life_s,
        "expirationDate": expires_s,  # seconds, as a live session has it
        "allowedMedia": {"inbound": {"fileTypes": [], "maxFileSizeKB": 0}},
        "blockedExtensions": [],
    }
    return {"type": "response", "class": "SessionResponse", "code": 200, "body": body}


def told(message: Message) -> Frame:
    """Something said, as every connection of its guest hears it."""
    return _structured("message", body_of(message))


def echoed(text: object, at: UnixMs) -> Frame:
    return _structured("response", _body(str(uuid4()), "Inbound", at, text=text))


def agent_typing(duration_ms: int, at: UnixMs) -> Frame:
    event = {"eventType": "Typing", "typing": {"type": "On", "duration": duration_ms}}
    return _structured("message", _body(str(uuid4()), "Outbound", at, events=[event]))


def body_of(message: Message) -> Frame:
    """A message as frames carry it, and as a guest's history lists it."""
    event = {"eventType": "Presence", "presence": {"type": message.presence}}
    what: Frame = {"text": message.text} if message.presence is None else {"events": [event]}
    return _body(message.id, message.direction, message.at, **what)


def _structured(kind: str, body: Frame) -> Frame:
    return {"type": kind, "class": "StructuredMessage", "code": 200, "body": body}


def _body(message_id: str, direction: Direction, at: UnixMs, **what: object) -> Frame:
    """`text`, or `events`; the type follows from which."""
    return {
        "id": message_id,
        "type": "Event" if "events" in what else "Text",
        "direction": direction,
        "originatingEntity": "Human",
        "channel": {"time": rfc3339(at), "messageId": message_id},
        "metadata": {"correlationId": str(uuid4())},
        **what,
    }


def too_many(wait_s: int, what: str) -> Frame:
    body: Frame = {
        "retryAfter": wait_s,
        "errorCode": 4029,
        "errorMessage": f"{what} rate too high for this session",
    }
    return {"type": "response", "class": "TooManyRequestsErrorMessage", "code": 429, "body": body}


def problem(code: int, text: str) -> Frame:
    """An error in words; `code` is the frame's, never a close code."""
    return {"type": "response", "class": "string", "code": code, "body": text}


def session_expired() -> Frame:
    return {"type": "message", "class": "SessionExpiredEvent", "code": 200, "body": {}}


def connection_closed(reason: str) -> Frame:
    """With the reason under both names: clients and schema do not agree on it."""
    body = {"reason": reason, "reasonCode": reason}
    return {"type": "message", "class": "ConnectionClosedEvent", "code": 200, "body": body}


def jwt_response(jwt: str, expires_s: int) -> Frame:
    return {"type": "response", "class": "JwtResponse", "code": 200, "body": {"jwt": jwt, "exp": expires_s}}
