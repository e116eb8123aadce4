"""Who may not take any more of the outbox's room, so that one dead endpoint never fills it for all.

    an endpoint may hold as much as is still free:  one that is down half of the room, two a third each, three a fourth

What is recorded for one that holds more ends at once as `cancelled`, kept and replayable, and the others' is recorded
as ever. Where every endpoint holds more, or there is one only, nobody is spared by it: they fill the room to its limit.
"""

import logging
from collections.abc import Collection

from relay.core.moments import UnixMs
from relay.core.notice import TOLD_EVERY_MS
from relay.outbox.sqlite.room import Limits, Room
from relay.outbox.sqlite.roster import Roster
from relay.outbox.sqlite.tally import Tally

NOBODY: frozenset[str] = frozenset()

log = logging.getLogger("relay.outbox")


class Shares:
    """Of one outbox's room."""

    def __init__(self, tally: Tally, roster: Roster, limits: Limits) -> None:
        self._tally = tally
        self._roster = roster
        self._limits = limits
        self._said_at: dict[str, UnixMs] = {}

    def spent(self, endpoints: Collection[str], room: Room, now: UnixMs) -> frozenset[str]:
        """Those of `endpoints` that are to be recorded as cancelled with `room` left, each said once an hour.

        An ephemeral one is not among them: of its own the oldest go first.
        """
        if room.rows * 2 > self._limits.rows and room.body_bytes * 2 > self._limits.body_bytes:
            return NOBODY  # whoever holds as much as is free leaves half at most: looked at for every fact
        active = self._roster.filters.keys() - self._tally.disabled
        brief = {name for name, terms in self._roster.limited.items() if terms.is_ephemeral}
        free = self._free(room, brief)
        over = {name for name in active - brief if self._holds_more(name, free)}
        if over == active:
            return NOBODY
        spent = over.intersection(endpoints)
        for name in spent:
            self._say(name, now)
        return frozenset(spent)

    def _free(self, room: Room, brief: Collection[str]) -> Room:
        """What ephemeral ones hold is given up for whoever needs it."""
        rows = sum(self._tally.rows_of[name] for name in brief)
        return Room(room.rows + rows, room.body_bytes + sum(self._tally.bytes_of[name] for name in brief))

    def _holds_more(self, endpoint: str, free: Room) -> bool:
        rows, body_bytes = self._tally.rows_of[endpoint], self._tally.bytes_of[endpoint]
        return rows > max(0, free.rows) or body_bytes > max(0, free.body_bytes)

    def _say(self, endpoint: str, now: UnixMs) -> None:
        if 0 <= now - self._said_at.get(endpoint, -TOLD_EVERY_MS) < TOLD_EVERY_MS:
            return
        self._said_at[endpoint] = now
        fields = {
            "endpoint": endpoint,
            "held": self._tally.rows_of[endpoint],
            "remedy": "mend the endpoint, or purge its dead letters; what it misses is cancelled, and "
            "`typing-relay dlq replay --state cancelled` sends it. Raise outbox.max_rows or outbox.max_bytes for more room",
        }
        log.error("outbox.endpoint_over_its_share", extra={"fields": fields})
