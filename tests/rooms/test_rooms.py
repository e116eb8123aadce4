"""The shape of the project is what its map says: import contracts, rooms, names, sizes."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RELAY = ROOT / "relay"
MODULES = sorted(path for path in RELAY.rglob("*.py"))
NAMES_WE_DO_NOT_USE = re.compile(r"(^|_)(utils?|helpers?|managers?|handlers?|processors?|services?)(_|$)")
HANDLERS_OF_LIBRARIES = {"HTTPException"}


def test_the_import_contracts_hold() -> None:
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [str(command), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_map_names_every_room_and_every_file_beside_them() -> None:
    drawn = set(re.findall(r"^  ([a-z0-9_]+(?:\.py|/)) ", (RELAY / "README.md").read_text(), re.MULTILINE))
    there = {f"{path.name}/" for path in RELAY.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    there |= {path.name for path in RELAY.glob("*.py") if not path.name.startswith("__init__")}
    assert drawn == there


@pytest.mark.parametrize("room", sorted(p.name for p in RELAY.iterdir() if (p / "__init__.py").exists()))
def test_a_room_says_what_it_knows(room: str) -> None:
    assert (RELAY / room / "README.md").is_file()


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(RELAY)))
def test_a_module_opens_with_why_it_exists(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_no_name_says_only_that_something_is_done_somewhere() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in MODULES
        for name in (path.stem, *_defined(path))
        if NAMES_WE_DO_NOT_USE.search(_snake(name)) and name not in HANDLERS_OF_LIBRARIES
    ]
    assert found == []


def test_a_file_is_one_idea_of_three_hundred_lines_at_most() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def test_the_top_level_holds_what_was_agreed_and_nothing_else() -> None:
    listed = subprocess.run(
        ["git", "ls-tree", "--name-only", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: the top level cannot be told from what was built in it")
    agreed = {"pyproject.toml", "relay", "config", "tests", "deploy", "README.md", "LICENSE", "CHANGELOG.md"}
    assert {name for name in listed.stdout.split() if not name.startswith(".")} <= agreed


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize(
    "module", ["relay.core.session", "relay.errors", "relay.wire", "relay.settings", "relay.cli"]
)
def test_a_module_can_be_imported_alone(module: str) -> None:
    subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}"], cwd=ROOT, timeout=30, check=True
    )


def test_asking_the_command_for_help_loads_neither_server_nor_settings() -> None:
    """Nor does `healthcheck`, which a container calls every few seconds."""
    code = "import sys, relay.cli; print([m for m in ('aiohttp', 'apsw', 'pydantic') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


def _defined(path: Path) -> list[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
