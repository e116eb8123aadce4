"""What differs between the settings in force and those just read, and whether a running relay can take it over."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from relay.settings.models import Settings
from relay.settings.section import Section

LIVE = re.compile(r"sources\..+|logging\.level|endpoints\.[^.]+\..+")
"""What a running relay takes over: who may post, how its trackers are told, how much is logged. The rest is what it was
built of: which trackers there are, too, for each has a lane and a record."""


class Changes(NamedTuple):
    """Dotted names of what differs, down to the entry or the key; sorted."""

    live: tuple[str, ...]
    at_restart: tuple[str, ...]

    @property
    def is_none(self) -> bool:
        return not (self.live or self.at_restart)


def changes(before: Settings, after: Settings) -> Changes:
    """Values are compared and never named: some are secrets."""
    found = sorted(_differing("", before, after))
    live = tuple(name for name in found if LIVE.fullmatch(name))
    return Changes(live, tuple(name for name in found if name not in live))


def _differing(place: str, before: object, after: object) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, Section) and type(before) is type(after):
        for name in type(before).model_fields:
            yield from _differing(f"{place}.{name}".lstrip("."), getattr(before, name), getattr(after, name))
    elif isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            yield from _differing(f"{place}.{name}", before.get(name), after.get(name))
    else:
        yield place
