"""The settings are read again while the relay runs: all of what changed is taken over, or none of it.

    read ──► compare ──► each part prepares ──► each part takes ──► generation + 1
      │         │              │                 (one turn of the loop: nobody sees half of it)
      └─────────┴──────────────┴──► refused: the settings in force stay, and it is said why

What is counted and remembered (rates, breakers, event ids) belongs to the parts, not to the settings: it stays.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from relay.errors import SettingsError
from relay.observe.metrics import Metrics
from relay.observe.series import CONFIG_GENERATION, CONFIG_RELOADS
from relay.settings.changes import Changes, changes
from relay.settings.models import Settings

Take = Callable[[], None]
Prepare = Callable[[Settings], Take]
"""Builds what the new settings ask for, and raises SettingsError where it cannot; what it returns cannot fail."""

log = logging.getLogger("relay.app")


class Reloaded(NamedTuple):
    """`generation` counts the settings this process has run with, from 1; `changed` are dotted names."""

    generation: int
    changed: tuple[str, ...]


class Reloader:
    """Owns the settings in force. One reload at a time; a second waits for the first."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        parts: Sequence[Prepare],
        *,
        metrics: Metrics,
    ) -> None:
        """`read` may block and raises SettingsError; it runs on a thread. `parts` take over in their order."""
        self.settings = settings
        self.generation = 1
        self._read = read
        self._parts = parts
        self._metrics = metrics
        self._lock = asyncio.Lock()
        metrics.watch(CONFIG_GENERATION, lambda: {(): float(self.generation)})

    async def reload(self) -> Reloaded:
        """Raises SettingsError, every problem in words, where the new settings are not taken over."""
        async with self._lock:
            try:
                found = await self._prepared()
            except SettingsError as why:
                self._tell(
                    "refused", logging.ERROR, why=str(why), remedy="mend it and reload; nothing was changed"
                )
                raise
            return self._taken(*found)

    async def _prepared(self) -> tuple[Settings, Changes, list[Take]]:
        fresh = await asyncio.to_thread(self._read)
        found = changes(self.settings, fresh)
        if found.at_restart:
            raise SettingsError(
                f"only a restart takes over {', '.join(found.at_restart)}: restart the relay, or put them back as they were"
            )
        # Also where nothing differs: a certificate that was renewed is the same setting and another file.
        return fresh, found, [prepare(fresh) for prepare in self._parts]

    def _taken(self, fresh: Settings, found: Changes, takes: list[Take]) -> Reloaded:
        for take in takes:
            take()
        self.settings = fresh
        self.generation += not found.is_none
        self._tell("unchanged" if found.is_none else "taken", logging.INFO, changed=found.live)
        return Reloaded(self.generation, found.live)

    def _tell(self, outcome: str, level: int, **fields: object) -> None:
        self._metrics.counter(CONFIG_RELOADS, outcome).value += 1
        told = {"outcome": outcome, "generation": self.generation, **fields}
        log.log(level, "config.reloaded", extra={"fields": told})
