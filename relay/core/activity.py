"""What an actor did, as the core sees it; names are the wire's (`type` of `POST /v1/events`)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar, dataclass_transform

from relay.core.indicator import Address
from relay.core.moments import UnixMs


class Kind(StrEnum):
    KEYSTROKE = "keystroke"
    THINKING = "thinking"
    HEARTBEAT = "heartbeat"
    THINKING_DONE = "thinking_done"
    PAUSED = "paused"
    MESSAGE_SENT = "message_sent"
    CLEARED = "cleared"
    ACTOR_LEFT = "actor_left"
    SESSION_ENDED = "session_ended"


class Accepted(NamedTuple):
    """What a batch of activities came to; the stale ones were late or out of order and changed nothing."""

    accepted: int
    stale: int = 0


Made = TypeVar("Made")


@dataclass_transform(frozen_default=True)
def _unwritten(form: type[Made]) -> type[Made]:
    """A dataclass that nobody writes to: the type checker sees to it, for `frozen` makes each one five times as dear."""
    return dataclass(slots=True)(form)


@_unwritten
class Activity:
    """One accepted event. Not a named tuple, whose fields cost three times as much to read: a key is read ten times.

    `seq` orders the activities of one actor within `epoch`; `at` (client time) orders only where there is no
    `seq`, and never drives a deadline. `duration_ms` is 100..10000 or None for the gateway's default.
    """

    gateway: str
    address: Address
    source: str
    actor: str
    kind: Kind
    epoch: int = 0
    seq: int | None = None
    at: UnixMs | None = None
    thinking_id: str | None = None
    is_final: bool = True
    is_public: bool = True
    duration_ms: int | None = None
    traceparent: str | None = None
