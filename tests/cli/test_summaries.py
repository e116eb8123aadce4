"""What `--help` shows of each command, on a terminal of the usual width."""

from pathlib import Path

import click
import pytest

from relay.cli import main
from tests.whole.process import run

GROUPS = ["", *(name for name, command in main.commands.items() if isinstance(command, click.Group))]


@pytest.mark.parametrize("group", GROUPS)
async def test_no_summary_of_a_command_is_cut(tmp_path: Path, group: str) -> None:
    """More than half ended in three dots: each docstring had been read alone, and never the list of them."""
    ran = await run(tmp_path, {"COLUMNS": "80"}, *group.split(), "--help")
    assert ran.code == 0
    summaries = ran.out.partition("Commands:\n")[2].splitlines()
    assert summaries
    assert [line for line in summaries if not line.endswith(".") or line.endswith("...")] == []
