"""What trackers are told, as schemas: `data` of each event type. The renderings are `relay.core.engagement`'s."""

import sys
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config

from relay.core.engagement import Reason
from relay.core.indicator import Cause, Indicator
from relay.core.notice import Kind
from relay.openapi.route import Hook

if sys.version_info >= (3, 12):
    from typing import NotRequired, TypedDict
else:
    from typing import NotRequired  # pydantic reads no other before 3.12

    from typing_extensions import TypedDict

_CLOSED = ConfigDict(extra="forbid", use_attribute_docstrings=True)
Count = Annotated[int, Field(ge=0)]


@with_config(_CLOSED)
class TransitionData(TypedDict):
    """A session changed its state."""

    sessionId: str
    guestId: str | None
    gateway: str
    sequence: Annotated[int, Field(ge=1)]
    """From 1 and without holes within a session: a hole says that something is missing."""
    reason: Reason
    actors: Count
    """How many are now typing, thinking or paused, internal notes apart."""
    platform: NotRequired[Literal["lapse"]]
    """Where the platform has no word for the new state, and the display simply ends."""


@with_config(_CLOSED)
class BroadcastData(TypedDict):
    """The platform took an indicator."""

    auditId: str
    sessionId: str
    guestId: str | None
    gateway: str
    indicator: Indicator
    durationMs: Count
    latencyMs: Count
    success: Literal[True]
    status: int | None
    attempts: Count
    cause: Cause


@with_config(_CLOSED)
class FailureData(TypedDict):
    """An indicator was given up."""

    auditId: str
    sessionId: str
    guestId: str | None
    gateway: str
    indicator: Indicator
    durationMs: Count
    latencyMs: Count
    success: Literal[False]
    status: int | None
    attempts: Count
    cause: Cause
    error: str | None
    """In one word, as in the metrics."""
    message: str
    """The platform's own words and our advice."""


@with_config(_CLOSED)
class SuppressedData(TypedDict):
    """Nothing was sent, and why; at most once per session, reason and episode."""

    sessionId: str
    guestId: str | None
    gateway: str
    indicator: Indicator
    why: str


@with_config(_CLOSED)
class NoticeData(TypedDict):
    """Something about another of your endpoints; told to those that ask for it by name, once an hour at most."""

    endpoint: str
    why: str
    since: str
    attempts: NotRequired[int]
    failures: NotRequired[int]
    eventId: NotRequired[str]
    eventType: NotRequired[str]
    unsaid: Count
    """How many of its kind were not told since the last."""


@with_config(_CLOSED)
class TestData(TypedDict):
    """An operator asked whether this receiver verifies and reads what it gets."""

    endpoint: str
    why: str


_SESSION = {"sessionId": "5f0c2f9e-6f7a-4c1e-9a39-0c8d6a3b1f00", "guestId": "g-17", "gateway": "guest"}
_ATTEMPT = {
    "auditId": "019a9f0e-7c00-7000-8000-5b1f6a3b1f00",
    **_SESSION,
    "indicator": "typing",
    "durationMs": 3000,
    "latencyMs": 41,
}


def _event(kind: str, data: Mapping[str, object]) -> dict[str, object]:
    return {"type": kind, "timestamp": "2026-11-22T10:00:00.123Z", "data": data}


def _transition(state: str, reason: str, actors: int, words: str) -> Hook:
    kind = f"session.{state}"
    data = {**_SESSION, "sequence": 17, "reason": reason, "actors": actors}
    return Hook(kind, words, TransitionData, _event(kind, data))


def _notice(kind: Kind, words: str, **more: object) -> Hook:
    data = {
        "endpoint": "tracker",
        "why": "it answered 503",
        "since": "2026-11-22T09:55:00.000Z",
        **more,
        "unsaid": 0,
    }
    return Hook(kind.value, words, NoticeData, _event(kind.value, data))


_MESSAGE = {"attempts": 4, "eventId": "msg_019a9f0e7c00", "eventType": "session.typing"}
_TEST = {"endpoint": "tracker", "why": "asked for by the relay's operator"}

HOOKS = (
    _transition("typing", "keystroke", 1, "Somebody began to type, or a bot to think."),
    _transition("paused", "silence", 1, "Everybody who was typing has paused."),
    _transition("stopped", "message", 0, "Nobody types any more; `reason` says why."),
    Hook(
        "typing_indicator.broadcast",
        "The platform took an indicator: start, refresh, pause, stop, or a direct order.",
        BroadcastData,
        _event(
            "typing_indicator.broadcast",
            _ATTEMPT | {"success": True, "status": 200, "attempts": 1, "cause": "start"},
        ),
    ),
    Hook(
        "typing_indicator.failed",
        "An indicator was given up: the platform refused the session, or three tries failed.",
        FailureData,
        _event(
            "typing_indicator.failed",
            _ATTEMPT
            | {"success": False, "status": 503, "attempts": 3, "cause": "start", "error": "server_error", "message": "HTTP 503"},
        ),
    ),
    Hook(
        "typing_indicator.suppressed",
        "Nothing was sent, and why.",
        SuppressedData,
        _event("typing_indicator.suppressed", {**_SESSION, "indicator": "typing", "why": "muted"}),
    ),
    _notice(Kind.DEGRADED, "An endpoint fails so often that it is left alone for a while.", attempts=12, failures=11),
    _notice(Kind.RECOVERED, "It is well again.", attempts=3, failures=0),
    _notice(Kind.DISABLED, "It is sent nothing any more, until somebody resumes it."),
    _notice(Kind.FAILING, "One of its messages failed for the fourth time.", **_MESSAGE),
    _notice(Kind.EXHAUSTED, "One of its messages is a dead letter.", **_MESSAGE),
    Hook("endpoint.test", "Sent because an operator asked; recorded nowhere.", TestData, _event("endpoint.test", _TEST)),
)  # fmt: skip
