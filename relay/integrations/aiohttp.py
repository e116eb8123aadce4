"""A fulfilment webhook: its request begins the work on an answer, its response ends it.

    app = web.Application(middlewares=[thinking_while(client, dialogflow_cx)])

Dialogflow, Rasa and Lex send no typing events: that they call is the signal. The functions below find the session in
what each of them posts; the guest is expected under `guestId` where a platform keeps what its caller told it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from relay import wire
from relay.integrations.whose import Client, Finding, Place

MOST_BODY_BYTES = 1024 * 1024
"""A larger one is the application's business alone."""

BODY_WITHIN_S = 1.0
"""So is one of which parts are missing by then: the application may want to answer without it."""

GUEST = "guestId"

Whose = Callable[[Any], Place | None]  # Any: JSON


def thinking_while(client: Client, whose: Whose) -> Middleware:
    """A middleware that has `client` say so while a request is answered in which `whose` finds a session."""
    find = Finding(whose, where="a request's body")

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
    """The body, looked at and left where it is; None for what is not JSON, or cannot be looked at like this."""
    length = request.content_length
    # What the application refuses as too large begins no work.
    most = min(MOST_BODY_BYTES, request.client_max_size or MOST_BODY_BYTES)
    is_plain = request.content_type.endswith("json") and hdrs.CONTENT_ENCODING not in request.headers
    if length is None or length > most or not is_plain:
        return None
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            return wire.loads(await _body(request, length))
    except Exception:  # noqa: BLE001 - slow, cut off, no JSON: the application finds the same, and answers it
        return None


async def _body(request: web.Request, length: int) -> bytes:
    """All of it, of which the application may still read every byte as it likes: `request.read` would keep it from
    `request.content`, refuse what is too large for it, and forbid `request.clone`."""
    content = request.content
    if content.at_eof():
        return await request.read()  # what a middleware before this one has read, which is all there is
    if length > content.get_read_buffer_limits()[1]:
        content.set_read_chunk_size(length)
        request.protocol.resume_reading()  # it may have been told to stop at the old limit

    await content.wait_eof()
    return b"".join(content._buffer)  # noqa: SLF001 - aiohttp has no way of its own to look at what is not taken


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
