"""SQLite under the suite every store must pass, and what is its own: the file, its holder, its failures."""

import asyncio
import errno
import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import apsw
import pytest
from hypothesis import settings

from relay.core.delivery import Filter, State
from relay.core.endpoint import Standing
from relay.core.ids import uuid7
from relay.core.indicator import Indicator
from relay.core.terms import Terms
from relay.errors import OutboxFull, StoreError, Unavailable
from relay.outbox.rows import Selection
from relay.outbox.sqlite.file import refused
from relay.outbox.sqlite.ledger import Options
from relay.outbox.sqlite.schema import APPLICATION_ID, MIGRATIONS
from relay.outbox.sqlite.store import SqliteStore
from relay.outbox.sqlite.sweep import Keep
from relay.outbox.store import Listener, OutboxStore
from tests.conformance.endpoints import EndpointsSuite
from tests.conformance.hurry import HurrySuite
from tests.conformance.letters import LettersSuite
from tests.conformance.outbox_store import (
    FILTERS,
    Clock,
    OutboxStoreSuite,
    StoreLife,
    broadcast,
    claim,
    settlement,
    transition,
)

DAY_MS = 86_400_000
KEEP = Keep(
    ended_ms=7 * DAY_MS, dead_letter_ms=30 * DAY_MS, history_rows=1000, audit_ms=30 * DAY_MS, audit_rows=1000
)


class Disk:
    """A folder with an outbox file. A crash is the file and its log, copied as they are at that instant."""

    def __init__(self, folder: Path, *, inline: bool, keep: Keep = KEEP, max_queue: int = 10_000) -> None:
        self.folder = folder
        self.path = folder / "outbox.db"
        self.clock = Clock()
        self.inline = inline
        self.keep = keep
        self.max_queue = max_queue
        self.filters: Mapping[str, Filter] = FILTERS
        self.refused: list[str] = []
        self.commits: list[int] = []
        self._ids = 0

    async def open(
        self, *, max_rows: int = 1000, max_bytes: int = 10_000_000, terms: Mapping[str, Terms] | None = None
    ) -> SqliteStore:
        options = Options(
            self.path,
            self.filters,
            self.keep,
            max_rows=max_rows,
            max_bytes=max_bytes,
            terms=terms or {},
            max_queue=self.max_queue,
            inline=self.inline,
        )
        listener = Listener(
            on_refused=self.refused.append, on_commit=lambda writes, _: self.commits.append(writes)
        )
        return await SqliteStore.open(options, wall=self.clock, new_id=self._id, listener=listener)

    async def crash(self, store: OutboxStore) -> None:
        taken = self._copied()
        await store.close(is_clean=True)
        self._put_back(taken)

    def _copied(self) -> Path:
        taken = Path(tempfile.mkdtemp(dir=self.folder))
        for name in ("outbox.db", "outbox.db-wal"):
            if (self.folder / name).exists():
                shutil.copy(self.folder / name, taken / name)
        return taken

    def _put_back(self, taken: Path) -> None:
        for name in ("outbox.db-wal", "outbox.db-shm"):
            (self.folder / name).unlink(missing_ok=True)
        for copy in taken.iterdir():
            copy.replace(self.folder / copy.name)
        taken.rmdir()

    def _id(self, at: int) -> str:
        self._ids += 1
        return f"msg_{uuid7(at, self._ids)}"


@pytest.fixture(params=[True, False], ids=["inline", "thread"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return Disk(tmp_path, inline=request.param)


class TestSqlite(OutboxStoreSuite):
    pass


class TestSqliteLetters(LettersSuite):
    pass


class TestSqliteEndpoints(EndpointsSuite):
    pass


class TestSqliteHurry(HurrySuite):
    pass


class SqliteLife(StoreLife):
    @staticmethod
    def medium() -> Disk:
        return Disk(Path(tempfile.mkdtemp(prefix="outbox-life-")), inline=True)

    def teardown(self) -> None:
        super().teardown()
        assert isinstance(self.on, Disk)
        shutil.rmtree(self.on.folder)


TestSqliteLife = SqliteLife.TestCase
TestSqliteLife.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path, inline=False)


async def test_the_file_and_all_beside_it_are_for_their_owner_only(disk: Disk) -> None:
    old_mask = os.umask(0)
    try:
        store = await disk.open()
        await store.append(transition())
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in disk.folder.iterdir()}
    finally:
        os.umask(old_mask)
    assert set(modes) >= {"outbox.db", "outbox.db-wal", "outbox.db.lock"}
    assert set(modes.values()) == {0o600}
    await store.close(is_clean=True)


async def test_a_second_opener_is_refused_and_told_who_holds_the_file(disk: Disk) -> None:
    store = await disk.open()
    with pytest.raises(StoreError, match=f"held by process {os.getpid()}"):
        await disk.open()
    await store.close(is_clean=True)
    await (await disk.open()).close(is_clean=True)


async def test_a_second_opener_by_another_name_of_the_file_is_refused(disk: Disk, tmp_path: Path) -> None:
    """Each name had a lock of its own: the second gave back the leases of the first, and both sent."""
    store = await disk.open()
    other = Disk(tmp_path / "elsewhere", inline=False)
    other.folder.mkdir()
    other.path.symlink_to(disk.path)
    with pytest.raises(StoreError, match=f"held by process {os.getpid()}"):
        await other.open()
    await store.close(is_clean=True)


async def test_a_newer_releases_file_is_refused_untouched(disk: Disk) -> None:
    await (await disk.open()).close(is_clean=True)
    with apsw.Connection(str(disk.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = disk.path.read_bytes()
    with pytest.raises(StoreError, match="schema 99"):
        await disk.open()
    assert disk.path.read_bytes() == before


def test_the_changelog_names_the_schema_there_is() -> None:
    """It escaped until now: a step was added, and the operator was told of the one before."""
    told = (Path(__file__).parents[2] / "CHANGELOG.md").read_text()
    assert f"new schema ({len(MIGRATIONS)})" in told


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_a_file_of_an_older_schema_is_brought_forward_with_what_it_holds(
    disk: Disk, version: int
) -> None:
    with apsw.Connection(str(disk.path)) as connection:
        for step in MIGRATIONS[:version]:
            connection.execute(step)
        connection.execute(f"PRAGMA user_version = {version}; PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(
            "INSERT INTO events (event_id, type, recorded_at, body) VALUES ('msg_1', 'session.typing', 0, x'7b7d')"
        )
        connection.execute(
            "INSERT INTO endpoints (name, reason, since) VALUES ('gone', 'answered 410 Gone', 7)"
        )
        connection.execute(
            "INSERT INTO deliveries (event, endpoint, gateway, session_id, state, due) "
            "VALUES (1, 'all', 'guest', 's1', 'pending', 0)"
        )
        connection.execute(
            "INSERT INTO deliveries (event, endpoint, gateway, session_id, state, finished_at) "
            "VALUES (1, 'gone', 'guest', 's1', 'delivered', 5)"
        )
    store = await disk.open()
    assert [lease.event_id for lease in await claim(store)] == ["msg_1"]
    (gone,) = [row for row in await store.endpoints() if row.name == "gone"]
    assert (gone.standing, gone.reason, gone.since) == (Standing.DISABLED, "answered 410 Gone", 7)
    assert gone.succeeded_at == 5
    await store.close(is_clean=True)


async def test_another_programs_database_is_refused(disk: Disk) -> None:
    connection = apsw.Connection(str(disk.path))
    connection.execute("CREATE TABLE theirs (id)")
    connection.close()
    with pytest.raises(StoreError, match="another program's"):
        await disk.open()


async def test_a_file_that_is_no_database_is_refused(disk: Disk) -> None:
    disk.path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreError, match="not an outbox file"):
        await disk.open()


async def test_a_missing_folder_is_named_as_the_trouble(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="make its folder"):
        await Disk(tmp_path / "missing", inline=False).open()


async def test_a_disk_too_full_for_the_holders_name_is_said_and_holds_nothing(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It escaped until now: the start ended with a traceback."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", refuse)
        with pytest.raises(StoreError, match=r"No space left on device\): free some space"):
            await disk.open()
    await (await disk.open()).close(is_clean=True)


def test_a_disk_that_fills_up_while_the_file_is_made_is_to_be_emptied(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match="its disk is full: free some space"),
        refused(tmp_path / "outbox.db"),
    ):
        raise apsw.FullError


async def test_writes_that_wait_together_share_a_commit(disk: Disk) -> None:
    store = await disk.open(max_rows=10_000)
    await asyncio.gather(*(store.append(transition(f"s{n}")) for n in range(500)))
    assert sum(disk.commits) == 500
    assert len(disk.commits) < 250
    await store.close(is_clean=True)


async def test_the_depth_counts_what_is_committed_and_nothing_of_a_commit_under_way(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escaped because a count read a moment too soon is right a moment later: seen where a listing was asked next."""
    reached, may_end = threading.Event(), threading.Event()

    def at_commit() -> bool:
        reached.set()
        return not may_end.wait(timeout=10)

    store = await disk.open()
    await store.append(transition("before"))
    await store.close(is_clean=True)
    monkeypatch.setattr(
        apsw, "connection_hooks", [*apsw.connection_hooks, lambda one: one.set_commit_hook(at_commit)]
    )
    may_end.set()
    store = await disk.open()
    held = (await store.depth()).by_state
    may_end.clear()
    reached.clear()
    writing = store.append(transition())
    assert await asyncio.to_thread(reached.wait, 10)
    assert (await store.depth()).by_state == held
    may_end.set()
    await writing
    assert (await store.depth()).by_state[State.PENDING] == 2 * held[State.PENDING] > 0
    await store.close(is_clean=True)


async def test_a_full_queue_refuses_at_once_and_the_gap_shows_in_the_sessions_numbers(tmp_path: Path) -> None:
    disk = Disk(tmp_path, inline=True, max_queue=2)
    store = await disk.open()
    first, second = store.append(transition()), store.append(transition())
    with pytest.raises(OutboxFull, match="slow down"):
        await store.append(transition())
    assert store.trouble is not None
    assert [(await first).sequence, (await second).sequence] == [1, 2]
    assert (await store.append(transition())).sequence == 4
    assert disk.refused == ["queue_full"]
    await store.close(is_clean=True)


async def test_one_fact_that_cannot_be_written_takes_no_other_along(disk: Disk) -> None:
    store = await disk.open()
    good, bad, other = (store.append(transition(session)) for session in ("a", "\ud800", "b"))
    with pytest.raises(Unavailable):
        await bad
    assert [(await good).sequence, (await other).sequence] == [1, 1]
    assert disk.refused == ["write_failed"]
    await store.close(is_clean=True)


def damage(path: Path, table: str) -> None:
    """Overwrites the table's first page, as a failing disk may."""
    with apsw.Connection(str(path)) as connection:
        page: int = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get
        page_bytes = connection.pragma("page_size")
    assert isinstance(page_bytes, int)
    with path.open("r+b") as file:
        file.seek((page - 1) * page_bytes)
        file.write(b"\xff" * page_bytes)


async def test_a_fault_inside_a_commit_is_told_as_the_disks_and_is_not_tried_write_by_write(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """Escaped because the faults we made, a full disk among them, all struck at the commit and none before it."""
    await (await disk.open()).close(is_clean=True)
    damage(disk.path, "sessions")
    store = await disk.open()
    with caplog.at_level(logging.ERROR, "relay.outbox"):
        results = await asyncio.gather(
            *(store.append(transition(f"s{n}")) for n in range(50)), return_exceptions=True
        )
    assert {type(why) for why in results} == {Unavailable}
    assert "CorruptError" in str(store.trouble)
    assert not caplog.records
    await store.close(is_clean=True)


async def test_where_no_write_succeeds_for_a_reason_nobody_foresaw_the_store_is_in_trouble(
    disk: Disk,
) -> None:
    """Escaped because only one bad write among good ones was tried: that one is its own trouble, not the store's."""
    store = await disk.open()
    bad = [store.append(transition("\ud800")) for _ in range(3)]
    assert {type(why) for why in await asyncio.gather(*bad, return_exceptions=True)} == {Unavailable}
    assert store.trouble is not None
    await store.append(transition())
    assert store.trouble is None
    await store.close(is_clean=True)


@pytest.mark.parametrize("table", ["deliveries", "marks"])
async def test_a_damaged_file_is_refused_with_its_remedy_and_let_go_of(disk: Disk, table: str) -> None:
    """Escaped because the only bad file we opened was no database at all, which is found before anything is read."""
    await (await disk.open()).close(is_clean=True)
    damage(disk.path, table)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"is damaged.*restore it from a backup"):
            await disk.open()


async def test_ended_deliveries_go_after_their_time_and_dead_letters_later(disk: Disk) -> None:
    store = await disk.open()
    for session, state in (("a", State.DELIVERED), ("b", State.EXHAUSTED)):
        await store.append(broadcast(session))
        (lease,) = await claim(store)
        await store.settle(settlement(lease, state))
    await store.append(broadcast("c"))
    disk.clock.now += 7 * DAY_MS
    await store.sweep()
    assert [row.key[1] for row in await store.deliveries(Selection())] == ["c", "b"]
    disk.clock.now += 23 * DAY_MS
    await store.sweep()
    assert [row.key[1] for row in await store.deliveries(Selection())] == ["c"]
    await store.close(is_clean=True)


async def test_what_waits_for_an_endpoint_no_longer_configured_is_named_and_in_the_end_cancelled(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """Escaped because no test opened a file with other endpoints than it was written with."""
    store = await disk.open()
    for session in ("a", "a", "b"):
        await store.append(transition(session))
    disk.clock.now += DAY_MS
    await store.append(transition("a"))
    await store.close(is_clean=True)
    disk.filters = {"all": Filter()}
    store = await disk.open()
    (warned,) = [record for record in caplog.records if record.message == "outbox.endpoint_unknown"]
    fields = vars(warned)["fields"]
    assert (warned.levelno, fields["endpoint"], fields["deliveries"]) == (logging.WARNING, "sessions", 4)
    disk.clock.now += 29 * DAY_MS - 1
    await store.sweep()
    assert len(await store.deliveries(Selection(State.PENDING, "sessions"))) == 4
    disk.clock.now += 1
    await store.sweep()
    assert len(await store.deliveries(Selection(State.CANCELLED, "sessions"))) == 3
    assert len(await store.deliveries(Selection(State.PENDING, "all"))) == 4
    assert (await store.depth()).by_state[State.PENDING] == 5
    await store.close(is_clean=True)


async def test_an_endpoint_configured_again_gets_what_was_not_cancelled_meanwhile(disk: Disk) -> None:
    store = await disk.open()
    await store.append(transition("a"))
    disk.clock.now += DAY_MS
    kept = await store.append(transition("a"))
    await store.close(is_clean=True)
    disk.filters = {"all": Filter()}
    store = await disk.open()
    disk.clock.now += 29 * DAY_MS
    await store.sweep()
    await store.close(is_clean=True)
    disk.filters = FILTERS
    store = await disk.open()
    assert [lease.event_id for lease in await claim(store, endpoint="sessions")] == [kept.event_id]
    await store.close(is_clean=True)


async def test_an_event_stays_while_one_of_its_deliveries_lives(disk: Disk) -> None:
    store = await disk.open()
    await store.append(transition())
    (lease,) = await claim(store, endpoint="sessions")
    await store.settle(settlement(lease))
    disk.clock.now += 8 * DAY_MS
    await store.sweep()
    (left,) = await claim(store, endpoint="all")
    assert left.body == lease.body
    await store.close(is_clean=True)


async def test_history_and_audit_are_bounded_by_rows_whatever_their_age(tmp_path: Path) -> None:
    disk = Disk(tmp_path, inline=True, keep=Keep(7 * DAY_MS, 30 * DAY_MS, 3, 30 * DAY_MS, 2))
    store = await disk.open()
    for n in range(6):
        await store.append(broadcast(f"s{n}"))
    for lease in await claim(store):
        disk.clock.now += 1
        await store.settle(settlement(lease))
    await store.sweep()
    assert [row.key[1] for row in await store.deliveries(Selection())] == ["s5", "s4", "s3"]
    assert (await store.depth()).audit_rows == 2
    await store.close(is_clean=True)


async def test_a_stopped_sessions_number_counts_on_for_a_day(disk: Disk) -> None:
    store = await disk.open()
    for state in (Indicator.TYPING, Indicator.STOPPED):
        await store.append(transition("a", state))
    await store.append(transition("open"))
    disk.clock.now += DAY_MS - 1
    await store.sweep()
    assert (await store.append(transition("a", Indicator.STOPPED))).sequence == 3
    disk.clock.now += DAY_MS
    await store.sweep()
    assert (await store.append(transition("a"))).sequence == 1
    assert (await store.append(transition("open"))).sequence == 2
    await store.close(is_clean=True)


APPENDER = """
import asyncio, sys
from pathlib import Path
from tests.conformance.outbox_store import transition
from tests.outbox.test_sqlite import Disk

async def main():
    store = await Disk(Path(sys.argv[1]), inline=False).open(max_rows=10**6)
    async def appending(name):
        while True:
            recorded = await store.append(transition(name))
            print(name, recorded.sequence, flush=True)
    await asyncio.gather(*(appending(f"s{n}") for n in range(8)))

asyncio.run(main())
"""


@pytest.fixture
def appender(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate(timeout=10)


async def test_what_was_acknowledged_survives_kill_9(disk: Disk, appender: "subprocess.Popen[str]") -> None:
    assert appender.stdout
    lines = [appender.stdout.readline() for _ in range(400)]
    with pytest.raises(StoreError, match=f"held by process {appender.pid}"):
        await disk.open()
    appender.kill()
    lines += (
        appender.stdout.read().splitlines()
    )  # to its end; `communicate` would not see what is buffered here
    said = (line.split() for line in lines)
    acknowledged = {
        (words[0], int(words[1])) for words in said if len(words) == 2
    }  # the kill may cut the last one
    store = await disk.open(max_rows=10**6)
    kept = await store.deliveries(Selection(endpoint="all", limit=10**6))
    assert len(kept) >= len(acknowledged)
    for session in {name for name, _ in acknowledged}:
        last = max(number for name, number in acknowledged if name == session)
        assert sum(row.key[1] == session for row in kept) in (last, last + 1)
    await store.close(is_clean=True)


FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from relay.errors import OutboxFull, Unavailable
from tests.conformance.outbox_store import transition
from tests.outbox.test_sqlite import Disk

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    disk = Disk(Path(sys.argv[1]), inline=False)
    store = await disk.open(max_rows=10**6)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    await store.append(transition())
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    refused, number = 0, 0
    while refused < 20:
        try:
            number = (await store.append(transition())).sequence
        except Unavailable:
            refused += 1
    assert store.trouble, "a store that refuses must say so"
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    after = (await store.append(transition())).sequence
    assert after == number + 21, (number, after)
    assert store.trouble is None
    assert len(disk.refused) == 20, disk.refused
    await store.close(is_clean=True)
    print("recovered", number)

asyncio.run(main())
"""


def test_a_full_disk_refuses_is_told_and_recovers_by_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("recovered"), done.stderr
    with apsw.Connection(str(tmp_path / "outbox.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
