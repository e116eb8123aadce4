"""Every endpoint's standing and record: whether it is sent anything, and how it has done over days.

A row is written where something changes, and the time of the last success once a minute at most, in the commit of a
settle that happens anyway. Runs inside the writer's transaction; `forget` after one that was undone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apsw

from relay.core.endpoint import Patience, Record, Standing
from relay.core.moments import UnixMs
from relay.core.notice import Kind
from relay.outbox.sqlite.tally import Row, Tally

SUCCESS_WRITTEN_EACH_MS: UnixMs = 60_000
"""A crash forgets this much of a success at most, of the five days it is judged by."""

FIND = """
    SELECT state, reason, since, last_success, first_exhausted, succeeded_at, turned, turned_since
    FROM endpoints WHERE name = ?
"""
WRITE = """
    INSERT INTO endpoints
        (name, state, reason, since, last_success, first_exhausted, succeeded_at, turned, turned_since)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (name) DO UPDATE SET state = ?2, reason = ?3, since = ?4, last_success = ?5, first_exhausted = ?6,
        succeeded_at = ?7, turned = ?8, turned_since = ?9
"""
# A session whose head was cancelled gets a new one.
RELEASE_STUCK = """
    UPDATE deliveries SET due = ?1 WHERE id IN (
        SELECT min(id) FROM deliveries WHERE endpoint = ?2 AND finished_at IS NULL AND overtaken_at IS NULL
        GROUP BY gateway, session_id HAVING max(due) IS NULL
    )
"""
PAUSED = "paused by its operator"


class Told(NamedTuple):
    """The last of its turns that somebody was told, and since when it was so."""

    kind: Kind
    since: UnixMs


@dataclass(slots=True)
class _Held:
    """A row as it stands; `written` is the last success that the file knows of."""

    standing: Standing
    reason: str
    since: UnixMs
    record: Record
    written: UnixMs
    told: Told | None = None


class Standings:
    """The endpoints of one connection."""

    def __init__(self, connection: apsw.Connection, tally: Tally, *, wall: Callable[[], UnixMs]) -> None:
        self._connection = connection
        self._tally = tally
        self._wall = wall
        self._known: dict[str, _Held] = {}

    def succeeded(self, endpoint: str, now: UnixMs) -> None:
        held = self._held(endpoint, now)
        is_news = held.record.first_exhausted is not None or held.record.succeeded_at is None
        held.record.succeeded(now)
        if is_news or now - held.written >= SUCCESS_WRITTEN_EACH_MS:
            self._write(endpoint, held)

    def exhausted(self, endpoint: str, now: UnixMs, patience: Patience) -> str | None:
        """One of its messages spent its budget in vain. The reason, in words, where it is disabled for it now."""
        held = self._held(endpoint, now)
        is_first = held.record.first_exhausted is None
        if held.record.exhausted(now, patience) and self.disable(endpoint, held.record.in_words(), now):
            return held.reason
        if is_first:
            self._write(endpoint, held)
        return None

    def used(self, endpoint: str, now: UnixMs) -> None:
        """Something was sent to it; the first time counts as a success, or it could be given up in its first hour."""
        self._held(endpoint, now)

    def last_success(self, endpoint: str, now: UnixMs) -> UnixMs:
        return self._held(endpoint, now).record.last_success

    def told(self, endpoint: str, now: UnixMs) -> Told | None:
        return self._held(endpoint, now).told

    def tell(self, endpoint: str, told: Told, now: UnixMs) -> None:
        """Kept over restarts."""
        held = self._held(endpoint, now)
        held.told = told
        self._write(endpoint, held)

    def disable(self, endpoint: str, reason: str, now: UnixMs) -> bool:
        """False where it was disabled already, which then keeps its reason."""
        held = self._held(endpoint, now)
        if held.standing is Standing.DISABLED:
            return False
        self._become(endpoint, held, Standing.DISABLED, reason, now)
        self._tally.disabled |= {endpoint}
        return True

    def pause(self, endpoints: Sequence[str]) -> list[bool]:
        """A kind of write: False for each that was not active."""
        return [self._pause(endpoint, self._wall()) for endpoint in endpoints]

    def resume(self, endpoint: str, now: UnixMs) -> Standing:
        """What it was. Its record begins anew, and what was not yet cancelled goes on."""
        held = self._held(endpoint, now)
        before = held.standing
        if before is not Standing.ACTIVE:
            held.record.forgiven(now)
            self._become(endpoint, held, Standing.ACTIVE, "", now)
        if before is Standing.DISABLED:
            self._tally.disabled -= {endpoint}
            self._connection.execute(RELEASE_STUCK, (now, endpoint))
        return before

    def forget(self) -> None:
        self._known.clear()

    def _pause(self, endpoint: str, now: UnixMs) -> bool:
        held = self._held(endpoint, now)
        if held.standing is not Standing.ACTIVE:
            return False
        self._become(endpoint, held, Standing.PAUSED, PAUSED, now)
        return True

    def _become(self, endpoint: str, held: _Held, standing: Standing, reason: str, now: UnixMs) -> None:
        held.standing, held.reason, held.since = standing, reason, now
        self._write(endpoint, held)

    def _held(self, endpoint: str, now: UnixMs) -> _Held:
        held = self._known.get(endpoint)
        if held is None:
            held = self._known[endpoint] = self._found(endpoint) or self._begun(endpoint, now)
        return held

    def _found(self, endpoint: str) -> _Held | None:
        rows: list[Row] = self._connection.execute(FIND, (endpoint,)).fetchall()
        for state, reason, since, last_success, first_exhausted, succeeded_at, turned, turned_since in rows:
            record = Record(last_success, first_exhausted, succeeded_at)
            told = None if turned is None else Told(Kind(turned), turned_since)
            return _Held(Standing(state), reason, since, record, last_success, told)
        return None

    def _begun(self, endpoint: str, now: UnixMs) -> _Held:
        held = _Held(Standing.ACTIVE, "", now, Record(last_success=now), now)
        self._write(endpoint, held)
        return held

    def _write(self, endpoint: str, held: _Held) -> None:
        record = held.record
        row = (
            endpoint,
            held.standing.value,
            held.reason,
            held.since,
            record.last_success,
            record.first_exhausted,
            record.succeeded_at,
            *(held.told or (None, None)),
        )
        self._connection.execute(WRITE, row)
        held.written = record.last_success
