"""What was said in the stand-in's conversations, read again: one message by its id, or all of a guest's.

    GET /api/v2/conversations/messages/{messageId}/details      a message, for a caller of the API
    GET /api/v2/webmessaging/messages?pageSize=…&pageNumber=…   a guest's, newest first, with the JWT of `getJwt`

Typing was never said: neither has it. A guest may read ten times a minute.
"""

import asyncio
from math import ceil

from aiohttp import web

from relay.core.moments import Ms, rfc3339
from relay.sandbox.cloud import Cloud
from relay.sandbox.conversations import Conversation, Message
from relay.sandbox.faults import Fault, Limit, json_answer, too_many
from relay.sandbox.frames import body_of
from relay.sandbox.guests import Guests
from relay.sandbox.identity import Identity
from relay.sandbox.rates import Rolling

MOST_A_MINUTE = 10
USUAL_PAGE, LARGEST_PAGE = 25, 100


class History:
    def __init__(self, cloud: Cloud, guests: Guests, identity: Identity) -> None:
        self._cloud = cloud
        self._guests = guests
        self._identity = identity
        self._reads = Rolling()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/v2/conversations/messages/{message_id}/details", self._details)
        app.router.add_get("/api/v2/webmessaging/messages", self._page)

    async def _details(self, request: web.Request) -> web.Response:
        """Raises Fault."""
        self._cloud.callers.check(request)
        found = self._cloud.conversations.of_message(request.match_info["message_id"])
        if found is None:
            raise Fault(404, "not.found", "The requested resource was not found.")
        return json_answer(_details_shape(*found))

    async def _page(self, request: web.Request) -> web.Response:
        """Raises Fault."""
        conversation = self._of_guest(request)
        size, number = _whole(request, "pageSize", USUAL_PAGE), _whole(request, "pageNumber", 1)
        if size > LARGEST_PAGE:
            raise Fault(400, "invalid.value", f"pageSize must be {LARGEST_PAGE} at most.")
        newest_first = list(reversed(conversation.messages))
        return json_answer(
            {
                "entities": [body_of(each) for each in newest_first[(number - 1) * size : number * size]],
                "pageSize": size,
                "pageNumber": number,
                "total": len(newest_first),
                "pageCount": ceil(len(newest_first) / size),
            }
        )

    def _of_guest(self, request: web.Request) -> Conversation:
        """The conversation of the guest whose JWT this is. Raises Fault (401, 429)."""
        authorization, now = request.headers.get("authorization"), _now()
        problem = self._identity.bearer_problem(authorization, now)
        if problem is not None:
            raise Fault(401, *problem)
        token = self._identity.guest_of(authorization)
        conversation = None if token is None else self._guests.conversation_of(token)
        if token is None or conversation is None:
            raise Fault(401, "bad.credentials", "Invalid login credentials.")
        wait_ms = self._reads.admit(token, now, most=MOST_A_MINUTE)
        if wait_ms > 0:
            limit = Limit("get.history.rate.per.minute", "web.messaging", MOST_A_MINUTE)
            raise too_many(str(ceil(wait_ms / 1000)), limit=limit)
        return conversation


def _details_shape(conversation: Conversation, message: Message) -> dict[str, object]:
    """As the SDK's MessageData reads it."""
    is_inbound = message.direction == "Inbound"
    return {
        "id": message.id,
        "conversationId": conversation.id,
        "timestamp": rfc3339(message.at),
        "direction": message.direction.lower(),
        "messengerType": conversation.medium,
        "status": "received" if is_inbound else "sent",
        "normalizedMessage": body_of(message),
        "selfUri": f"/api/v2/conversations/messages/{message.id}/details",
    }


def _whole(request: web.Request, name: str, usual: int) -> int:
    """A query's number from 1 on. Raises Fault (400)."""
    text = request.query.get(name, str(usual))
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) >= 1):
        raise Fault(400, "invalid.value", f"{name} must be a whole number of 1 at least.")
    return int(text)


def _now() -> Ms:
    return asyncio.get_running_loop().time() * 1000
