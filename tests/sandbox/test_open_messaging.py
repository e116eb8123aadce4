"""Open Messaging by hand: what a middleware of one's own sends in, and is told."""

import asyncio
import hashlib
import hmac
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from relay import wire
from relay.sandbox.open_messaging import KEPT_INTEGRATIONS
from relay.sandbox.serving import Listener
from tests.sandbox.cloud import AGENT, Caller, caller

pytestmark = pytest.mark.looptime
EVENT: dict[str, Any] = {  # a body, of any shape where it is changed
    "channel": {
        "from": {"id": "visitor-1", "idType": "Opaque", "nickname": "Bob"},
        "time": "2026-01-01T10:00:00.000Z",
    },
    "events": [{"eventType": "Typing"}],
}


class Ears:
    """The middleware's webhook: keeps what it hears, and checks each signature by the formula."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        app = web.Application()
        app.router.add_post("/outbound", self._hear)
        self.listener = Listener(app, host="127.0.0.1", port=0)

    async def _hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        digest = hmac.new(b"hub-secret", body, hashlib.sha256).digest()
        assert request.headers["X-Hub-Signature-256"] == f"sha256={b64encode(digest).decode()}"
        self.heard.append(wire.loads(body))
        return web.Response(status=200)


@asynccontextmanager
async def ears() -> AsyncIterator[Ears]:
    made = Ears()
    await made.listener.start()
    try:
        yield made
    finally:
        await made.listener.close()


async def introduced(it: Caller, made: Ears, **switches: bool) -> str:
    given = {"webhookUrl": f"{made.listener.base_url}/outbound", "secret": "hub-secret"} | switches
    return str((await it.call("POST", "/sandbox/integrations", json=given)).body["id"])


async def arrive(it: Caller, integration: str, body: object = EVENT) -> Any:  # whatever is said
    path = f"/api/v2/conversations/messages/{integration}/inbound/open/event"
    return await it.call("POST", path, json=body, headers=it.bearer)


async def test_a_visitors_typing_opens_one_conversation_and_is_answered_normalized() -> None:
    async with caller() as it, ears() as made:
        integration = await introduced(it, made, inboundTyping=True)
        said = await arrive(it, integration)
        assert said.status == 200
        assert (said.body["type"], said.body["channel"]["platform"]) == ("Event", "Open")
        assert said.body["events"] == [{"eventType": "Typing", "typing": {"type": "On", "duration": 5000}}]
        await arrive(it, integration)
        assert len([each for each in it.platform.cloud.conversations if each.medium == "open"]) == 1


async def test_the_agents_typing_and_message_come_out_signed() -> None:
    async with caller() as it, ears() as made:
        integration = await introduced(it, made, inboundTyping=True, outboundTyping=True)
        await arrive(it, integration)
        conversation = it.platform.cloud.conversations.of_visitor(integration, "visitor-1")
        assert conversation is not None
        leg = conversation.connect(AGENT, 0).communication_id
        assert (await it.type(conversation_id=conversation.id, leg=leg)).status == 200
        await it.call("POST", f"/sandbox/conversations/{conversation.id}/messages", json={"text": "hi"})
        await asyncio.sleep(1)
        typing, text = made.heard
        assert (typing["type"], typing["direction"], typing["channel"]["to"]["id"]) == (
            "Event",
            "Outbound",
            "visitor-1",
        )
        assert typing["events"] == [{"eventType": "Typing", "typing": {"type": "On", "duration": 5000}}]
        assert (text["type"], text["text"]) == ("Text", "hi")
        assert (it.platform.open_messaging.told, it.platform.open_messaging.missed) == (2, 0)


async def test_typing_is_off_in_both_directions_until_it_is_switched_on() -> None:
    async with caller() as it, ears() as made:
        integration = await introduced(it, made)
        said = await arrive(it, integration)
        assert (said.status, said.body["code"]) == (400, "bad.request")
        assert not [each for each in it.platform.cloud.conversations if each.medium == "open"]


async def test_an_agents_typing_is_told_only_where_outbound_typing_is_on_and_messages_always() -> None:
    async with caller() as it, ears() as made:
        integration = await introduced(it, made, inboundTyping=True)
        await arrive(it, integration)
        conversation = it.platform.cloud.conversations.of_visitor(integration, "visitor-1")
        assert conversation is not None
        leg = conversation.connect(AGENT, 0).communication_id
        assert (await it.type(conversation_id=conversation.id, leg=leg)).status == 200
        it.platform.cloud.say(conversation, "hi")
        await asyncio.sleep(1)
        assert [each["type"] for each in made.heard] == ["Text"]


async def test_of_too_many_integrations_the_first_makes_room() -> None:
    async with caller() as it, ears() as made:
        first = await introduced(it, made, inboundTyping=True)
        for _ in range(KEPT_INTEGRATIONS - 1):
            await introduced(it, made)
        assert (await arrive(it, first)).status == 200
        await introduced(it, made)
        assert (await arrive(it, first)).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        EVENT | {"events": []},
        EVENT | {"events": [{"eventType": "Typing", "typing": {"type": "On"}}]},
        EVENT | {"channel": {"from": {"id": "v", "idType": "Name"}, "time": "2026-01-01T10:00:00Z"}},
        EVENT | {"channel": {"from": {"id": "v", "idType": "Opaque"}, "time": "today"}},
    ],
)
async def test_an_inbound_event_that_is_not_of_the_model_is_refused(body: object) -> None:
    async with caller() as it, ears() as made:
        integration = await introduced(it, made, inboundTyping=True)
        said = await arrive(it, integration, body)
        assert (said.status, said.body["code"]) == (400, "invalid.value")


async def test_only_a_client_that_may_brings_guests_in() -> None:
    async with caller() as it, ears() as made:
        integration = await introduced(it, made, inboundTyping=True)
        assert (await arrive(it, AGENT)).status == 404
        it.platform.mischief.change({"is_permitted": False})
        said = await arrive(it, integration)
        assert (said.status, "conversation:message:receive" in said.body["message"]) == (403, True)
        it.platform.mischief.change({"is_permitted": True})
        await it.sign_in(AGENT)
        assert (await arrive(it, integration)).status == 403
