"""What the sweep of each second costs, whatever the file holds."""

import itertools
from pathlib import Path

import apsw
import pytest

from relay.outbox.sqlite.file import open_for_writing
from relay.outbox.sqlite.sweep import FORGET_AUDIT
from tests.conformance.outbox_store import START

ROWS = 20_000
ADD = "INSERT INTO audit VALUES (NULL, 'aud', ?, 'guest', 's', NULL, 'x', 'typing', 1, 'start', 1, 200, NULL, '', 1, 1)"


@pytest.fixture
def audited(tmp_path: Path) -> apsw.Connection:
    """Rows of `ROWS` milliseconds, the oldest of START."""
    connection = open_for_writing(tmp_path / "outbox.db", "normal")
    with connection:
        connection.executemany(ADD, [(START + row,) for row in range(ROWS)])
    return connection


def test_an_audit_that_is_young_enough_is_not_looked_through(audited: apsw.Connection) -> None:
    """A million rows are the default bound, and the writer sweeps each second."""
    steps = itertools.count()
    audited.set_progress_handler(lambda: next(steps) < 0, 1000)
    audited.execute(FORGET_AUDIT, (START - 1, 500))
    assert audited.changes() == 0
    assert next(steps) < 10  # thousands of steps


def test_of_an_audit_past_its_time_the_oldest_slice_goes(audited: apsw.Connection) -> None:
    audited.execute(FORGET_AUDIT, (START + 599, 500))
    assert audited.changes() == 500
    audited.execute(FORGET_AUDIT, (START + 599, 500))
    assert audited.changes() == 100
    assert audited.execute("SELECT min(at) FROM audit").get == START + 600
