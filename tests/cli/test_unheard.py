"""Commands whose standard output takes nothing: a full disk, a reader who left. Processes, as only they have one."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.client.sender import send, transition
from tests.outbox.receiver import SECRET
from tests.whole.process import ROOT

FULL = Path("/dev/full")
RELAY = [sys.executable, "-m", "relay"]

PRINTING = ["config schema", "openapi", "--help", "keys --help", "sandbox --port 0", "demo --speed 20"]


def ran_into(stdout: IO[bytes] | int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RELAY, *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        timeout=30,
        check=False,
    )


def on_a_full_disk(*words: str) -> subprocess.CompletedProcess[str]:
    with FULL.open("wb") as full:
        return ran_into(full, *words)


def to_nobody(*words: str) -> subprocess.CompletedProcess[str]:
    """Into a pipe whose reader has left, as `| head -1` has soon."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return ran_into(writing, *words)
    finally:
        os.close(writing)


@pytest.mark.parametrize("command", PRINTING)
def test_what_cannot_be_written_is_said_in_one_line(command: str) -> None:
    ran = on_a_full_disk(*command.split())
    words = "typing-relay: standard output cannot be written: No space left on device\n"
    assert (ran.returncode, ran.stderr) == (2, words)


@pytest.mark.parametrize("command", PRINTING)
def test_a_reader_who_left_ends_the_command_without_a_word(command: str) -> None:
    ran = to_nobody(*command.split())
    assert (ran.returncode, ran.stderr) == (141, "")


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_key_that_nobody_read_is_said_to_be_lost(form: tuple[str, ...]) -> None:
    lost = "typing-relay: the key is lost: make another"
    full, nobody = on_a_full_disk("keys", "new", "desk", *form), to_nobody("keys", "new", "desk", *form)
    assert (full.returncode, full.stderr.splitlines()[0]) == (2, lost)
    assert (nobody.returncode, nobody.stderr.splitlines()) == (141, [lost])
    assert "Traceback" not in full.stderr


async def test_listening_ends_once_nobody_reads_what_it_hears() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    listen = await asyncio.create_subprocess_exec(
        *RELAY, "listen", "--port", "0", "--secret", SECRET, stdout=writing, stderr=subprocess.PIPE, cwd=ROOT
    )
    os.close(writing)
    assert listen.stderr is not None
    async with asyncio.timeout(30):
        url = (await listen.stderr.readline()).decode().strip().removeprefix("ready url=")
        assert await send(url, SECRET, "msg_1", transition(1)) == 503
        _, said = await listen.communicate()
    assert (listen.returncode, said) == (141, b"")


def test_a_command_that_prints_nothing_runs_without_standard_output() -> None:
    script = f"{sys.executable} -m relay config check --config config/none.toml >&-"
    ran = subprocess.run(
        ["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
