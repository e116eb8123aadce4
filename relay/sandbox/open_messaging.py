"""Open Messaging on the stand-in platform: a middleware of one's own brings guests in, and is told what agents do.

    POST /sandbox/integrations                                        {webhookUrl, secret, integrationId?, …}
    POST /api/v2/conversations/messages/{integrationId}/inbound/open/event
                                                                      {channel: {from, time}, events: [{eventType}]}
    out: agents' typing and messages ─► POST webhookUrl, signed in X-Hub-Signature-256

Typing is off in both directions until it is switched on, as on the real platform. What is told is told once: a middleware
that does not answer in time has missed it.
"""

import asyncio
import hashlib
import hmac
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import uuid4

import aiohttp
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relay import wire
from relay.core.ids import UUID_PATTERN
from relay.core.moments import UnixMs, rfc3339
from relay.sandbox.callers import CLIENT, RECEIVING
from relay.sandbox.cloud import Cloud
from relay.sandbox.conversations import Conversation, Leg, Message
from relay.sandbox.faults import Fault, json_answer, json_body

SIGNATURE_HEADER = "X-Hub-Signature-256"
WEBHOOK_S = 5.0
MOST_WAITING = 10_000
KEPT_INTEGRATIONS = 1000


class Integration(BaseModel):
    """A middleware, as an operator introduces it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    integrationId: Annotated[str, Field(pattern=UUID_PATTERN)] = ""  # noqa: N815 - the wire's own names
    webhookUrl: str = Field(pattern=r"^https?://")  # noqa: N815 - as above
    secret: str = Field(min_length=1, repr=False)
    inboundTyping: bool = False  # noqa: N815 - as above
    outboundTyping: bool = False  # noqa: N815 - as above


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class From(_Asked):
    id: str = Field(min_length=1)
    idType: str = Field(pattern="^(Email|Phone|Opaque)$")  # noqa: N815 - the wire's own name
    nickname: str | None = None
    firstName: str | None = None  # noqa: N815 - as above
    lastName: str | None = None  # noqa: N815 - as above
    image: str | None = None
    email: str | None = None


class Channel(_Asked):
    from_: From = Field(alias="from")
    time: datetime
    """With a zone or without: the official SDK writes what its caller gave it."""


class Event(_Asked):
    """Without a duration or a type: a guest's typing has neither on its way in."""

    eventType: Annotated[str, Field(pattern="^Typing$")]  # noqa: N815 - the wire's own name


class InboundEvent(_Asked):
    channel: Channel
    events: list[Event] = Field(min_length=1)


class _Message(NamedTuple):
    integration: Integration
    body: bytes


class OpenMessaging:
    """`told` and `missed` count webhooks answered with 2xx, and the others."""

    def __init__(self, cloud: Cloud, *, wall: Callable[[], UnixMs]) -> None:
        self._cloud = cloud
        self._wall = wall
        self._integrations: dict[str, Integration] = {}
        self._waiting: asyncio.Queue[_Message] = asyncio.Queue(MOST_WAITING)
        self.told = 0
        self.missed = 0
        cloud.on_typing.append(self._tell_typing)
        cloud.on_message.append(self._tell_message)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/sandbox/integrations", self._introduce)
        path = "/api/v2/conversations/messages/{integration_id}/inbound/open/event"
        app.router.add_post(path, self._inbound)
        app.cleanup_ctx.append(self._sending)

    # -- in --------------------------------------------------------------------------------------------------

    async def _introduce(self, request: web.Request) -> web.Response:
        """The oldest makes room. Raises Fault."""
        try:
            given = Integration.model_validate({"integrationId": str(uuid4())} | await json_body(request))
        except ValidationError as why:
            raise _unusable(why) from None
        self._integrations[given.integrationId] = given
        if len(self._integrations) > KEPT_INTEGRATIONS:
            del self._integrations[next(iter(self._integrations))]
        return json_answer({"id": given.integrationId})

    async def _inbound(self, request: web.Request) -> web.Response:
        """Raises Fault."""
        if self._cloud.callers.check(request) != CLIENT:
            raise Fault(403, "not.authorized", "A client credentials token is needed here.")
        self._cloud.callers.check_permission(CLIENT, RECEIVING)
        integration = self._integrations.get(request.match_info["integration_id"])
        if integration is None:
            raise Fault(404, "not.found", "The requested resource was not found.")
        if not integration.inboundTyping:
            raise Fault(400, "bad.request", "Inbound typing events are disabled for this integration.")
        try:
            asked = InboundEvent.model_validate(await json_body(request))
        except ValidationError as why:
            raise _unusable(why) from None
        self._cloud.guest_types(self._conversation_of(integration, asked.channel.from_.id))
        return json_answer(self._normalized(integration, asked))

    def _conversation_of(self, integration: Integration, visitor_id: str) -> Conversation:
        known = self._cloud.conversations.of_visitor(integration.integrationId, visitor_id)
        return known or self._cloud.conversations.add(
            Conversation(
                self._wall(), medium="open", integration_id=integration.integrationId, visitor_id=visitor_id
            )
        )

    def _normalized(self, integration: Integration, asked: InboundEvent) -> dict[str, object]:
        sender = asked.channel.from_.model_dump(exclude_none=True)
        channel = self._channel(integration, str(uuid4()))
        channel |= {"from": sender, "to": {"id": integration.integrationId}}
        return _message(channel, "Inbound", events=[_typing(5000) for _ in asked.events])

    # -- out -------------------------------------------------------------------------------------------------

    def _tell_typing(self, conversation: Conversation, _leg: Leg, duration_ms: int) -> None:
        integration = self._integrations.get(conversation.integration_id or "")
        if integration is not None and integration.outboundTyping:
            self._tell(integration, conversation, str(uuid4()), events=[_typing(duration_ms)])

    def _tell_message(self, conversation: Conversation, message: Message) -> None:
        integration = self._integrations.get(conversation.integration_id or "")
        if integration is not None:
            self._tell(integration, conversation, message.id, text=message.text)

    def _tell(
        self, integration: Integration, conversation: Conversation, message_id: str, **what: object
    ) -> None:
        sender = {"id": integration.integrationId, "idType": "Opaque", "nickname": "Sandbox"}
        channel = self._channel(integration, message_id) | {
            "from": sender,
            "to": {"id": conversation.visitor_id},
        }
        body = wire.dumps(_message(channel, "Outbound", **what))
        try:
            self._waiting.put_nowait(_Message(integration, body))
        except asyncio.QueueFull:
            self.missed += 1

    def _channel(self, integration: Integration, message_id: str) -> dict[str, object]:
        return {
            "id": integration.integrationId,
            "platform": "Open",
            "type": "Private",
            "messageId": message_id,
            "time": rfc3339(self._wall()),
        }

    async def _sending(self, _app: web.Application) -> AsyncIterator[None]:
        """One after the other, for as long as the platform serves."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WEBHOOK_S)) as http:
            sender = asyncio.create_task(self._send_all(http), name="sandbox: outbound webhooks")
            yield
            sender.cancel()
            await asyncio.wait({sender})

    async def _send_all(self, http: aiohttp.ClientSession) -> None:
        while True:
            message = await self._waiting.get()  # for as long as there is nothing to tell
            headers = {
                "content-type": "application/json",
                SIGNATURE_HEADER: signature_of(message.integration.secret, message.body),
            }
            try:
                async with http.post(
                    message.integration.webhookUrl, data=message.body, headers=headers
                ) as answer:
                    is_told = answer.status < 300
            except (aiohttp.ClientError, TimeoutError, OSError):
                is_told = False
            self.told += is_told
            self.missed += not is_told


def signature_of(secret: str, body: bytes) -> str:
    """`sha256=` and the base64 of the body's HMAC-SHA256."""
    return f"sha256={b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()}"


def _typing(duration_ms: int) -> dict[str, object]:
    return {"eventType": "Typing", "typing": {"type": "On", "duration": duration_ms}}


def _message(
    channel: dict[str, object], direction: str, **what: Any
) -> dict[str, object]:  # as it is sent on
    kind = "Event" if "events" in what else "Text"
    return {
        "id": channel["messageId"],
        "type": kind,
        "direction": direction,
        "originatingEntity": "Human",
        "channel": channel,
        **what,
    }


def _unusable(why: ValidationError) -> Fault:
    fields = ", ".join(".".join(map(str, each["loc"])) for each in why.errors())
    return Fault(400, "invalid.value", f"These fields will not do: {fields}.")
