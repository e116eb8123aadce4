"""A public Web Messaging client as the guest, and the relay as the agent's: the client ends at a frame it cannot read.

Needs node and the package `@ovotech/genesys-web-messaging-tester` (2.0.7) with `ws` where NODE_PATH leads; else these
tests are skipped. Where the registry does not have it, its public source is a folder of the same name there, compiled by
`tsc` into its `lib`.
"""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay import app, wire
from relay.sandbox.conversations import Conversation
from relay.sandbox.platform import StandInPlatform
from relay.settings.models import Settings
from tests.sandbox.cloud import AGENT, Caller, caller

PROGRAM = Path(__file__).with_name("guest_client.cjs")
PACKAGE = "@ovotech/genesys-web-messaging-tester"


def is_installed() -> bool:
    node = shutil.which("node")
    if node is None or "NODE_PATH" not in os.environ:
        return False
    asked = [node, "-e", f"require.resolve('{PACKAGE}'); require.resolve('ws')"]
    return subprocess.run(asked, capture_output=True, timeout=20, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    not is_installed(), reason=f"no node, or no {PACKAGE} and ws where NODE_PATH leads"
)


@dataclass
class Guest:
    hear: Callable[[], Awaitable[Any]]
    do: Callable[[wire.Json], None]
    token: str


@asynccontextmanager
async def guest(it: Caller) -> AsyncIterator[Guest]:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(PROGRAM),
        it.platform.base_url.replace("http", "ws", 1),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in ("PATH", "NODE_PATH")},
    )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    async def hear() -> Any:  # whatever the client made of a frame
        async with asyncio.timeout(10):
            line = await stdout.readline()
        assert line, "the client has ended"
        return wire.loads(line)

    try:
        started = await hear()
        assert started["started"]["connected"] is True
        yield Guest(hear, lambda what: stdin.write(wire.dumps(what) + b"\n"), started["token"])
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def relay(platform: StandInPlatform, folder: Path) -> AsyncIterator[str]:
    """The URL of a relay whose one gateway is this platform."""
    cloud = {
        "kind": "genesys",
        "base_url": platform.base_url,
        "client_id": platform.identity.client_id,
        "client_secret": platform.identity.client_secret,
    }
    settings = Settings.model_validate(
        {
            "server": {"port": 0},
            "operations": {"port": 0},
            "outbox": {"path": folder / "outbox.db"},
            "gateways": {"cloud": cloud},
        }
    )
    running = await app.start(settings)
    try:
        yield running.public.url
    finally:
        await running.stop()


def agent_in(it: Caller, visitor: Guest) -> Conversation:
    """The guest's conversation, with its agent connected."""
    conversation = it.platform.guests.conversation_of(visitor.token)
    assert conversation is not None
    conversation.connect(AGENT, 0)
    return conversation


async def test_a_guest_sees_the_agent_type_within_a_tenth_of_a_second_of_the_first_key(
    tmp_path: Path,
) -> None:
    """On the real clock of this machine, which the client's process shares."""
    async with (
        caller() as it,
        relay(it.platform, tmp_path) as url,
        guest(it) as visitor,
        aiohttp.ClientSession() as desk,
    ):
        conversation = agent_in(it, visitor)
        visitor.do({"text": "Hello?"})
        assert (await visitor.hear())["text"] == "Hello?"

        key = {"sessionId": conversation.id, "agentUserId": AGENT, "type": "keystroke"}
        pressed_at = time.time() * 1000
        async with desk.post(f"{url}/v1/events", json=key) as answer:
            assert answer.status == 202
        typing = await visitor.hear()
        assert (typing["type"], typing["direction"]) == ("Event", "Outbound")
        assert typing["events"] == [{"eventType": "Typing", "typing": {"type": "On", "duration": 5000}}]
        assert typing["receivedAt"] - pressed_at <= 100

        it.platform.cloud.say(conversation, "Good morning")
        message = await visitor.hear()
        assert (message["type"], message["direction"], message["text"]) == (
            "Text",
            "Outbound",
            "Good morning",
        )
        mine = [each for each in it.platform.arrivals if each.session_id == conversation.id]
        assert [each.status for each in mine] == [200], "one key, one call"


async def test_what_a_guest_writes_comes_back_as_the_guests() -> None:
    async with caller() as it, guest(it) as visitor:
        visitor.do({"text": "Hello?"})
        heard = await visitor.hear()
        assert (heard["type"], heard["direction"], heard["text"]) == ("Text", "Inbound", "Hello?")


async def test_an_echo_comes_back_with_its_tracing_id_and_the_client_goes_on() -> None:
    """The client takes it for no message, and says so; a frame that it could not read would have ended it."""
    async with caller() as it, guest(it) as visitor:
        visitor.do({"echo": "ping-1"})
        unhandled = (await visitor.hear())["unhandled"][1]
        assert (unhandled["type"], unhandled["class"]) == ("response", "StructuredMessage")
        assert (unhandled["tracingId"], unhandled["body"]["text"]) == ("ping-1", "ping-1")
        visitor.do({"text": "Hello?"})
        assert (await visitor.hear())["text"] == "Hello?"
