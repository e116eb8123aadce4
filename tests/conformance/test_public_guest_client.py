"""The stand-in's guests' socket against a public Web Messaging client, one that ends at the first frame it cannot read.

Needs node and the npm package `@ovotech/genesys-web-messaging-tester` (2.0.7) with `ws`, where NODE_PATH leads to them;
else these tests are skipped.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay import wire
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
    say: Callable[[str], None]
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
        yield Guest(hear, lambda text: stdin.write(f"{text}\n".encode()), started["token"])
    finally:
        process.kill()
        await process.wait()


async def test_a_guest_sees_the_agent_type_and_then_the_message() -> None:
    async with caller() as it, guest(it) as visitor:
        conversation = it.platform.guests.conversation_of(visitor.token)
        assert conversation is not None
        conversation.connect(AGENT, 0)
        leg = conversation.legs[-1].communication_id

        assert (await it.type(leg=leg, conversation_id=conversation.id)).status == 200
        typing = await visitor.hear()
        assert (typing["type"], typing["direction"]) == ("Event", "Outbound")
        assert typing["events"] == [{"eventType": "Typing", "typing": {"type": "On", "duration": 5000}}]

        it.platform.cloud.say(conversation, "Good morning")
        message = await visitor.hear()
        assert (message["type"], message["direction"], message["text"]) == (
            "Text",
            "Outbound",
            "Good morning",
        )


async def test_what_a_guest_writes_comes_back_as_the_guests() -> None:
    async with caller() as it, guest(it) as visitor:
        visitor.say("Hello?")
        heard = await visitor.hear()
        assert (heard["type"], heard["direction"], heard["text"]) == ("Text", "Inbound", "Hello?")
