"""Where a value may come from, weakest first; each source yields what it gives, and says where it stands.

    defaults < TOML < .env < environment < files named by ..._FILE

`.env` is read for its values only and never enters the process's environment. Empty variables count as unset
(a compose file's `${X:-}` is empty, not chosen). A tutorial's six names fill what is still missing at the end.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv.parser import Binding, parse_stream

from relay import wire
from relay.settings import keys

FILE_SUFFIX = "_FILE"

TUTORIAL: dict[str, keys.Path] = {
    "GENESYS_CLIENT_ID": ("gateways", "guest", "client_id"),
    "GENESYS_CLIENT_SECRET": ("gateways", "guest", "client_secret"),
    "GENESYS_API_BASE_URL": ("gateways", "guest", "base_url"),
    "WEBHOOK_URL": ("endpoints", "tracker", "url"),
    "WEBHOOK_SECRET": ("endpoints", "tracker", "secrets"),
}
"""The names a one-gateway, one-tracker installation needs; together they are a complete configuration."""


@dataclass(frozen=True, slots=True)
class Given:
    """One value, the key it is for, and where an operator would go to change it."""

    path: keys.Path
    value: Any
    where: str


@dataclass(slots=True)
class Found:
    """What the sources gave, in the order it is to be laid on, and what was wrong with them."""

    given: list[Given] = field(default_factory=list)
    tutorial: list[Given] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable's text and its place: the environment or a file."""

    name: str
    text: str
    place: str = ""

    @property
    def where(self) -> str:
        return f"{self.name} in {self.place}" if self.place else self.name


def gather(config: Path | None, environ: Mapping[str, str], cwd: Path) -> Found:
    """Everything the operator said, unvalidated. Reads files, changes nothing."""
    found = Found()
    variables = _variables(environ, cwd, found)
    named = variables.get("RELAY_CONFIG")
    if config is None and named is not None:
        config = Path(named.text)
    if config is not None:
        found.given.extend(_toml(cwd / config, str(config), found))
    for variable in _with_files(variables, cwd, found):
        _place(variable, found)
    return found


def _toml(path: Path, shown: str, found: Found) -> Iterator[Given]:
    text = _text(path, shown, found)
    if text is None:
        return
    try:
        yield from _leaves(tomllib.loads(text), (), shown)
    except tomllib.TOMLDecodeError as why:
        found.problems.append(f"{shown}: TOML is wanted: {why}")


def _leaves(table: dict[str, Any], path: keys.Path, shown: str) -> Iterator[Given]:
    for name, value in table.items():
        here = (*path, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, here, shown)
        else:
            yield Given(here, value, f"{shown}:{'.'.join(here)}")


def _text(path: Path, where: str, found: Found) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as why:
        found.problems.append(f"{where}: a readable file is wanted, but: {why.strerror}")
    except UnicodeDecodeError:
        found.problems.append(f"{where}: the file is wanted in UTF-8, and is not")
    return None


def _variables(environ: Mapping[str, str], cwd: Path, found: Found) -> dict[str, Variable]:
    """`.env` under the environment, by name, the empty ones left out."""
    dotenv = cwd / ".env"
    text = _text(dotenv, ".env", found) if dotenv.is_file() else None
    both = [Variable(name, value, ".env") for name, value in _assigned(text or "", found).items() if value]
    both += [Variable(name, text) for name, text in environ.items() if text]
    return {variable.name: variable for variable in both}


def _assigned(text: str, found: Found) -> dict[str, str | None]:
    """What `.env` sets, line by line: the library's own reading drops a line it cannot read, and only warns.

    Values are taken as they are written: interpolation would read the process's own environment.
    """
    values: dict[str, str | None] = {}
    for line in parse_stream(StringIO(text)):
        if line.error:
            found.problems.append(
                f".env line {_number(line)}: NAME=value is wanted, and every quote closed; "
                "mend the line, or make it a comment with #"
            )
        elif line.key is not None:
            values[line.key] = line.value
    return values


def _number(line: Binding) -> int:
    """The library counts from the first of the empty lines before it."""
    told = line.original.string
    return line.original.line + told[: len(told) - len(told.lstrip())].count("\n")


def _with_files(variables: Mapping[str, Variable], cwd: Path, found: Found) -> Iterator[Variable]:
    """Each variable that may be a setting; where `NAME_FILE` names a file, its content stands for `NAME`."""
    named = {name: one for name, one in variables.items() if _names_a_file(name)}
    for name, variable in variables.items():
        if name not in named:
            yield variable
    for name, variable in named.items():
        text = _text(cwd / variable.text, variable.where, found)
        if text is not None:
            yield Variable(name.removesuffix(FILE_SUFFIX), text.rstrip("\r\n"), variable.where)


def _names_a_file(name: str) -> bool:
    base = name.removesuffix(FILE_SUFFIX)
    return base != name and (base in TUTORIAL or _is_ours(base)) and keys.find(name) is None


def _is_ours(name: str) -> bool:
    """True for a name nobody but an operator of this program would set: schedulers inject `RELAY_PORT`."""
    return name.startswith(keys.PREFIX) and "__" in name


def _place(variable: Variable, found: Found) -> None:
    if variable.name in TUTORIAL:
        path = TUTORIAL[variable.name]
        value = [variable.text] if path[-1] == "secrets" else variable.text
        found.tutorial = [one for one in found.tutorial if one.path != path]
        found.tutorial.append(Given(path, value, variable.where))
    elif _is_ours(variable.name):
        _place_key(variable, found)


def _place_key(variable: Variable, found: Found) -> None:
    key = keys.find(variable.name)
    if key is None:
        near = keys.nearest(variable.name)
        hint = f"did you mean {near}?" if near else "`typing-relay config schema` lists every setting"
        found.problems.append(f"{variable.where}: no setting has this name; {hint}")
        return
    given = Given(key.path, variable.text, variable.where)
    if key.is_list:
        given = _as_list(given, found.problems.append)
    elif key.is_table:
        given = _as_table(given, found.problems.append)
    found.given.append(given)


def _as_list(given: Given, complain: Callable[[str], None]) -> Given:
    """Lists are written as a JSON array, or as words with commas between."""
    text = str(given.value).strip()
    if not text.startswith("["):
        return replace(given, value=[word.strip() for word in text.split(",") if word.strip()])
    try:
        return replace(given, value=wire.loads(text))
    except wire.NotJson:
        complain(f"{given.where}: a JSON array, or words with commas between, is wanted")
        return replace(given, value=[])


def _as_table(given: Given, complain: Callable[[str], None]) -> Given:
    """Tables are written as a JSON object."""
    try:
        return replace(given, value=wire.loads(str(given.value)))
    except wire.NotJson:
        complain(f"{given.where}: a JSON object is wanted")
        return replace(given, value={})
