"""Doors by which an operator or a test sets the stand-in's stage: conversations, agents who come and go, sign-ins.

    POST /sandbox/conversations                      {conversationId?, agentUserId?, communicationId?}
    POST /sandbox/conversations/{id}/agents          {userId, communicationId?}
    POST /sandbox/conversations/{id}/messages        {text}: the agent's, to the guest
    POST /sandbox/conversations/{id}/disconnect      {communicationId?}: this leg, else the whole conversation
    GET  /sandbox/guests/{token}                     the conversation of the guest who made this token
    GET  /sandbox/users/{userId}/token               as if the agent had signed in: {access_token, expires_in}

None of them is the platform's: a relay that called one would be wrong.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated
from uuid import uuid4

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relay.core.ids import UUID_PATTERN
from relay.core.moments import UnixMs
from relay.sandbox.callers import Answering
from relay.sandbox.cloud import Cloud
from relay.sandbox.conversations import Conversation, full_shape
from relay.sandbox.faults import Fault, json_answer, json_body
from relay.sandbox.guests import Guests
from relay.sandbox.identity import Identity

Uuid = Annotated[str, Field(pattern=UUID_PATTERN)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewConversation(_Asked):
    """Made with its customer connected, and with the agent where one is named."""

    conversationId: Uuid | None = None  # noqa: N815 - the wire's own names
    agentUserId: Uuid | None = None  # noqa: N815 - as above
    communicationId: Uuid | None = None  # noqa: N815 - as above


class NewAgent(_Asked):
    userId: Uuid  # noqa: N815 - the wire's own names
    communicationId: Uuid | None = None  # noqa: N815 - as above


class NewMessage(_Asked):
    text: Annotated[str, Field(min_length=1, max_length=4096)]


class Leaving(_Asked):
    communicationId: str | None = None  # noqa: N815 - the wire's own name


class Stagehand:
    """`life_s()` is how long a token given out now lives."""

    def __init__(
        self,
        cloud: Cloud,
        guests: Guests,
        identity: Identity,
        *,
        wall: Callable[[], UnixMs],
        life_s: Callable[[], float],
    ) -> None:
        self._cloud = cloud
        self._guests = guests
        self._identity = identity
        self._wall = wall
        self._life_s = life_s

    def add_routes(self, app: web.Application) -> None:
        base = "/sandbox/conversations"
        app.router.add_post(base, self._answered(self._open))
        app.router.add_post(f"{base}/{{conversation_id}}/agents", self._answered(self._connect))
        app.router.add_post(f"{base}/{{conversation_id}}/messages", self._answered(self._say))
        app.router.add_post(f"{base}/{{conversation_id}}/disconnect", self._answered(self._disconnect))
        app.router.add_get("/sandbox/guests/{token}", self._answered(self._of_guest))
        app.router.add_get("/sandbox/users/{user_id}/token", self._sign_in)

    # -- for whoever is in the same process ------------------------------------------------------------------

    def open(
        self,
        agent_user_id: str | None = None,
        *,
        conversation_id: str | None = None,
        communication_id: str | None = None,
    ) -> Conversation:
        """A conversation with its customer connected, and the agent if one is named."""
        conversation = Conversation(self._wall(), conversation_id or str(uuid4()))
        if agent_user_id is not None:
            conversation.connect(agent_user_id, self._wall(), communication_id=communication_id)
        return self._cloud.conversations.add(conversation)

    # -- by HTTP ---------------------------------------------------------------------------------------------

    def _answered(self, do: Callable[[web.Request, dict[str, object]], Conversation]) -> Answering:
        async def answered(request: web.Request) -> web.Response:
            try:
                return json_answer(full_shape(do(request, await json_body(request))))
            except ValidationError as why:
                fields = ", ".join(".".join(map(str, each["loc"])) for each in why.errors())
                raise Fault(422, "invalid.value", f"These fields will not do: {fields}.") from None

        return answered

    def _open(self, _request: web.Request, body: dict[str, object]) -> Conversation:
        asked = NewConversation.model_validate(body)
        return self.open(
            asked.agentUserId, conversation_id=asked.conversationId, communication_id=asked.communicationId
        )

    def _connect(self, request: web.Request, body: dict[str, object]) -> Conversation:
        asked, conversation = NewAgent.model_validate(body), self._found(request)
        conversation.connect(asked.userId, self._wall(), communication_id=asked.communicationId)
        return conversation

    def _say(self, request: web.Request, body: dict[str, object]) -> Conversation:
        asked, conversation = NewMessage.model_validate(body), self._found(request)
        self._cloud.say(conversation, asked.text)
        return conversation

    def _of_guest(self, request: web.Request, _body: dict[str, object]) -> Conversation:
        conversation = self._guests.conversation_of(request.match_info["token"])
        if conversation is None:
            raise Fault(404, "not.found", "No guest has this token.")
        return conversation

    def _disconnect(self, request: web.Request, body: dict[str, object]) -> Conversation:
        asked, conversation = Leaving.model_validate(body), self._found(request)
        if asked.communicationId is None:
            self._cloud.end(conversation)
            return conversation
        leg = conversation.leg(asked.communicationId)
        if leg is None:
            raise Fault(404, "not.found", "No leg of this conversation has this communication.")
        leg.end(self._wall())
        return conversation

    async def _sign_in(self, request: web.Request) -> web.Response:
        now = asyncio.get_running_loop().time() * 1000
        user_id = request.match_info["user_id"]
        return json_answer(self._identity.grant_user(user_id, now=now, life_s=self._life_s()))

    def _found(self, request: web.Request) -> Conversation:
        conversation = self._cloud.conversations.get(request.match_info["conversation_id"])
        if conversation is None:
            raise Fault(404, "not.found", "There is no such conversation.")
        return conversation
