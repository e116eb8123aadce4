"""The example does what it says, run as its first lines say, told by the reference library and by a relay."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.client.sender import send, transition
from tests.outbox.receiver import NEW_SECRET, SECRET
from tests.whole.conftest import town as town  # noqa: PLC0414 - the fixture, by its own name
from tests.whole.process import ROOT, until
from tests.whole.program import Program, program
from tests.whole.town import Town, session_id


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
async def receiver(tmp_path: Path, port: int) -> AsyncIterator[Program]:
    environ = {"WEBHOOK_SECRET": f"{NEW_SECRET} {SECRET}"}
    example = str(ROOT / "tests" / "examples" / "receiver.py")
    async with program(tmp_path, environ, example, str(port)) as running:
        await running.says("======== Running on")
        yield running


async def test_an_event_is_shown_once_and_an_older_one_never_after_it(receiver: Program, port: int) -> None:
    url = f"http://127.0.0.1:{port}/hooks"
    deliveries = [("msg_1", 1), ("msg_1", 1), ("msg_3", 3), ("msg_2", 2), ("msg_4", 4)]
    statuses = {await send(url, SECRET, message_id, transition(number)) for message_id, number in deliveries}
    assert statuses == {204}
    await until(lambda: "session.typing s1 4 shown" in receiver.out, within_s=5)
    assert [line for line in receiver.out if line.startswith("session.")] == [
        "session.typing s1 1 shown",
        "session.typing s1 3 shown, but events before it are missing",
        "session.typing s1 2 older than what is shown",
        "session.typing s1 4 shown",
    ]


async def test_a_session_that_returns_after_days_is_shown_and_what_comes_late_of_before_is_not(
    receiver: Program, port: int
) -> None:
    """Its numbers begin anew, and each of them was taken for an old one."""
    url = f"http://127.0.0.1:{port}/hooks"
    later = {"timestamp": "2026-11-24T10:00:00.000Z"}
    told = [transition(7), transition(1) | later, transition(9), transition(2) | later]
    for place, event in enumerate(told):
        assert await send(url, SECRET, f"msg_{place}", event) == 204
    await until(lambda: "session.typing s1 2 shown" in receiver.out, within_s=5)
    assert [line for line in receiver.out if line.startswith("session.")] == [
        "session.typing s1 7 shown, but events before it are missing",
        "session.typing s1 1 shown",
        "session.typing s1 9 older than what is shown",
        "session.typing s1 2 shown",
    ]


async def test_a_stranger_is_answered_401(receiver: Program, port: int) -> None:
    url = f"http://127.0.0.1:{port}/hooks"
    async with aiohttp.ClientSession() as http, http.post(url, data=b"{}") as response:
        assert (response.status, await response.text()) == (401, "missing_header")
    assert receiver.process.returncode is None


@pytest.mark.parametrize(
    ("environ", "arguments"),
    [({"WEBHOOK_SECRET": SECRET}, ()), ({}, ("0",)), ({"WEBHOOK_SECRET": " "}, ("0",))],
)
async def test_a_receiver_without_a_port_or_a_secret_says_what_it_wants(
    environ: dict[str, str], arguments: tuple[str, ...], tmp_path: Path
) -> None:
    async with program(
        tmp_path, environ, str(ROOT / "tests" / "examples" / "receiver.py"), *arguments
    ) as told:
        assert await told.says("usage: WEBHOOK_SECRET=")
        assert len(told.err) == 1


async def test_a_relay_delivers_to_it(receiver: Program, port: int, town: Town) -> None:
    async with town.relay(WEBHOOK_URL=f"http://127.0.0.1:{port}/hooks") as relay:
        await town.type(relay)
        told = f"session.typing {session_id()} 1 shown"
        await until(lambda: told in receiver.out, within_s=10, what=told)
