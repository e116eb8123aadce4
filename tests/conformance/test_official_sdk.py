"""The stand-in against the platform's own Python SDK: who satisfies that, satisfies what integrators run.

Needs the extra `conformance`; without it these tests are skipped.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.sandbox.chaos import Chaos, Forced
from relay.sandbox.conversations import Conversation
from relay.sandbox.platform import StandInPlatform

pytestmark = pytest.mark.skipif(
    find_spec("PureCloudPlatformClientV2") is None,
    reason="the platform's SDK is not installed: pip install -e '.[conformance]'",
)

PROGRAM = Path(__file__).with_name("official_sdk.py")
AGENT = "11111111-1111-4111-8111-111111111111"
LEG = "33333333-3333-4333-8333-333333333333"
NOBODY = "99999999-9999-4999-8999-999999999999"
UNKNOWN = "outdated_sdk_version"
"""What the SDK's models make of a value they do not know."""

TIME = "2026-01-01T10:00:00.123456+00:00"


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator["subprocess.Popen[str]"]:
    """One process for all the tests here; the home it watches is an empty folder."""
    home = tmp_path_factory.mktemp("home")
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        cwd=home,
    ) as process:
        yield process
        process.kill()


@dataclass
class Integrator:
    """Who uses the SDK against a platform."""

    sdk: "subprocess.Popen[str]"
    platform: StandInPlatform
    conversation: Conversation

    async def call(self, call: str, **asked: Any) -> Any:  # whatever the SDK made of it
        usual = {
            "call": call,
            "host": self.platform.base_url,
            "client_id": self.platform.identity.client_id,
            "client_secret": self.platform.identity.client_secret,
            "conversation_id": self.conversation.id,
            "communication_id": LEG,
        }
        async with asyncio.timeout(30):
            return await asyncio.to_thread(self._said, json.dumps(usual | asked))

    def _said(self, line: str) -> Any:
        assert self.sdk.stdin is not None
        assert self.sdk.stdout is not None
        self.sdk.stdin.write(line + "\n")
        self.sdk.stdin.flush()
        return json.loads(self.sdk.stdout.readline())


@asynccontextmanager
async def integrator(sdk: "subprocess.Popen[str]", **chaos: Any) -> AsyncIterator[Integrator]:
    async with StandInPlatform(Chaos.none().changed(**chaos)) as platform:
        yield Integrator(sdk, platform, platform.stagehand.open(AGENT, communication_id=LEG))


async def introduced(it: Integrator, *, takes_typing: bool = True) -> str:
    """An Open Messaging integration whose webhook nobody hears."""
    given = {"webhookUrl": "http://127.0.0.1:9/", "secret": "s", "inboundTyping": takes_typing}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{it.platform.base_url}/sandbox/integrations", json=given) as answer,
    ):
        return str((await answer.json())["id"])


def problem(said: Any) -> tuple[int, str]:
    return said["status"], said["body"]["code"]


async def test_the_agents_leg_is_found_and_typing_on_it_is_shown_to_the_guest(sdk: Any) -> None:
    async with integrator(sdk) as it:
        read = (await it.call("get_conversation"))["made"]
        (agent,) = [each for each in read["participants"] if each["purpose"] == "agent"]
        assert (agent["userId"], agent["messages"][0]["state"]) == (AGENT, "connected")
        said = await it.call("typing", communication_id=agent["messages"][0]["id"], duration=5000)
        assert said == {"made": None}
        assert it.platform.visible(it.conversation.id) == "typing"


async def test_the_other_shape_of_a_conversation_is_read_too(sdk: Any) -> None:
    async with integrator(sdk) as it:
        read = (await it.call("get_conversations_message"))["made"]
        assert read["id"] == it.conversation.id
        assert {each["purpose"]: each["state"] for each in read["participants"]} == {
            "customer": "connected",
            "agent": "connected",
        }


@pytest.mark.parametrize("date_sent", [TIME, "2026-01-01T10:00:00", "2026-01-01T10:00:00+02:00"])
async def test_typing_may_come_without_duration_and_with_dates_as_the_sdk_writes_them(
    sdk: Any, date_sent: str
) -> None:
    async with integrator(sdk) as it:
        assert await it.call("typing", date_sent=date_sent) == {"made": None}
        assert it.platform.arrivals[0].duration_ms == 5000


@pytest.mark.parametrize("time", [TIME, "2026-01-01T10:00:00"])
async def test_a_visitors_typing_comes_in_by_open_messaging(sdk: Any, time: str) -> None:
    async with integrator(sdk) as it:
        integration = await introduced(it)
        read = (await it.call("inbound_open_event", integration_id=integration, time=time))["made"]
        assert (read["type"], read["channel"]["platform"]) == ("Event", "Open")
        assert read["channel"]["from"]["id"] == "visitor-1"
        assert read["events"][0]["eventType"] == "Typing"


async def test_what_the_models_do_not_know_is_refused(sdk: Any) -> None:
    """For `Off` the SDK writes a word of its own, which a lenient stand-in would take for typing."""
    async with integrator(sdk) as it:
        assert problem(await it.call("typing", type="Off")) == (400, "invalid.value")


async def test_inbound_typing_that_is_not_switched_on_is_refused(sdk: Any) -> None:
    async with integrator(sdk) as it:
        integration = await introduced(it, takes_typing=False)
        said = await it.call("inbound_open_event", integration_id=integration, time=TIME)
        assert problem(said) == (400, "bad.request")


async def test_wrong_credentials_are_refused_in_the_log_ins_own_shape(sdk: Any) -> None:
    async with integrator(sdk) as it:
        said = await it.call("typing", client_secret="wrong")
        assert (said["status"], said["body"]["error"]) == (401, "invalid_client")


async def test_a_token_nobody_gave_out_is_401(sdk: Any) -> None:
    async with integrator(sdk) as it:
        assert problem(await it.call("typing", token="made-up")) == (401, "bad.credentials")


async def test_a_missing_permission_is_403_and_named(sdk: Any) -> None:
    async with integrator(sdk, is_permitted=False) as it:
        said = await it.call("typing")
        assert problem(said) == (403, "missing.any.permissions")
        assert "conversation:message:create" in said["body"]["message"]


async def test_reading_legs_without_the_permission_is_403_and_the_permission_is_named(sdk: Any) -> None:
    async with integrator(sdk, may_read=False) as it:
        said = await it.call("get_conversation")
        assert problem(said) == (403, "missing.any.permissions")
        assert "conversation:communication:view" in said["body"]["message"]


async def test_a_message_is_read_by_its_id_and_an_unknown_one_is_404(sdk: Any) -> None:
    async with integrator(sdk) as it:
        it.platform.cloud.say(it.conversation, "hello")
        message_id = it.conversation.messages[0].id
        read = (await it.call("get_conversations_message_details", message_id=message_id))["made"]
        assert UNKNOWN not in str(read)
        assert (read["id"], read["conversationId"]) == (message_id, it.conversation.id)
        assert (read["direction"], read["messengerType"], read["status"]) == (
            "outbound",
            "webmessaging",
            "sent",
        )
        assert (read["normalizedMessage"]["type"], read["normalizedMessage"]["text"]) == ("Text", "hello")
        said = await it.call("get_conversations_message_details", message_id=NOBODY)
        assert problem(said) == (404, "not.found")


async def test_a_guests_history_is_read_in_pages_with_the_guests_jwt(sdk: Any) -> None:
    async with integrator(sdk) as it:
        it.platform.guests.admit("guest-token", it.conversation)
        for text in ("one", "two", "three"):
            it.platform.cloud.say(it.conversation, text)
        it.platform.cloud.end(it.conversation)
        now = asyncio.get_running_loop().time() * 1000
        jwt = it.platform.identity.grant_guest("guest-token", now=now, life_s=60)
        page = {"page_size": 2, "page_number": 1}
        read = (await it.call("get_webmessaging_messages", jwt=jwt, **page))["made"]
        assert UNKNOWN not in str(read)
        assert [each["type"] for each in read["entities"]] == ["Event", "Text"]
        assert read["entities"][0]["events"][0]["presence"]["type"] == "Disconnect"
        assert (read["entities"][1]["text"], read["total"], read["pageCount"]) == ("three", 4, 2)
        said = await it.call("get_webmessaging_messages", jwt="made-up", **page)
        assert problem(said) == (401, "bad.credentials")


async def test_a_guests_typing_comes_by_a_topic_that_is_offered_and_permitted(sdk: Any) -> None:
    async with integrator(sdk) as it, aiohttp.ClientSession() as http:
        (offered,) = (await it.call("available_topics"))["made"]["entities"]
        topic = offered["id"].replace("{id}", AGENT)
        channel = (await it.call("open_channel"))["made"]
        for how in ("put", "post"):
            asked = {"channel_id": channel["id"], "topics": [topic, "v2.no.such.topic"], "how": how}
            states = (await it.call("subscribe", **asked))["made"]["entities"]
            assert [(each["id"], each["state"]) for each in states] == [
                (topic, "Permitted"),
                ("v2.no.such.topic", "Rejected"),
            ]
        async with http.ws_connect(channel["connectUri"]) as socket:
            it.platform.cloud.guest_types(it.conversation)
            told = await socket.receive_json(timeout=5)
        assert told["topicName"] == topic
        read = (await it.call("typing_notification", event=told["eventBody"]))["made"]
        for event in (read, told["eventBody"]):
            del event["normalizedMessage"]["channel"]["time"]  # written in two ways
        assert read == told["eventBody"]


@pytest.mark.parametrize("call", ["typing", "get_conversation", "get_conversations_message"])
async def test_what_is_not_there_is_404(sdk: Any, call: str) -> None:
    async with integrator(sdk) as it:
        said = await it.call(call, conversation_id=NOBODY)
        assert problem(said) == (404, "not.found")
        assert said["headers"]["inin-correlation-id"]


async def test_the_thirteenth_typing_of_a_minute_is_429_with_its_wait_and_its_limit(sdk: Any) -> None:
    async with integrator(sdk) as it:
        for _ in range(12):
            assert await it.call("typing") == {"made": None}
        said = await it.call("typing", retries=False)
        assert problem(said) == (429, "too.many.requests")
        assert 1 <= int(said["headers"]["retry-after"]) <= 60
        assert (said["body"]["limit"]["namespace"], said["body"]["limit"]["value"]) == ("conversation", 12)
        assert said["headers"]["inin-ratelimit-allowed"] == "300"


async def test_left_to_itself_the_sdk_waits_as_long_as_it_is_asked_and_sends_the_same_again(sdk: Any) -> None:
    """Why the relay does not use it: by then the typing may be over."""
    async with integrator(sdk) as it:
        it.platform.mischief.force(Forced(status=429, headers={"retry-after": "1"}))
        assert await it.call("typing") == {"made": None}
        refused, shown = it.platform.arrivals
        assert (refused.status, shown.status) == (429, 200)
        assert shown.at - refused.at >= 1000
