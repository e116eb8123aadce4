"""Every key that can be set: its path, its environment twin, and the nearest one to a misspelling.

`gateways.guest.rate_per_minute` is `RELAY_GATEWAYS__GUEST__RATE_PER_MINUTE`. The name inside a table of named
entries holds no underscore (see `models.Name`), so `_` in the environment always stands for `-`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from relay.settings.models import Settings
from relay.settings.section import Section

PREFIX = "RELAY_"
Path = tuple[str, ...]


def _named_entry(annotation: Any) -> type[Section] | None:
    """The model of one entry where a table holds entries by name (`dict[Name, Model]`)."""
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


NAMED: dict[str, type[Section]] = {
    name: entry
    for name, field in Settings.model_fields.items()
    if (entry := _named_entry(field.annotation)) is not None
}
PLAIN: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}


@dataclass(frozen=True, slots=True)
class Key:
    path: Path
    is_list: bool
    is_table: bool = False
    """Of names the operator chooses, as `headers` is."""

    @property
    def env_name(self) -> str:
        return PREFIX + "__".join(part.upper().replace("-", "_") for part in self.path)


def keys_of(section: str, entry: str = "NAME") -> Iterator[Key]:
    """Each key of one section; of a table with named entries, the keys of `entry`."""
    model, path = (PLAIN[section], (section,)) if section in PLAIN else (NAMED[section], (section, entry))
    for name, field in _named_fields(model).items():
        kind = get_origin(field.annotation)
        yield Key((*path, name), is_list=kind is tuple, is_table=kind is dict)


def _named_fields(model: type[Section]) -> dict[str, FieldInfo]:
    """By the name an operator writes; `class` cannot be an attribute's."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def find(env_name: str) -> Key | None:
    """The key an environment name stands for, or None if there is no such key."""
    return next((key for key in _candidates(env_name) if key.env_name == env_name), None)


def nearest(env_name: str) -> str | None:
    """The environment name most like a misspelt one, if any is close."""
    names = [key.env_name for key in _candidates(env_name)]
    return next(iter(get_close_matches(env_name, names, n=1, cutoff=0.8)), None)


def siblings(path: Path) -> list[str]:
    """What may stand where the last part of `path` stands."""
    match path:
        case (_,):
            return list(Settings.model_fields)
        case (section, _) if section in PLAIN:
            return list(_named_fields(PLAIN[section]))
        case (section, _, _) if section in NAMED:
            return list(_named_fields(NAMED[section]))
        case _:
            return []


def _candidates(env_name: str) -> Iterator[Key]:
    """Every key, where a table has named entries with the entry that `env_name` itself speaks of."""
    parts = env_name.removeprefix(PREFIX).split("__")
    entry = parts[1].lower().replace("_", "-") if len(parts) > 1 else "NAME"
    for section in Settings.model_fields:
        yield from keys_of(section, entry)
