"""What a conversation's full shape says: is it alive, and on which leg does an agent speak?

`GET /api/v2/conversations/{id}` answers `{endTime?, participants: [{purpose, userId?, messages: [{id, state}]}]}`; a
participant's leg is its `messages[]` entry, and the entry's `id` is the communication. Alive is what has no `endTime`,
an agent's leg that is connected, and a customer who has not gone: the rule of the platform's own end-to-end tests.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from relay.core.ids import is_uuid
from relay.core.indicator import Address
from relay.core.liveness import Liveness
from relay.core.moments import Ms
from relay.core.outcome import Failure, Held, Outcome, Refused, Unreachable

CONNECTED = "connected"
ENDED = frozenset({"disconnected", "terminated"})
RINGING = frozenset({"alerting", "contacting", "dialing", "offering", "parked"})
"""What comes before `connected`, and may come back to it; the platform lets nobody type on such a leg."""

CUSTOMERS = frozenset({"customer", "external"})

RINGS_AGAIN_MS: Ms = 2000.0
"""Between two looks at a leg that is not connected yet, while its agent types."""

NOT_CONNECTED = Held(RINGS_AGAIN_MS, "not sent: the agent's leg is not connected yet")
OVER = Refused(None, "inactive", advice="the conversation is over, or this agent is not in it")
SHAPELESS = Unreachable(Failure.SERVER, message="the conversation's answer names no participants")


@dataclass(frozen=True, slots=True)
class Leg:
    """One communication of one participant; `state` in the platform's words."""

    purpose: str
    user_id: str | None
    communication_id: str
    state: str


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one look at a conversation: is it alive, and on which leg to type, or why on none."""

    liveness: Liveness
    leg: str | None = None
    why: Outcome | None = None


def look_in(conversation: Mapping[str, object], address: Address) -> Look:
    """What an answer that is a success says to whoever wants to type at `address`."""
    liveness, leg = liveness_in(200, conversation, address), leg_of(conversation, address)
    if liveness is Liveness.GONE:
        return Look(liveness, why=OVER)
    if leg is None or not is_uuid(leg.communication_id):
        return Look(Liveness.UNKNOWN, why=SHAPELESS)
    if leg.state in RINGING:
        return Look(liveness, why=NOT_CONNECTED)
    return Look(liveness, leg.communication_id)


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

    A leg that rings, or is parked, is neither.
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
