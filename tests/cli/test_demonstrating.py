"""The command as somebody at a terminal runs it; what it does is proven in tests/demo."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay import wire
from relay.cli import main
from tests.whole.process import ROOT, run

SMALL_DISK = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
from relay.cli import main
main(["demo", "--headless", "--minutes", "0.2", "--speed", "20", "--chaos", "0"])
"""
"""No file may grow over 300 kB: the outbox soon records nothing any more, and indicators go on."""


async def test_a_headless_replay_that_lost_nothing_ends_well_and_says_so(tmp_path: Path) -> None:
    """Six seconds of keys at twenty times real time, on a platform that misbehaves as usual."""
    ran = await run(
        tmp_path, {}, "demo", "--headless", "--minutes", "0.1", "--speed", "20", "--sessions", "2"
    )
    assert ran.code == 0, ran
    table = dict(line.rsplit(maxsplit=1) for line in ran.out.splitlines())
    assert (table["events lost"], table["sessions not stopped"], table["callbacks pending"]) == (
        "0",
        "0",
        "0",
    )
    accepted, told, unanswered = (
        int(table[of])
        for of in ("broadcasts the platform accepted", "broadcasts told", "answers that never came")
    )
    assert 0 < told <= accepted <= told + unanswered  # on a machine that is busy an answer may come too late
    assert ran.err == "this takes 0:01 and a little more; --minutes and --speed make it shorter\n"


@pytest.mark.long
def test_what_a_full_disk_lost_is_named_and_the_command_says_no() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SMALL_DISK], cwd=ROOT, capture_output=True, text=True, timeout=40, check=False
    )
    assert ran.returncode == 1, ran.stderr
    assert "typing-relay: sessions that did not end stopped: 1" in ran.stderr
    assert "Traceback" not in ran.stderr


async def test_json_holds_the_same_figures_as_one_value(tmp_path: Path) -> None:
    ran = await run(
        tmp_path, {}, "demo", "--headless", "--minutes", "0.05", "--speed", "20", "--chaos", "0", "--json"
    )
    assert ran.code == 0, ran
    told = wire.loads(ran.out)
    assert (told["eventsLost"], told["lost"], told["speed"], told["sessions"]) == (0, [], 20, 1)
    assert told["callbacksReceived"] == told["callbacksVerified"] > 0


async def test_a_trace_is_replayed_from_a_file_as_far_as_asked(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("5000\n5200\n11000\n60000\n")
    ran = await run(
        tmp_path,
        {},
        *("demo", "--headless", "--trace", "keys.txt", "--minutes", "0.1"),
        *("--speed", "20", "--chaos", "0", "--json"),
    )
    assert ran.code == 0, ran
    assert wire.loads(ran.out)["keys"] == 3  # of the first six seconds after the first key


async def test_at_the_speed_max_both_modes_stand_side_by_side(tmp_path: Path) -> None:
    """One key: one call where it may lapse; typing, paused and stopped where it is stopped."""
    (tmp_path / "keys.txt.gz").write_bytes(gzip.compress(b"0\n"))
    ran = await run(tmp_path, {}, "demo", "--headless", "--speed", "max", "--trace", "keys.txt.gz")
    assert ran.code == 0, ran
    lines = [line.split() for line in ran.out.splitlines()]
    assert lines[0] == ["terminal", "explicit"]
    assert ["indicators", "accepted", "1", "3"] in lines


async def test_at_the_speed_max_json_holds_both_modes(tmp_path: Path) -> None:
    ran = await run(tmp_path, {}, "demo", "--headless", "--speed", "max", "--minutes", "5", "--json")
    assert ran.code == 0, ran
    told = wire.loads(ran.out)
    assert set(told["modes"]) == {"terminal", "explicit"}
    assert told["modes"]["terminal"]["lapses"] == told["modes"]["explicit"]["lapses"] == 0
    assert told["missed"] == []


async def test_the_live_demo_ends_after_its_minutes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environ = {"TMPDIR": str(tmp_path)}
    ran = await run(tmp_path, environ, "demo", "--minutes", "0.2", "--speed", "20")
    assert ran.code == 0, ran
    assert "keys" in ran.out
    assert ran.err == "stopped\n"
    assert _left_in(tmp_path) == []


def _left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("0\n120\nabc\n", "line 3"),
        ("0\n120\n60\n", "line 3"),
        ("", "empty"),
    ],
)
def test_a_trace_that_is_none_is_refused_with_the_line(tmp_path: Path, content: str, words: str) -> None:
    trace = tmp_path / "keys.txt"
    trace.write_text(content)
    ran = CliRunner().invoke(main, ["demo", "--headless", "--trace", str(trace)])
    assert ran.exit_code == 2
    assert words in ran.stderr
    assert "abc" not in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "--headless --speed 0",
        "--headless --speed 21",
        "--headless --speed nan",
        "--headless --speed fast",
        "--headless --minutes 0",
        "--headless --minutes nan",
        "--headless --chaos 11",
        "--headless --chaos nan",
        "--headless --sessions 0",
        "--headless --trace nowhere.txt",
        "--headless --trace .",
        "--speed max",
        "--json",
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(arguments: str) -> None:
    ran = CliRunner().invoke(main, ["demo", *arguments.split()])
    assert ran.exit_code == 2
    assert ran.stderr.startswith("Usage:")
