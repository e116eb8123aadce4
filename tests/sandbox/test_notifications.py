"""How an application learns that a guest types: a channel, its topics, its socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.sandbox.cloud import AGENT, OTHER_AGENT, Caller, Said, caller
from tests.sandbox.test_guests import TYPING, guest, leg_of
from tests.sandbox.test_open_messaging import arrive, ears, introduced

pytestmark = pytest.mark.looptime
BASE = "/api/v2/notifications"


def topic(user_id: str = AGENT) -> str:
    return f"v2.users.{user_id}.conversations.inbound.typing.event"


async def channel(it: Caller) -> dict[str, Any]:
    said = await it.call("POST", f"{BASE}/channels", headers=it.bearer)
    assert said.status == 200
    return said.body


async def subscribe(it: Caller, made: dict[str, Any], *topics: str, method: str = "POST") -> Said:
    body = [{"id": each} for each in topics]
    path = f"{BASE}/channels/{made['id']}/subscriptions"
    return await it.call(method, path, json=body, headers=it.bearer)


@asynccontextmanager
async def listening(made: dict[str, Any]) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as http, http.ws_connect(made["connectUri"]) as socket:
        yield socket


async def heard(socket: aiohttp.ClientWebSocketResponse, within_s: float = 1.0) -> Any:  # a JSON object
    return await socket.receive_json(timeout=within_s)


async def test_a_guests_typing_is_told_to_the_agent_who_is_connected_and_names_no_token() -> None:
    async with caller() as it, guest(it, "secret-of-the-guest") as one:
        conversation, _ = leg_of(it, "secret-of-the-guest")
        made = await channel(it)
        said = await subscribe(it, made, topic(), topic(OTHER_AGENT))
        assert [each["state"] for each in said.body["entities"]] == ["Permitted", "Permitted"]
        async with listening(made) as socket:
            await one.say("onMessage", message=TYPING)
            told = await heard(socket)
            with pytest.raises(TimeoutError):
                await heard(socket)
        assert told["topicName"] == topic()
        body = told["eventBody"]
        assert body["conversationId"] == conversation
        message = body["normalizedMessage"]
        assert (message["type"], message["direction"]) == ("Event", "Inbound")
        assert message["channel"]["platform"] == "WebMessaging"
        assert message["events"] == [{"eventType": "Typing", "typing": {"type": "On", "duration": 5000}}]
        assert "secret-of-the-guest" not in str(told)


async def test_a_visitors_typing_by_open_messaging_is_told_too() -> None:
    async with caller() as it, ears() as hub:
        integration = await introduced(it, hub, inboundTyping=True)
        await arrive(it, integration)
        conversation = it.platform.cloud.conversations.of_visitor(integration, "visitor-1")
        assert conversation is not None
        conversation.connect(AGENT, 0)
        made = await channel(it)
        await subscribe(it, made, topic())
        async with listening(made) as socket:
            await arrive(it, integration)
            sent = (await heard(socket))["eventBody"]["normalizedMessage"]["channel"]
        assert (sent["platform"], sent["from"], sent["to"]) == (
            "Open",
            {"id": "visitor-1"},
            {"id": integration},
        )


async def test_an_agents_own_typing_has_no_topic() -> None:
    async with caller() as it:
        made = await channel(it)
        await subscribe(it, made, topic())
        async with listening(made) as socket:
            assert (await it.type()).status == 200
            with pytest.raises(TimeoutError):
                await heard(socket)


async def test_who_has_left_is_told_nothing() -> None:
    async with caller() as it, guest(it) as one:
        conversation, leg = leg_of(it)
        path = f"/sandbox/conversations/{conversation}/disconnect"
        await it.call("POST", path, json={"communicationId": leg})
        made = await channel(it)
        await subscribe(it, made, topic())
        async with listening(made) as socket:
            await one.say("onMessage", message=TYPING)
            with pytest.raises(TimeoutError):
                await heard(socket)


async def test_topics_are_added_by_post_and_replaced_by_put() -> None:
    async with caller() as it, guest(it) as one, guest(it, "another") as other:
        for token, agent in (("5f0c2f9e-8a52-4d7e-9d3a-0123456789ab", AGENT), ("another", OTHER_AGENT)):
            conversation = it.platform.guests.conversation_of(token)
            assert conversation is not None
            conversation.connect(agent, 0)
        made = await channel(it)
        await subscribe(it, made, topic())
        await subscribe(it, made, topic(OTHER_AGENT))
        async with listening(made) as socket:
            await one.say("onMessage", message=TYPING)
            assert (await heard(socket))["topicName"] == topic()
            await subscribe(it, made, topic(OTHER_AGENT), method="PUT")
            await one.say("onMessage", message=TYPING)
            await other.say("onMessage", message=TYPING)
            assert (await heard(socket))["topicName"] == topic(OTHER_AGENT)


async def test_a_topic_that_is_none_or_another_users_is_rejected_and_says_why() -> None:
    async with caller(wants_users=True) as it:
        await it.sign_in(AGENT)
        made = await channel(it)
        said = await subscribe(
            it, made, topic(), topic(OTHER_AGENT), f"v2.users.{AGENT}.conversations.messages"
        )
        states = [(each["state"], bool(each.get("rejectionReason"))) for each in said.body["entities"]]
        assert states == [("Permitted", False), ("Rejected", True), ("Rejected", True)]


async def test_a_client_of_no_user_is_refused_where_the_platform_wants_users() -> None:
    async with caller(wants_users=True) as it:
        said = await subscribe(it, await channel(it), topic())
        assert [each["state"] for each in said.body["entities"]] == ["Rejected"]
        (offered,) = (await it.get(f"{BASE}/availabletopics")).body["entities"]
        assert (offered["id"], offered["requiresCurrentUser"]) == (topic("{id}"), True)


async def test_a_channel_is_its_makers_and_ends_after_a_day() -> None:
    async with caller() as it:
        made, client = await channel(it), it.token
        await it.sign_in(AGENT)
        assert (await subscribe(it, made, topic())).status == 403
        await asyncio.sleep(86_400)
        await it.log_in()
        assert it.token != client
        assert (await subscribe(it, made, topic())).status == 404


async def test_a_channel_has_a_thousand_topics_at_most() -> None:
    async with caller() as it:
        made = await channel(it)
        assert (await subscribe(it, made, *(topic(f"u-{n}") for n in range(1000)))).status == 200
        assert (await subscribe(it, made, topic("u-1000"))).status == 400
        assert (await subscribe(it, made, topic("u-999"))).status == 200


async def test_of_twenty_one_channels_the_first_is_closed() -> None:
    async with caller() as it:
        first = await channel(it)
        async with listening(first) as socket:
            for _ in range(20):
                await channel(it)
            assert (await socket.receive(timeout=1)).type is aiohttp.WSMsgType.CLOSE
        assert (await subscribe(it, first, topic())).status == 404


async def test_a_channel_has_one_socket_and_the_newer_one_is_it() -> None:
    async with caller() as it, guest(it) as one:
        leg_of(it)
        made = await channel(it)
        await subscribe(it, made, topic())
        async with listening(made) as first, listening(made) as second:
            assert (await first.receive(timeout=1)).type is aiohttp.WSMsgType.CLOSE
            await one.say("onMessage", message=TYPING)
            assert (await heard(second))["topicName"] == topic()


async def test_a_quiet_socket_beats_every_thirty_seconds() -> None:
    async with caller() as it, listening(await channel(it)) as socket:
        began = asyncio.get_running_loop().time()
        for beat in (1, 2):
            assert (await heard(socket, 31))["topicName"] == "channel.metadata"
            assert asyncio.get_running_loop().time() - began == pytest.approx(30 * beat, abs=0.1)


@pytest.mark.parametrize("body", [{}, [], [{}], [{"id": 1}], ["topic"], "topic"])
async def test_a_body_that_names_no_topics_is_refused(body: object) -> None:
    async with caller() as it:
        made = await channel(it)
        path = f"{BASE}/channels/{made['id']}/subscriptions"
        said = await it.call("POST", path, json=body, headers=it.bearer)
        assert (said.status, said.body["code"]) == (400, "bad.request")


async def test_a_socket_of_no_channel_is_not_there() -> None:
    async with caller() as it:
        assert (await it.call("GET", "/channels/streaming-1")).status == 404
        assert (await it.call("POST", f"{BASE}/channels")).status == 401
