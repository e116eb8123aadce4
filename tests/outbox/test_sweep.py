"""What the sweep of each second costs and keeps, whatever the file holds."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from relay.outbox.sqlite.file import open_for_writing
from relay.outbox.sqlite.store import SqliteStore
from relay.outbox.sqlite.sweep import NEXT_AUDIT
from tests.conformance.outbox_store import START, broadcast
from tests.outbox.test_sqlite import DAY_MS, Disk

ROWS = 20_000
ADD = "INSERT INTO audit VALUES (NULL, 'aud', ?, 'guest', 's', NULL, 'x', 'typing', 1, 'start', 1, 200, NULL, '', 1, 1)"


def test_of_an_audit_one_slice_is_looked_at(tmp_path: Path) -> None:
    """A million rows are the default bound, and the writer sweeps each second."""
    connection = open_for_writing(tmp_path / "outbox.db", "normal")
    with connection:
        connection.executemany(ADD, [(START + row,) for row in range(ROWS)])
    steps = itertools.count()
    connection.set_progress_handler(lambda: next(steps) < 0, 1000)
    for after in (0, ROWS // 2):
        rows = connection.execute(NEXT_AUDIT, (after, 500)).fetchall()
        assert rows[0] == (after + 1, START + after)
        assert len(rows) == 500
    assert next(steps) < 20  # thousands of steps


@pytest.mark.parametrize(("most_rows", "left"), [(10_000, 500), (600, 300), (400, 100)])
async def test_what_was_recorded_while_the_clock_was_years_ahead_keeps_nothing_behind_it(
    tmp_path: Path, most_rows: int, left: int
) -> None:
    """Five hundred such rows were the slice that is looked at: of the rest none went by its age, nor by their number."""
    disk = Disk(tmp_path, inline=True)
    disk.keep = replace(disk.keep, audit_ms=30 * DAY_MS, audit_rows=most_rows)
    store = await disk.open()
    await record(store, 500, at=START + 3650 * DAY_MS)
    await record(store, 300, at=START)
    disk.clock.now = START + 31 * DAY_MS
    for _ in range(5):
        await store.sweep()
    assert (await store.depth()).audit_rows == left
    await store.close(is_clean=True)


async def record(store: SqliteStore, rows: int, *, at: int) -> None:
    for _ in range(rows):
        await store.append(replace(broadcast(), at=at))
