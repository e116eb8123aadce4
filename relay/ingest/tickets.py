"""Tickets for agent desktops: their back end asks with its key, the page posts with what it gets.

    desktop's back end ── POST /v1/tickets, API key ──► ticket ──► its page
    page ── ticket as bearer, or as WebSocket subprotocol; Origin among the source's `origins` ──► events of that actor

The key tickets are sealed with lives as long as the process: after a restart a page fetches a new one, which it does
every few minutes anyway, and there is no secret to keep. Nothing is stored of a ticket; what ends a ticket early is taking its
page, or its source, out of the settings.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Required

from pydantic import Field, TypeAdapter, ValidationError, with_config

from relay.core import ticket as sealing
from relay.core.activity import Kind
from relay.core.indicator import Address
from relay.core.moments import UnixMs
from relay.core.ticket import LONGEST_S, Ticket
from relay.errors import Rejected
from relay.ingest.events import STRICT, Actor, Event, Id, actor_key, refuse_junk
from relay.ingest.refusals import wire_problems

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict  # pydantic brings it, and reads no other before 3.12

DEFAULT_LIFE_S = 300

_ENDED = Kind.SESSION_ENDED


@with_config(STRICT)
class TicketRequest(TypedDict, total=False):
    """Whose ticket: an actor in a session, named as in its events."""

    sessionId: Required[Id]
    actor: Required[Actor]
    guestId: Id | None
    communicationId: Id | None
    agentUserId: Id | None
    gateway: Annotated[str, Field(max_length=64)] | None
    lifeS: Annotated[int, Field(ge=1, le=LONGEST_S)] | None


_REQUEST: TypeAdapter[TicketRequest] = TypeAdapter(TicketRequest)


@dataclass(frozen=True, slots=True)
class Tickets:
    """`key` is 32 random bytes, the same for as long as its tickets are to be good."""

    key: bytes = field(repr=False)
    wall: Callable[[], UnixMs]

    def sealed(self, ticket: Ticket) -> str:
        return sealing.sealed(ticket, self.key)

    def opened(self, text: str) -> Ticket | None:
        return sealing.opened(text, self.key, self.wall())

    def until(self, life_s: int) -> UnixMs:
        return self.wall() + life_s * 1000


def read_ticket_request(body: bytes) -> TicketRequest:
    """Raises Rejected (400, 422)."""
    refuse_junk(body)
    try:
        return _REQUEST.validate_json(body)
    except ValidationError as why:
        raise wire_problems(why, TicketRequest) from None


def ticketed_address(asked: TicketRequest) -> Address:
    return Address(
        asked["sessionId"], asked.get("guestId"), asked.get("communicationId"), asked.get("agentUserId")
    )


def bind(event: Event, ticket: Ticket) -> None:
    """Fill in what the ticket says. Raises Rejected (403) where the event says another thing.

    Ending the session would end the other actors' turns too: that is for keys. Its `id` becomes one of this actor's in
    this session: a page must not be able to use up an id its back end is about to send (no id holds a `/`).
    """
    address, actor = ticket.address, event.get("actor")
    granted: Event = {
        "gateway": ticket.gateway,
        "sessionId": address.session_id,
        "guestId": address.guest_id,
        "communicationId": address.communication_id,
        "agentUserId": address.agent_user_id,
        "type": event["type"],
    }
    is_others = any(event.get(name) not in (None, value) for name, value in granted.items())
    if is_others or event["type"] is _ENDED or (actor is not None and actor_key(actor) != ticket.actor):
        raise Rejected(
            403, "Not this ticket's", "a ticket is good for events of its own actor in its own session"
        )
    said = event.get("id")
    own_id = None if said is None else f"{ticket.gateway}/{address.session_id}/{ticket.actor}/{said}"
    event.update(granted | {"actor": _actor(ticket.actor), "id": own_id})


def _actor(key: str) -> Actor:
    name, _, device = key.partition("/")
    return {"id": name, "device": device or None}
