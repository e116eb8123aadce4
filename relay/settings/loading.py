"""From what the operator said to one frozen `Settings`, or to the reasons why not, as many at once as can be told.

sources.gather → lay the values on each other → fill with the tutorial's names → validate → explain
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from relay.errors import SettingsError
from relay.settings import generated_secret, keys, reach
from relay.settings.models import Settings
from relay.settings.sources import TUTORIAL, Given, gather

Tree = dict[str, Any]
Origins = dict[keys.Path, str]

_WORDS = {"missing": "is required", "extra_forbidden": "no setting has this name"}
"""Our words for two of pydantic's verdicts; the others read well as they are and hold no input."""


def load(config: Path | None, environ: Mapping[str, str], cwd: Path) -> Settings:
    """The settings in force: defaults < TOML < `.env` < environment < `..._FILE`.

    `config` is the TOML file (else `RELAY_CONFIG`; it is never searched for), relative paths are from `cwd`.
    Reads files and nothing else. Raises SettingsError that names every problem, each with its place and what
    is wanted there; the value itself is never shown. Values are held against each other once each can be read.
    """
    found = gather(config, environ, cwd)
    tree, origins = _laid(found.given)
    for given in _missing(found.tutorial, tree):
        _lay(tree, origins, given)
        _open_what_it_names(tree, given)
    unreadable = _add_generated_secrets(tree, cwd)
    settings, wrong = _validated(tree, origins)
    problems = found.problems + unreadable + wrong
    if settings is None or problems:
        raise SettingsError("\n".join(problems))
    return settings


def _laid(all_given: Iterable[Given]) -> tuple[Tree, Origins]:
    tree: Tree = {}
    origins: Origins = {}
    for given in all_given:
        _lay(tree, origins, given)
    return tree, origins


def _lay(tree: Tree, origins: Origins, given: Given) -> None:
    *tables, name = given.path
    for table in tables:
        tree = tree.setdefault(table, {})
        if not isinstance(tree, dict):
            return  # the file has a plain value where a table belongs: validation says so
    tree[name] = given.value
    origins[given.path] = given.where


def _missing(tutorial: Iterable[Given], tree: Tree) -> list[Given]:
    """Those of the tutorial's values that nobody gave otherwise.

    They describe the gateway `guest` and the endpoint `tracker`: where the operator names others and not
    these, they are left alone rather than made into a second one.
    """

    def is_missing(given: Given) -> bool:
        table, entry, name = given.path
        entries = tree.get(table, {})
        if not isinstance(entries, dict) or (entries and entry not in entries):
            return False
        mine = entries.get(entry, {})
        return isinstance(mine, dict) and name not in mine

    return [given for given in tutorial if is_missing(given)]


def _open_what_it_names(tree: Tree, given: Given) -> None:
    """Who gives nothing but a tracker's url, and one on this machine, has said that deliveries may go there."""
    if given.path == TUTORIAL["WEBHOOK_URL"] and (networks := reach.opened_by(given.value)):
        tree["endpoints"][given.path[1]].setdefault("allow_cidrs", [str(network) for network in networks])


def _add_generated_secrets(tree: Tree, cwd: Path) -> list[str]:
    """Endpoints without a secret get the one kept for them; where there is none yet, only its place is set.

    Answers with the files that are there and cannot be read.
    """
    problems = []
    endpoints = tree.get("endpoints")
    for name, endpoint in endpoints.items() if isinstance(endpoints, dict) else ():
        if not isinstance(endpoint, dict) or endpoint.get("secrets"):
            continue
        if name == TUTORIAL["WEBHOOK_SECRET"][1]:
            endpoint.setdefault("generated_secret_path", _beside_the_outbox(tree))
        path = endpoint.get("generated_secret_path")
        try:
            if isinstance(path, str) and (secret := generated_secret.read(cwd / path)):
                endpoint["secrets"] = [secret]
        except SettingsError as why:
            problems.append(str(why))
    return problems


def _beside_the_outbox(tree: Tree) -> str:
    outbox = tree.get("outbox")
    path = outbox.get("path") if isinstance(outbox, dict) else None
    return str(generated_secret.beside(path or generated_secret.USUAL_OUTBOX))


def _validated(tree: Tree, origins: Origins) -> tuple[Settings | None, list[str]]:
    try:
        return Settings.model_validate(tree), []
    except ValidationError as why:
        errors = why.errors(include_url=False, include_context=False, include_input=False)
        return None, [_explained(error, origins) for error in errors]


def _explained(error: ErrorDetails, origins: Origins) -> str:
    path = tuple(str(part) for part in error["loc"])
    words = _WORDS.get(error["type"], error["msg"].removeprefix("Value error, "))
    return f"{_where(path, origins)}: {words}{_hint(error['type'], path)}"


def _where(path: keys.Path, origins: Origins) -> str:
    """The place of the nearest enclosing value somebody gave; for one nobody gave, its dotted name."""
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return ".".join((origins[path[:length]], *path[length:]))
    return ".".join(path) or "settings"


def _hint(kind: str, path: keys.Path) -> str:
    if kind == "missing":
        tutorial = next((name for name, target in TUTORIAL.items() if target == path), None)
        return f" (or {tutorial} in the environment)" if tutorial else ""
    if kind == "extra_forbidden":
        near = get_close_matches(path[-1], keys.siblings(path), n=1)
        return f"; did you mean {near[0]}?" if near else f"; wanted one of {', '.join(keys.siblings(path))}"
    return ""


def without_secret(settings: Settings) -> list[Path]:
    """Files `generated_secret.ensure` must make, after which `load` answers with the secrets in place."""
    return [
        endpoint.generated_secret_path
        for endpoint in settings.endpoints.values()
        if not endpoint.secrets and endpoint.generated_secret_path is not None
    ]
