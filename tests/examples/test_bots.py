"""The examples for bots do what they say, each a process of its own, beside a relay and its platform."""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.examples.test_receiver import port as port  # noqa: PLC0414 - the fixture, by its own name
from tests.whole.conftest import town as town  # noqa: PLC0414 - as above
from tests.whole.process import ROOT, until
from tests.whole.program import program
from tests.whole.town import BRISK, GUEST, Town, session_id

WITHIN_S = 15.0
SHORT_LEASE = {**BRISK, "RELAY_TYPING__THINKING_LEASE_MS": "6000"}


def needs(module: str) -> pytest.MarkDecorator:
    is_there = importlib.util.find_spec(module.partition(".")[0]) is not None
    return pytest.mark.skipif(not is_there, reason=f"{module} is not installed")


@asynccontextmanager
async def bot(*arguments: str, questions: Sequence[str] = ()) -> AsyncIterator[asyncio.subprocess.Process]:
    """An example at work, told `questions` line by line; killed at the end if it still runs."""
    example, *rest = arguments
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "tests" / "examples" / example),
        *rest,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.writelines(f"{question}\n".encode() for question in questions)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        return (await process.stdout.readline()).decode().strip()


async def reasons(town: Town, count: int) -> list[str]:
    await until(lambda: len(town.transitions()) >= count, within_s=WITHIN_S)
    return [reason for _, reason in town.transitions()]


async def test_a_bot_is_seen_at_work_until_it_has_answered(town: Town) -> None:
    async with (
        town.relay() as relay,
        bot("bot.py", relay.public, session_id(), GUEST, questions=["1 + 41 + 0 + 0"]) as process,
    ):
        assert await line(process) == "42"
        assert await reasons(town, 2) == ["thinking", "message"]
        # What is recorded at once is told when the interval lets it.
        await until(lambda: "typing_stopped" in town.told(), within_s=WITHIN_S)
    assert (set(town.told()[:-1]), town.told()[-1]) == ({"typing"}, "typing_stopped")


async def test_a_bot_that_fails_is_cleared_and_goes_on(town: Town) -> None:
    async with (
        town.relay() as relay,
        bot("bot.py", relay.public, session_id(), GUEST, questions=["40 and 2 more", "42"]) as process,
    ):
        assert [await line(process), await line(process)] == ["no answer: ValueError", "42"]
        assert await reasons(town, 2) == ["thinking", "done"]


async def test_a_bot_that_is_interrupted_is_cleared_at_once(town: Town) -> None:
    async with town.relay() as relay, bot("graph.py", relay.public, session_id(), GUEST, "60") as process:
        await until(lambda: town.told() == ["typing"], within_s=WITHIN_S)
        process.send_signal(signal.SIGINT)
        assert await reasons(town, 2) == ["thinking", "done"]


async def test_a_bot_that_is_killed_is_noticed_by_its_lease(town: Town) -> None:
    async with town.relay(SHORT_LEASE) as relay:
        async with bot("bot.py", relay.public, session_id(), GUEST, questions=["1 +" * 100 + "1"]) as process:
            await until(lambda: town.told() != [], within_s=WITHIN_S)
            process.kill()
            killed_at = time.monotonic()
            assert await reasons(town, 2) == ["thinking", "lease_lost"]
            assert time.monotonic() - killed_at < 7
        await until(lambda: town.told()[-1] == "typing_stopped", within_s=WITHIN_S)


@pytest.mark.long
async def test_a_relay_that_is_restarted_shows_the_bot_that_is_still_at_work(town: Town) -> None:
    async with town.relay() as relay:
        port = relay.public.rpartition(":")[2]
        async with bot("bot.py", relay.public, session_id(), GUEST, questions=["1 +" * 30 + "1"]) as process:
            await until(lambda: town.told() != [], within_s=WITHIN_S)
            await relay.kill()
            async with town.relay({**BRISK, "RELAY_SERVER__PORT": port}):
                before = len(town.calls())
                await until(lambda: len(town.calls()) > before, within_s=WITHIN_S, what="shown again")
                assert await line(process) == "31"
                await until(lambda: town.told()[-1] == "typing_stopped", within_s=WITHIN_S)


@needs("langgraph")
async def test_a_graph_is_seen_at_work_until_it_has_answered(town: Town) -> None:
    async with town.relay() as relay, bot("graph.py", relay.public, session_id(), GUEST, "2") as process:
        assert await line(process) == "42"
        assert await reasons(town, 2) == ["thinking", "done"]


@needs("microsoft_agents")
async def test_an_agent_is_seen_at_work_until_its_message_is_sent(town: Town) -> None:
    async with town.relay() as relay, bot("agent.py", relay.public, session_id(), GUEST) as process:
        assert await line(process) == "42 message"
        assert await reasons(town, 2) == ["thinking", "message"]


async def test_a_webhook_is_the_bot_at_work_until_it_responds(town: Town, tmp_path: Path, port: int) -> None:
    question: dict[str, Any] = {
        "fulfillmentInfo": {"tag": "order"},
        "sessionInfo": {"session": f"projects/p/sessions/{session_id()}", "parameters": {"guestId": GUEST}},
    }
    example = str(ROOT / "tests" / "examples" / "fulfilment.py")
    async with town.relay() as relay, program(tmp_path, {}, example, relay.public, str(port)) as webhook:
        await webhook.says("======== Running on")
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"http://127.0.0.1:{port}/fulfilment", json=question) as response,
        ):
            assert "42" in await response.text()
        assert await reasons(town, 2) == ["thinking", "done"]


async def test_a_webhook_answers_400_to_what_is_no_question(tmp_path: Path, port: int) -> None:
    example = str(ROOT / "tests" / "examples" / "fulfilment.py")
    async with (
        program(tmp_path, {}, example, "http://127.0.0.1:1", str(port)) as webhook,
        aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as http,
    ):
        await webhook.says("======== Running on")
        for body in (b"", b"{", b"\xff", b"[]", b"7", b"{}", b'{"fulfillmentInfo":null}'):
            async with http.post(f"http://127.0.0.1:{port}/fulfilment", data=body) as response:
                assert response.status == 400, body
        assert not [said for said in webhook.err if said.startswith("Traceback")]


@pytest.mark.parametrize("arguments", [(), ("http://127.0.0.1:8080",)])
@pytest.mark.parametrize(
    "example",
    [
        "bot.py",
        "fulfilment.py",
        pytest.param("graph.py", marks=needs("langgraph")),
        pytest.param("agent.py", marks=needs("microsoft_agents")),
    ],
)
async def test_an_example_that_is_told_too_little_says_what_it_wants(
    example: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    async with program(tmp_path, {}, str(ROOT / "tests" / "examples" / example), *arguments) as told:
        assert await told.says(f"usage: python tests/examples/{example} URL")
        assert len(told.err) == 1


@needs("microsoft_agents")
def test_the_examples_have_types_for_whoever_checks_them_by_other_settings_than_ours() -> None:
    """Escaped because our settings have pydantic's plugin, and with it a text is a ChannelId."""
    names = ("agent.py", "bot.py", "fulfilment.py", "receiver.py")  # a graph's take half a minute
    strict = ("--strict", "--config-file=", f"--cache-dir={os.devnull}")
    examples = [str(ROOT / "tests" / "examples" / name) for name in names]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *strict, *examples],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@needs("langgraph")
async def test_twelve_real_seconds_of_a_graph_are_shown_without_a_gap(town: Town) -> None:
    async with (
        town.relay({}) as relay,
        bot("graph.py", relay.public, session_id(), GUEST, "12") as process,
    ):
        await until(lambda: town.platform.visible(session_id()) is not None, within_s=WITHIN_S)
        seen: list[object] = []
        while process.stdout is not None and not process.stdout.at_eof() and len(seen) < 115:
            seen.append(town.platform.visible(session_id()))
            await asyncio.sleep(0.1)
        assert None not in seen[:110]
        assert await line(process) == "42"
        assert await reasons(town, 2) == ["thinking", "done"]
