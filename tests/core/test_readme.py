"""The room's README shows the tables the machine runs on, and names every module of the room."""

import re
from pathlib import Path

import pytest

import relay.core
from tests.core.rendered import actor_table, pacer_table

ROOM = Path(relay.core.__file__).parent
README = (ROOM / "README.md").read_text(encoding="utf-8")


def shown(name: str) -> str:
    """What stands between the marks of that name."""
    found = re.search(rf"<!-- {name} -->\n\n(.*?)\n\n<!-- end -->", README, re.DOTALL)
    assert found, f"relay/core/README.md has no block between <!-- {name} --> and <!-- end -->"
    return found[1]


def test_the_readme_shows_the_actor_table_as_it_is() -> None:
    assert shown("actor table") == actor_table()


def test_the_readme_shows_the_pacer_table_as_it_is() -> None:
    assert shown("pacer table") == pacer_table()


MODULES = sorted(path.stem for path in ROOM.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("module", MODULES)
def test_the_readme_says_what_each_module_knows(module: str) -> None:
    assert f"| `{module}` |" in README
