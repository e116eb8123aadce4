"""The public listener's routes, as its document tells them. A test holds this table against the doors themselves."""

import sys
from functools import cache
from typing import Annotated, Any

from pydantic import Field

from relay.ingest.documents import Methods, documents
from relay.ingest.events import Event
from relay.ingest.orders import Order
from relay.ingest.tickets import TicketRequest
from relay.openapi.document import Told, document
from relay.openapi.guides import guides
from relay.openapi.hooks import HOOKS
from relay.openapi.problem import problems
from relay.openapi.route import Answer, Body, Parameter, Route

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict  # pydantic reads no other before 3.12

LINES = "application/x-ndjson"
CLOUD = "application/cloudevents+json"
HTML = "text/html"

Count = Annotated[int, Field(ge=0)]
OneOrMore = Event | list[Event]


class Taken(TypedDict):
    """What became of the events; `stale` ones came late and changed nothing."""

    accepted: Count
    duplicates: Count
    stale: Count


class Broadcast(TypedDict):
    """The platform took the indicator, and its audit row is on disk."""

    success: bool
    latencyMs: Count
    auditId: str
    status: int


class TicketAnswer(TypedDict):
    """For a page, as bearer of `POST /v1/events` or beside `typing-relay.v1` among a stream's subprotocols."""

    ticket: str
    expiresAt: str


_SESSION = "5f0c2f9e-6f7a-4c1e-9a39-0c8d6a3b1f00"
_EVENT = {
    "sessionId": _SESSION,
    "guestId": "g-17",
    "type": "keystroke",
    "actor": {"id": "agent-7"},
}
_LINE = f'{{"sessionId":"{_SESSION}","guestId":"g-17","type":"keystroke"}}\n'
_TAKEN = {"accepted": 1, "duplicates": 0, "stale": 0}
_CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "A234-1234-1234",
    "source": "/desks/berlin",
    "type": "com.example.desk.keystroke",
    "subject": _SESSION,
    "data": {"guestId": "g-17"},
}
_CHATWOOT = {
    "event": "conversation_typing_on",
    "user": {"id": 7, "type": "user"},
    "conversation": {"contact_inbox": {"source_id": _SESSION, "contact_id": 41}},
    "is_private": False,
}
_OBJECT = {"type": "object"}
_ANY = (400, 403)
_UNCHANGED = Answer(304, "You have it: `If-None-Match` named its ETag.", headers=("ETag",))

EVENTS = Route(
    "post",
    "/v1/events",
    "postEvents",
    "Say what actors do",
    "One event, an array of at most 500, or as many lines. Taken whole or not at all. Post every keystroke: when to "
    "tell the platform is the relay's business.",
    answers=(
        Answer(202, "Taken.", (Body(Taken, example=_TAKEN),)),
        *problems(*_ANY, 401, 408, 413, 415, 422, 429, 503),
    ),
    bodies=(Body(OneOrMore, example=_EVENT), Body(str, LINES, _LINE)),
    proofs=("key", "signature", "ticket"),
    tag="events",
)
BROADCASTS = Route(
    "post",
    "/v1/broadcasts",
    "broadcast",
    "Show one indicator now",
    "A direct order, answered when the platform has taken it. Within a session's interval it is refused with `waitMs`.",
    answers=(
        Answer(
            200,
            "Shown.",
            (Body(Broadcast, example={"success": True, "latencyMs": 41, "auditId": "019a9f0e-7c00", "status": 200}),),
        ),
        Answer(202, "A signed request that was answered before: no effect.", (Body(Taken),)),
        *problems(*_ANY, 401, 408, 409, 413, 415, 422, 429, 502, 503, 504),
    ),
    bodies=(Body(Order, example={"sessionId": _SESSION, "guestId": "g-17", "type": "typing", "duration": 3000}),),
    proofs=("key", "signature"),
    tag="events",
)  # fmt: skip
STREAM = Route(
    "get",
    "/v1/stream",
    "openStream",
    "Say what actors do, over a WebSocket",
    'Text frames: an event, or an array of events. `{"ack": n}` tells how many were taken since the stream opened, at '
    'least every 100 or each second; `{"error": problem, "frame": k}` that one frame was refused, and the stream goes on. '
    "A page offers the subprotocols `typing-relay.v1` and its ticket. The last stream that carried an actor says by "
    "its closing that the actor has left.",
    answers=(
        Answer(101, "The stream is open."),
        *problems(*_ANY, 401, 426, 429, 503),
    ),
    parameters=(
        Parameter(
            "leaveOnClose", "query", "Whether closing means that its actors have left; by default as the source says.", bool
        ),
    ),
    proofs=("key", "ticket"),
    tag="events",
)  # fmt: skip
TICKETS = Route(
    "post",
    "/v1/tickets",
    "makeTicket",
    "Let a page speak for one actor",
    "Your back end asks, with its key; the page uses the ticket for exactly that actor in that session, from one of the "
    "source's `origins`. All of that actor's tickets are good for 20 events a second and 4 streams. The line needs the key "
    "of a source that has `origins`.",
    answers=(
        Answer(
            200,
            "The ticket.",
            (Body(TicketAnswer, example={"ticket": "trt_...", "expiresAt": "2026-11-22T10:05:00.000Z"}),),
        ),
        *problems(*_ANY, 401, 408, 413, 415, 422, 429, 503),
    ),
    bodies=(
        Body(TicketRequest, example={"sessionId": _SESSION, "guestId": "g-17", "actor": {"id": "agent-7"}, "lifeS": 300}),
    ),
    proofs=("key",),
    tag="events",
)  # fmt: skip
SOURCES = Route(
    "post",
    "/v1/sources/{source}",
    "postWebhook",
    "Take a platform's own webhook",
    "What the source's adapter reads: Genesys Open Messaging, Chatwoot, CloudEvents, or any JSON by mapping. What says "
    "nothing about typing is counted and answered well, and so is what Genesys or Chatwoot tell of others than the "
    "gateway's sessions. A source that is none, or has no adapter, is answered 401: for `desk` in the lines put one of "
    "yours that has.",
    answers=(
        Answer(200, "Taken (genesys-open, chatwoot).", (Body(Taken, example=_TAKEN),)),
        Answer(202, "Taken (cloudevents, mapping).", (Body(Taken, example=_TAKEN),)),
        *problems(*_ANY, 401, 408, 413, 415, 422, 429, 503),
    ),
    bodies=(Body(_OBJECT, example=_CHATWOOT), Body(_OBJECT, CLOUD, _CLOUD_EVENT)),
    parameters=(
        Parameter(
            "source", "path", "The name under `[sources]`.", Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
        ),
    ),
    proofs=("platform", "key"),
    tag="events",
)  # fmt: skip
DOCUMENT = Route(
    "get",
    "/openapi.json",
    "getDocument",
    "This document",
    "OpenAPI 3.1, of this listener alone.",
    answers=(Answer(200, "The document.", (Body(_OBJECT),), ("ETag",)), _UNCHANGED, *problems(*_ANY, 503)),
    tag="documentation",
)
PAGE = Route(
    "get",
    "/docs",
    "getPage",
    "This document, for people",
    "One page that needs nothing from anywhere else.",
    answers=(Answer(200, "The page.", (Body(str, HTML),), ("ETag",)), _UNCHANGED, *problems(*_ANY, 503)),
    tag="documentation",
)

ROUTES = (EVENTS, STREAM, BROADCASTS, TICKETS, SOURCES, DOCUMENT, PAGE)

TOLD = Told(
    "Typing Relay",
    "Keystrokes in, paced indicators out, signed events to your trackers.",
    "Errors are problem documents (RFC 9457) that never repeat a value of the request. Message text has no place here: "
    "unknown fields are refused.",
)
TAGS = {"events": "What actors do comes in.", "documentation": "What this listener serves."}


def public_document() -> dict[str, Any]:
    return document(TOLD, ROUTES, HOOKS, tags=TAGS)


@cache
def public_documents() -> dict[str, Methods]:
    """The doors of `/openapi.json` and `/docs`; made once, in a tenth of a second."""
    return documents(public_document(), guides())
