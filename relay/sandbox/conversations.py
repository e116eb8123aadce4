"""Conversations of the stand-in platform: who takes part, on which leg, and the two shapes they are read in.

A conversation has one customer and any number of agents. Each takes part on a *leg*, whose `communicationId` is what
an agent's typing call names. Only the full shape tells it; the messages' shape has none.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

from relay.core.moments import UnixMs, rfc3339

State = Literal["alerting", "connected", "disconnected"]
Medium = Literal["webmessaging", "open"]
Direction = Literal["Inbound", "Outbound"]

KEPT_CONVERSATIONS = 100_000
KEPT_MESSAGES = 100_000
KEPT_OF_ONE = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """What was said, or whose coming or going was told: one of the two. Typing is none, and is kept nowhere."""

    direction: Direction
    at: UnixMs
    text: str | None = None
    presence: Literal["Join", "Disconnect"] | None = None
    id: str = field(default_factory=lambda: str(uuid4()))


@dataclass(slots=True)
class Leg:
    """One participant's place in a conversation; `user_id` None for the customer."""

    purpose: Literal["customer", "agent"]
    medium: Medium
    connected_at: UnixMs
    user_id: str | None = None
    communication_id: str = field(default_factory=lambda: str(uuid4()))
    participant_id: str = field(default_factory=lambda: str(uuid4()))
    state: State = "connected"
    ended_at: UnixMs | None = None

    def end(self, at: UnixMs) -> None:
        if self.ended_at is None:
            self.state, self.ended_at = "disconnected", at


@dataclass(slots=True)
class Conversation:
    """`integration_id` and `visitor_id` only where it is an Open Messaging one."""

    started_at: UnixMs
    id: str = field(default_factory=lambda: str(uuid4()))
    medium: Medium = "webmessaging"
    integration_id: str | None = None
    visitor_id: str | None = None
    legs: list[Leg] = field(default_factory=list)
    ended_at: UnixMs | None = None
    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=KEPT_OF_ONE))

    @property
    def customer(self) -> Leg:
        return self.legs[0]

    def __post_init__(self) -> None:
        self.legs.append(Leg("customer", self.medium, self.started_at))

    def connect(self, user_id: str, at: UnixMs, *, communication_id: str | None = None) -> Leg:
        """An agent comes in."""
        leg = Leg("agent", self.medium, at, user_id, communication_id or str(uuid4()))
        self.legs.append(leg)
        return leg

    def leg(self, communication_id: str) -> Leg | None:
        return next((leg for leg in self.legs if leg.communication_id == communication_id), None)

    def end(self, at: UnixMs) -> None:
        """It is over: every leg ends with it."""
        for leg in self.legs:
            leg.end(at)
        self.ended_at = self.ended_at or at


@dataclass(slots=True)
class Conversations:
    """All of them, the oldest making room."""

    _by_id: dict[str, Conversation] = field(default_factory=dict)
    _by_message: dict[str, tuple[Conversation, Message]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Conversation]:
        return iter(self._by_id.values())

    def add(self, conversation: Conversation) -> Conversation:
        self._by_id[conversation.id] = conversation
        if len(self._by_id) > KEPT_CONVERSATIONS:
            del self._by_id[next(iter(self._by_id))]
        return conversation

    def get(self, conversation_id: str) -> Conversation | None:
        return self._by_id.get(conversation_id)

    def note(self, conversation: Conversation, message: Message) -> Message:
        """Said, and found again by its id."""
        conversation.messages.append(message)
        self._by_message[message.id] = conversation, message
        if len(self._by_message) > KEPT_MESSAGES:
            del self._by_message[next(iter(self._by_message))]
        return message

    def of_message(self, message_id: str) -> tuple[Conversation, Message] | None:
        return self._by_message.get(message_id)

    def of_visitor(self, integration_id: str, visitor_id: str) -> Conversation | None:
        """The visitor's conversation that is still open."""
        who = (integration_id, visitor_id)
        return next((c for c in self if (c.integration_id, c.visitor_id) == who and c.ended_at is None), None)


def full_shape(conversation: Conversation) -> dict[str, object]:
    """`GET /api/v2/conversations/{id}`: with every leg's communication, and no state of the whole but its `endTime`."""
    shape: dict[str, object] = {
        "id": conversation.id,
        "startTime": rfc3339(conversation.started_at),
        "participants": [_participant(leg) for leg in conversation.legs],
        "selfUri": f"/api/v2/conversations/{conversation.id}",
    }
    return shape | _when("endTime", conversation.ended_at)


def _participant(leg: Leg) -> dict[str, object]:
    communication = {
        "id": leg.communication_id,
        "state": leg.state,
        "type": leg.medium,
        "connectedTime": rfc3339(leg.connected_at),
        **_when("disconnectedTime", leg.ended_at),
        **({} if leg.ended_at is None else {"disconnectType": "client"}),
    }
    named = {} if leg.user_id is None else {"userId": leg.user_id}
    return {
        "id": leg.participant_id,
        "purpose": leg.purpose,
        **named,
        "connectedTime": rfc3339(leg.connected_at),
        **_when("endTime", leg.ended_at),
        "messages": [communication],
    }


def messages_shape(conversation: Conversation) -> dict[str, object]:
    """`GET /api/v2/conversations/messages/{id}`: a state for each participant, and no communication's id."""
    return {
        "id": conversation.id,
        "participants": [
            {
                "id": leg.participant_id,
                "purpose": leg.purpose,
                **({} if leg.user_id is None else {"user": {"id": leg.user_id}}),
                "state": leg.state,
                "type": leg.medium,
                "startTime": rfc3339(leg.connected_at),
                "connectedTime": rfc3339(leg.connected_at),
                **_when("endTime", leg.ended_at),
                "messages": [],
            }
            for leg in conversation.legs
        ],
        "selfUri": f"/api/v2/conversations/messages/{conversation.id}",
    }


def _when(name: str, at: UnixMs | None) -> dict[str, str]:
    return {} if at is None else {name: rfc3339(at)}
