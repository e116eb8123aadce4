"""What a conversation's full shape says: is it alive, and on which leg does an agent speak?

`GET /api/v2/conversations/{id}` answers `{endTime?, participants: [{purpose, userId?, messages: [{id, state}]}]}`; a
participant's leg is its `messages[]` entry, and the entry's `id` is the communication. Alive is what has no `endTime`,
an agent's leg that is connected, and a customer who has not gone: the rule of the platform's own end-to-end tests.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from relay.core.indicator import Address
from relay.core.liveness import Liveness

CONNECTED = "connected"
ENDED = frozenset({"disconnected", "terminated"})
CUSTOMERS = frozenset({"customer", "external"})


@dataclass(frozen=True, slots=True)
class Leg:
    """One communication of one participant; `state` in the platform's words."""

    purpose: str
    user_id: str | None
    communication_id: str
    state: str


def legs_of(conversation: Mapping[str, object]) -> Iterator[Leg]:
    """Every leg of every participant; what is not of the shape is left out."""
    for participant in _objects(conversation.get("participants")):
        purpose, user_id = _text(participant.get("purpose")), participant.get("userId")
        for message in _objects(participant.get("messages")):
            user = user_id if isinstance(user_id, str) else None
            yield Leg(purpose, user, _text(message.get("id")), _text(message.get("state")).lower())


def leg_of(conversation: Mapping[str, object], address: Address) -> Leg | None:
    """The leg this address is about: the named communication, else the agent's latest that has not ended."""
    if address.communication_id is not None:
        return next((leg for leg in legs_of(conversation) if _is(leg, address.communication_id)), None)
    mine = [leg for leg in legs_of(conversation) if leg.user_id is not None and _belongs(leg, address)]
    connected = [leg for leg in mine if leg.state == CONNECTED]
    waiting = [leg for leg in mine if leg.state not in ENDED]
    best = connected or waiting
    return best[-1] if best else None


def liveness_in(http_status: int, conversation: Mapping[str, object], address: Address) -> Liveness:
    """What an answer to the query says about the session at `address`.

    A leg that rings, or is parked, is neither: the platform's answer to typing on it is the one that counts.
    """
    if http_status in {404, 410}:
        return Liveness.GONE
    if not 200 <= http_status < 300 or "participants" not in conversation:
        return Liveness.UNKNOWN
    leg = leg_of(conversation, address)
    if conversation.get("endTime") is not None or leg is None or leg.state in ENDED:
        return Liveness.GONE
    if _customer_has_gone(conversation):
        return Liveness.GONE
    return Liveness.LIVE if leg.state == CONNECTED else Liveness.UNKNOWN


def _customer_has_gone(conversation: Mapping[str, object]) -> bool:
    states = [leg.state for leg in legs_of(conversation) if leg.purpose in CUSTOMERS]
    return bool(states) and all(state in ENDED for state in states)


def _is(leg: Leg, communication_id: str) -> bool:
    return leg.communication_id.lower() == communication_id.lower()


def _belongs(leg: Leg, address: Address) -> bool:
    return (leg.user_id or "").lower() == (address.agent_user_id or "").lower()


def _objects(value: object) -> Iterator[Mapping[str, object]]:
    for each in value if isinstance(value, list) else ():
        if isinstance(each, Mapping):
            yield each


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
