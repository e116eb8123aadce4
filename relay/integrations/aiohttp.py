"""A fulfilment webhook: its request begins the work on an answer, its response ends it.

    app = web.Application(middlewares=[thinking_while(client, dialogflow_cx)])

Dialogflow, Rasa and Lex send no typing events: that they call is the signal. The functions below find the session in
what each of them posts; the guest is expected under `guestId` where a platform keeps what its caller told it.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from relay import wire
from relay.integrations.whose import Client, Finding, Place

MOST_BODY_BYTES = 1024 * 1024
"""A larger one is the application's business alone."""

GUEST = "guestId"

Whose = Callable[[Any], Place | None]  # Any: JSON


def thinking_while(client: Client, whose: Whose) -> Middleware:
    """A middleware that has `client` say so while a request is answered in which `whose` finds a session."""
    find = Finding(whose)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        told = await _json(request)
        place = None if told is None else find(told)
        if place is None:
            return await handler(request)
        use = client.thinking(place.session_id, place.guest_id)
        use.begin()
        try:
            return await handler(request)
        finally:
            use.end()

    return middleware


async def _json(request: web.Request) -> wire.Json:
    """The body, which aiohttp keeps for the application to read again; None for what is not JSON of a known length."""
    length = request.content_length
    # A body the application would not take is left to it: read once and refused, it would be empty the next time.
    most = min(MOST_BODY_BYTES, request.client_max_size or MOST_BODY_BYTES)
    if length is None or length > most or not request.content_type.endswith("json"):
        return None
    try:
        return wire.loads(await request.read())
    except wire.NotJson:
        return None  # the application reads the same, and answers it


def dialogflow_cx(body: Any) -> Place | None:  # Any: JSON
    """`sessionInfo.session`, its last part; the guest from `sessionInfo.parameters`.

    https://cloud.google.com/dialogflow/cx/docs/reference/rest/v3/WebhookRequest
    """
    info = body["sessionInfo"]
    return Place(_last(info["session"]), _guest(info.get("parameters")))


def dialogflow_es(body: Any) -> Place | None:  # Any: JSON
    """`session`, its last part; the guest from `originalDetectIntentRequest.payload`.

    https://cloud.google.com/dialogflow/es/docs/fulfillment-webhook
    """
    origin = body.get("originalDetectIntentRequest") or {}
    return Place(_last(body["session"]), _guest(origin.get("payload")))


def rasa(body: Any) -> Place | None:  # Any: JSON
    """An action server's `sender_id`; the guest from the tracker's slots."""
    return Place(body["sender_id"], _guest((body.get("tracker") or {}).get("slots")))


def lex(body: Any) -> Place | None:  # Any: JSON
    """Amazon Lex V2's `sessionId`; the guest from `sessionState.sessionAttributes`."""
    return Place(body["sessionId"], _guest((body.get("sessionState") or {}).get("sessionAttributes")))


def _last(name: str) -> str:
    """Of `projects/…/sessions/ID` the id."""
    return name.rpartition("/")[2]


def _guest(told: Any) -> str | None:  # Any: JSON
    found = told.get(GUEST) if isinstance(told, dict) else None
    return found if isinstance(found, str) else None
