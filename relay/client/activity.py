"""What a bot or a desktop tells a relay, by the wire's own names; a checker knows them, nothing is loaded for them."""

from collections.abc import Mapping
from typing import Any, Literal, Required, TypedDict

Kind = Literal[
    "keystroke",
    "thinking",
    "heartbeat",
    "thinking_done",
    "paused",
    "message_sent",
    "cleared",
    "actor_left",
    "session_ended",
]

ENDINGS = frozenset({"thinking_done", "message_sent", "cleared", "actor_left", "session_ended"})
"""Kinds that end something: worth telling late, where the others are worth telling only at once."""


class ActorName(TypedDict, total=False):
    """Who is active. The same person on two devices is two actors."""

    id: Required[str]
    kind: Literal["agent", "bot"]
    device: str


class ActivityEvent(TypedDict, total=False):
    """One event as the relay takes it; ids are 1..128 of `A-Z a-z 0-9 . _ : ~ -`, first a letter or digit.

    `sessionId` and `type` are always wanted. A gateway of kind `guest` needs `guestId`, and a UUID for `sessionId`; one
    of kind `genesys` needs `communicationId` or `agentUserId` in its place. `id` makes repeating harmless, and one is
    added where there is none. `seq` orders one actor's events within `epoch`; `at` (RFC 3339) does so where there is
    no `seq`. `durationMs` is 100..10000. There is no field for text: what is being typed never leaves the caller.
    """

    sessionId: Required[str]
    type: Required[Kind]
    guestId: str
    communicationId: str
    agentUserId: str
    gateway: str
    id: str
    actor: ActorName
    epoch: int
    seq: int
    at: str
    thinkingId: str
    final: bool
    visibility: Literal["public", "private"]
    durationMs: int
    traceparent: str


Told = Mapping[str, Any]
"""An `ActivityEvent`, or a mapping that looks like one: what is wrong with it is the relay's to say."""


def activity_event(kind: Kind, session_id: str, **more: object) -> dict[str, object]:
    """The event with those of its further fields that are not None."""
    told = {name: value for name, value in more.items() if value is not None}
    return {"sessionId": session_id, "type": kind} | told


def is_ending(event: Told) -> bool:
    """An interim message ends nothing."""
    return event.get("type") in ENDINGS and event.get("final") is not False


def actor_id(event: Told) -> str | None:
    actor = event.get("actor")
    return actor.get("id") if isinstance(actor, Mapping) else None
