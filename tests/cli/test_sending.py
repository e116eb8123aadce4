"""`send` against the doors themselves, on a real socket."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay import wire
from relay.cli import main
from tests.ingest.house import EVENT, House, opened, sure
from tests.whole.process import ROOT, until

KEYED = {"RELAY_KEY": sure().key}
WRONG = EVENT | {"type": "a-canary"}


async def run(house: House, *words: str, said: bytes = b"", environ: dict[str, str] = KEYED) -> Result:
    """On a thread, as the command waits for its answer and the door lives on this loop."""
    command = ["send", *words, "--url", house.base_url]
    return await asyncio.to_thread(CliRunner().invoke, main, command, input=said, env=environ)


MEASURED = """
import atexit, pathlib, re
from relay.cli import main
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: print(int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1]) // 1024))
main()
"""
"""Prints the most memory it had, in MiB; `getrusage` would tell that of the process it was forked from."""


def text(**more: object) -> str:
    return wire.dumps(EVENT | more).decode()


async def test_an_event_is_told_and_what_became_of_it_is_said() -> None:
    async with opened() as house:
        ran = await run(house, text(type="paused"))
        assert [one.kind for one in house.taken] == ["paused"]
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert ran.stderr == "1 accepted, 0 duplicates, 0 stale, 0 refused\n"


async def test_the_sums_are_one_json_value() -> None:
    async with opened() as house:
        ran = await run(house, text(id="e1"), text(id="e1"), "--json")
    assert wire.loads(ran.stdout) == {"accepted": 1, "duplicates": 1, "stale": 0, "refused": 0, "notTaken": 0}


async def test_of_several_lines_those_that_are_wrong_are_told_by_number_and_the_others_taken() -> None:
    lines = [text(id="one"), "", "{a-canary", wire.dumps(WRONG).decode(), "[]", text(id="two")]
    async with opened() as house:
        ran = await run(house, "-", said="\n".join(lines).encode())
        assert len(house.taken) == 2
    assert ran.exit_code == 1
    assert ran.stderr.endswith("2 accepted, 0 duplicates, 0 stale, 3 refused\n")
    assert "line 4: type:" in ran.stderr
    assert "line 3: " in ran.stderr
    assert "line 5: a JSON object is wanted" in ran.stderr
    assert "canary" not in ran.stderr


async def test_more_than_a_request_may_hold_is_taken_all_the_same() -> None:
    async with opened() as house:
        ran = await run(house, "-", said=b"\n".join([text().encode()] * 1203))
        assert len(house.taken) == 1203
        assert house.accepted_at_once <= 500
    assert ran.exit_code == 0


@pytest.mark.parametrize("length", [65_537, 131_072, 200_000])
async def test_a_line_that_is_too_long_is_refused_by_number_and_keeps_no_other_back(length: int) -> None:
    lines = [text().encode(), b"x" * length, b"", b" " * length, text().encode()]
    async with opened() as house:
        ran = await run(house, "-", said=b"\n".join(lines))
        assert len(house.taken) == 2
    assert (ran.exit_code, ran.stderr.count("longer than 65536 bytes")) == (1, 2)
    assert ran.stderr.endswith("2 accepted, 0 duplicates, 0 stale, 2 refused\n")
    assert ("line 2: longer" in ran.stderr, "line 4: longer" in ran.stderr) == (True, True)


async def test_a_line_without_end_is_no_event_and_is_not_collected() -> None:
    part = b"x" * 1_000_000
    async with opened() as house:
        command = (sys.executable, "-c", MEASURED, "send", "-", "--url", house.base_url)
        pipe = asyncio.subprocess.PIPE
        sending = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT, env=KEYED
        )
        assert sending.stdin is not None
        sending.stdin.write(text().encode() + b"\n")
        for _ in range(300):
            sending.stdin.write(part)
            await sending.stdin.drain()
        most_mib, said = await asyncio.wait_for(sending.communicate(b""), 40)
        assert len(house.taken) == 1
    assert said.endswith(b"1 accepted, 0 duplicates, 0 stale, 1 refused\n"), said
    assert (sending.returncode, b"line 2: longer" in said) == (1, True)
    assert int(most_mib) < 150


async def test_the_key_is_read_from_a_file_or_the_environment_and_a_wrong_one_is_said_to_be_so(
    tmp_path: Path,
) -> None:
    (tmp_path / "key").write_text(sure().key + "\n")
    async with opened() as house:
        by_file = await run(house, text(), "--key-file", str(tmp_path / "key"), environ={})
        none = await run(house, text(), environ={})
        assert len(house.taken) == 1
    assert (by_file.exit_code, none.exit_code) == (0, 1)
    assert "from event 1 on nothing was taken" in none.stderr
    assert none.stderr.endswith("0 accepted, 0 duplicates, 0 stale, 0 refused, 1 not taken\n")


@pytest.mark.parametrize("content", ["", " \n", "a-canary key"])
async def test_a_key_that_is_none_is_said_by_where_it_was_to_be(tmp_path: Path, content: str) -> None:
    """An empty file was taken for no key at all."""
    (tmp_path / "key").write_text(content)
    async with opened() as house:
        by_file = await run(house, text(), "--key-file", str(tmp_path / "key"))
        by_name = await run(house, text(), environ={"RELAY_KEY": "a-canary key"})
        assert not house.taken
    for ran, whence in ((by_file, "--key-file: "), (by_name, "RELAY_KEY: ")):
        assert (ran.exit_code, whence in ran.stderr, "canary" in ran.stderr) == (2, True, False)


async def test_a_relay_that_does_not_answer_is_exit_code_2() -> None:
    async with opened() as house:
        pass
    ran = await run(house, "[]", text(), text(), "--patience", "0.3")
    assert (ran.exit_code, "from event 2 on nothing was taken" in ran.stderr) == (2, True)
    assert "is the relay running, and is this its public listener? --url says where" in ran.stderr
    assert ran.stderr.endswith("0 accepted, 0 duplicates, 0 stale, 1 refused, 2 not taken\n")
    assert "Traceback" not in ran.stderr


async def test_what_is_no_address_is_refused_before_anything_is_read() -> None:
    ran = await asyncio.to_thread(CliRunner().invoke, main, ["send", "-", "--url", "ftp://a-canary"])
    assert (ran.exit_code, "canary" in ran.stderr) == (2, False)


async def test_a_line_waits_for_no_other() -> None:
    async with opened() as house:
        command = (sys.executable, "-m", "relay", "send", "-", "--url", house.base_url)
        pipe = asyncio.subprocess.PIPE
        sending = await asyncio.create_subprocess_exec(*command, stdin=pipe, stderr=pipe, env=KEYED)
        assert sending.stdin is not None
        try:
            for number in (1, 2):
                sending.stdin.write(text().encode() + b"\n")
                await until(lambda: len(house.taken) == number, within_s=20)  # noqa: B023 - called before the next
            _, said = await asyncio.wait_for(sending.communicate(b""), 20)
        finally:
            with suppress(ProcessLookupError):
                sending.kill()
    assert (sending.returncode, said) == (0, b"2 accepted, 0 duplicates, 0 stale, 0 refused\n")
