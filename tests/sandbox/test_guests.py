"""The guest's socket, spoken to by hand. Frames and codes are those that public Web Messaging clients read."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSServerHandshakeError

from relay.sandbox.frames import HEALTH_CHECK_TRACING_ID
from tests.sandbox.cloud import AGENT, Caller, caller

pytestmark = pytest.mark.looptime
TOKEN = "5f0c2f9e-8a52-4d7e-9d3a-0123456789ab"
TYPING = {"type": "Event", "events": [{"eventType": "Typing", "typing": {"type": "On"}}]}
JOIN = {"type": "Event", "events": [{"eventType": "Presence", "presence": {"type": "Join"}}]}


class Guest:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse, token: str) -> None:
        self._socket = socket
        self._token = token

    async def say(self, action: str, **more: Any) -> None:  # whatever a client may send
        await self._socket.send_str(json.dumps({"action": action, "token": self._token} | more))

    async def hear(self, within_s: float = 1.0) -> dict[str, Any]:
        return await self._socket.receive_json(timeout=within_s)  # type: ignore[no-any-return] # a JSON object

    async def ask(self, action: str, **more: Any) -> dict[str, Any]:
        await self.say(action, **more)
        return await self.hear()

    async def is_closed(self) -> bool:
        return (await self._socket.receive(timeout=1.0)).type is aiohttp.WSMsgType.CLOSE


@asynccontextmanager
async def connected(it: Caller, token: str = TOKEN, **options: Any) -> AsyncIterator[Guest]:
    """`options` are aiohttp's own."""
    url = f"{it.platform.base_url}/v1?deploymentId=d-1"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, **options) as socket:
        yield Guest(socket, token)


@asynccontextmanager
async def guest(it: Caller, token: str = TOKEN) -> AsyncIterator[Guest]:
    async with connected(it, token) as made:
        frame = await made.ask("configureSession", deploymentId="d-1", tracingId="t-1", startNew=False)
        assert (frame["class"], frame["code"], frame["tracingId"]) == ("SessionResponse", 200, "t-1")
        yield made


def leg_of(it: Caller, token: str = TOKEN) -> tuple[str, str]:
    """(conversation, the communication of the agent who comes into it)."""
    conversation = it.platform.guests.conversation_of(token)
    assert conversation is not None
    return conversation.id, conversation.connect(AGENT, 0).communication_id


async def test_a_new_session_says_how_long_it_lives_in_seconds() -> None:
    async with caller() as it, connected(it) as one:
        first = (await one.ask("configureSession", deploymentId="d-1"))["body"]
        again = (await one.ask("configureSession", deploymentId="d-1"))["body"]
        assert (first["connected"], first["newSession"], again["newSession"]) == (True, True, False)
        assert first["durationSeconds"] == 259_200
        assert first["expirationDate"] < 10**10


async def test_the_guest_sees_the_agents_typing_as_clients_read_it() -> None:
    async with caller() as it, guest(it) as one:
        conversation, leg = leg_of(it)
        assert (await it.type(conversation_id=conversation, leg=leg)).status == 200
        frame = await one.hear()
        assert (frame["type"], frame["class"], frame["code"]) == ("message", "StructuredMessage", 200)
        body = frame["body"]
        assert (body["type"], body["direction"]) == ("Event", "Outbound")
        assert body["events"] == [{"eventType": "Typing", "typing": {"type": "On", "duration": 5000}}]
        assert body["id"]
        assert body["channel"]["time"].endswith("Z")


async def test_every_connection_of_the_guest_sees_it_and_no_other_guest_does() -> None:
    async with caller() as it, guest(it) as one, guest(it) as same, guest(it, "another") as other:
        conversation, leg = leg_of(it)
        await it.type(conversation_id=conversation, leg=leg)
        assert (await one.hear())["body"]["type"] == (await same.hear())["body"]["type"] == "Event"
        with pytest.raises(TimeoutError):
            await other.hear()


async def test_an_agents_message_and_the_end_come_through() -> None:
    async with caller() as it, guest(it) as one:
        conversation, _ = leg_of(it)
        path = f"/sandbox/conversations/{conversation}"
        await it.call("POST", f"{path}/messages", json={"text": "hello"})
        said = (await one.hear())["body"]
        assert (said["type"], said["text"], said["direction"]) == ("Text", "hello", "Outbound")
        await it.call("POST", f"{path}/disconnect")
        assert (await one.hear())["body"]["events"][0]["presence"]["type"] == "Disconnect"
        assert (await one.ask("onMessage", message={"type": "Text", "text": "?"}))["code"] == 409


async def test_the_sixty_first_request_of_a_minute_on_one_connection_is_told_how_long_to_wait() -> None:
    async with caller() as it, guest(it) as one:
        for _ in range(59):
            assert (await one.ask("getJwt"))["code"] == 200
        await asyncio.sleep(20)
        limited = await one.ask("getJwt")
        assert (limited["class"], limited["code"]) == ("TooManyRequestsErrorMessage", 429)
        assert limited["body"]["retryAfter"] == 40
        async with connected(it) as other:
            assert (await other.ask("configureSession"))["code"] == 200
        await asyncio.sleep(40)
        assert (await one.ask("getJwt"))["code"] == 200


async def test_a_frame_that_is_no_text_is_refused_even_if_it_holds_a_good_request() -> None:
    async with caller() as it, guest(it) as one:
        await one._socket.send_bytes(json.dumps({"action": "getJwt", "token": TOKEN}).encode())
        assert (await one.hear())["code"] == 400


@pytest.mark.parametrize(("offered", "taken"), [(15, 15), (0, 0)])
async def test_compression_is_taken_where_a_client_offers_it_and_never_else(offered: int, taken: int) -> None:
    async with caller() as it, connected(it, compress=offered) as one:
        assert one._socket.compress == taken
        text = {"type": "Text", "text": "hello " * 100}
        await one.ask("configureSession")
        assert (await one.ask("onMessage", message=text))["body"]["text"] == text["text"]


async def test_an_echo_comes_back_with_its_tracing_id_twice_a_minute() -> None:
    async with caller() as it, guest(it) as one:
        ping = {"type": "Text", "text": "ping"}
        for _ in range(2):
            frame = await one.ask("echo", message=ping, tracingId=HEALTH_CHECK_TRACING_ID)
            assert (frame["type"], frame["tracingId"]) == ("response", HEALTH_CHECK_TRACING_ID)
            assert (frame["body"]["text"], frame["body"]["direction"]) == ("ping", "Inbound")
        limited = await one.ask("echo", message=ping)
        assert (limited["class"], limited["code"]) == ("TooManyRequestsErrorMessage", 429)


async def test_a_guests_own_text_and_join_come_back_and_its_typing_does_not() -> None:
    async with caller() as it, guest(it) as one:
        text = await one.ask("onMessage", message={"type": "Text", "text": "hi"}, tracingId="t-2")
        assert (text["type"], text["body"]["direction"], text["tracingId"]) == ("message", "Inbound", "t-2")
        assert (await one.ask("onMessage", message=JOIN))["body"]["events"][0]["eventType"] == "Presence"
        await one.say("onMessage", message=TYPING)
        with pytest.raises(TimeoutError):
            await one.hear()
        assert it.platform.guests.typed == 1


async def test_typing_that_is_switched_off_is_forbidden_in_words() -> None:
    async with caller(guest_may_type=False, shows_agent_typing=False) as it, guest(it) as one:
        frame = await one.ask("onMessage", message=TYPING)
        assert (frame["class"], frame["code"]) == ("string", 403)
        config = (await it.call("GET", "/webdeployments/v1/deployments/d-1/config.json")).body
        switches = config["messenger"]["apps"]["conversations"]
        assert (switches["showAgentTypingIndicator"], switches["showUserTypingIndicator"]) == (False, False)


async def test_a_sixth_message_in_a_second_is_told_how_long_to_wait() -> None:
    async with caller() as it, guest(it) as one:
        for _ in range(5):
            await one.ask("onMessage", message={"type": "Text", "text": "hi"})
        limited = await one.ask("onMessage", message={"type": "Text", "text": "hi"})
        assert (limited["code"], limited["body"]["errorCode"], limited["body"]["retryAfter"]) == (
            429,
            4029,
            1,
        )


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", 400),
        ("[]", 400),
        ('{"action": "echo"}', 4020),
        ('{"action": "echo", "token": "t"}', 4007),
        ('{"action": "onMessage", "token": "t", "message": {}}', 4007),
    ],
)
async def test_what_comes_before_its_session_has_a_code_of_its_own(frame: str, code: int) -> None:
    async with caller() as it, connected(it) as one:
        await one._socket.send_str(frame)
        assert (await one.hear())["code"] == code


async def test_an_expired_session_says_so() -> None:
    async with caller(guest_session_s=900) as it, guest(it) as one:
        await asyncio.sleep(901)
        frame = await one.ask("onMessage", message={"type": "Text", "text": "hi"})
        assert frame["class"] == "SessionExpiredEvent"
        assert (await one.hear())["code"] == 4006


async def test_a_message_too_long_and_a_feature_that_is_off_are_frames_not_closes() -> None:
    async with caller() as it, guest(it) as one:
        text = {"type": "Text", "text": "x" * 4096}
        assert (await one.ask("onMessage", message=text))["code"] == 4011
        assert (await one.ask("onAttachment"))["code"] == 4000
        assert (await one.ask("getJwt"))["class"] == "JwtResponse"


async def test_the_fourth_connection_closes_the_first() -> None:
    async with caller() as it, guest(it) as first, guest(it), guest(it), guest(it):
        frame = await first.hear()
        assert frame["class"] == "ConnectionClosedEvent"
        assert frame["body"]["reason"] == frame["body"]["reasonCode"]
        assert await first.is_closed()


async def test_a_guest_who_leaves_is_told_goodbye() -> None:
    async with caller() as it, guest(it) as one:
        assert (await one.ask("closeSession"))["class"] == "ConnectionClosedEvent"
        assert await one.is_closed()


async def test_only_allowed_origins_may_connect() -> None:
    async with caller(guest_origins=["https://shop.example"]) as it:
        with pytest.raises(WSServerHandshakeError, match="403"):
            async with connected(it, origin="https://evil.example"):
                pass
        async with connected(it, origin="https://shop.example") as one:
            assert (await one.ask("configureSession"))["code"] == 200
