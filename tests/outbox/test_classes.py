"""SQLite under the suite for classes and limits, and its counts beside a count of the file itself."""

import shutil
import tempfile
from pathlib import Path

import apsw
import pytest
from hypothesis import settings
from hypothesis.stateful import invariant

from relay.core.terms import EPHEMERAL
from relay.errors import OutboxFull
from relay.outbox.sqlite.tally import Tally
from tests.conformance.outbox_classes import ClassesLife, ClassesSuite, recorded
from tests.conformance.outbox_store import claim, transition
from tests.outbox.test_sqlite import Disk


@pytest.fixture(params=[True, False], ids=["inline", "thread"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return Disk(tmp_path, inline=request.param)


class TestSqliteClasses(ClassesSuite):
    pass


class SqliteClassesLife(ClassesLife):
    @staticmethod
    def medium() -> Disk:
        return Disk(Path(tempfile.mkdtemp(prefix="outbox-classes-")), inline=True)

    @invariant()
    def the_tally_is_what_a_count_of_the_file_would_give(self) -> None:
        assert isinstance(self.on, Disk)
        with apsw.Connection(str(self.on.path), flags=apsw.SQLITE_OPEN_READONLY) as connection:
            counted = Tally.count(connection)
        assert self.run(self.store.depth()).body_bytes == counted.body_bytes

    def teardown(self) -> None:
        super().teardown()
        assert isinstance(self.on, Disk)
        shutil.rmtree(self.on.folder)


TestSqliteClassesLife = SqliteClassesLife.TestCase
TestSqliteClassesLife.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)


async def test_a_refusal_is_counted_by_its_limit(tmp_path: Path) -> None:
    disk = Disk(tmp_path, inline=True)
    store = await disk.open(max_rows=1)
    with pytest.raises(OutboxFull):
        await store.append(transition())
    await store.close(is_clean=True)
    store = await disk.open(max_bytes=0)
    with pytest.raises(OutboxFull):
        await store.append(transition())
    assert disk.refused == ["rows_full", "bytes_full"]
    await store.close(is_clean=True)


async def test_a_backlog_that_died_while_we_were_down_holds_up_no_claim(tmp_path: Path) -> None:
    """A claim ends what it meets in bounded rounds and asks to be asked again, until it finds what is alive."""
    disk = Disk(tmp_path, inline=True)
    store = await disk.open(max_rows=10_000, terms={"all": EPHEMERAL, "sessions": EPHEMERAL})
    for session in range(500):
        await store.append(transition(f"s{session}"))
    disk.clock.now += 30_000
    await recorded(store, "stopped", session="alive")
    asked = 0
    while not (leases := await claim(store, 8)):
        asked += 1
    assert [lease.key[1] for lease in leases] == ["alive"]
    assert asked == 1, "32 rounds of 8 end 256 of the 500 at a time"
    await store.close(is_clean=True)
