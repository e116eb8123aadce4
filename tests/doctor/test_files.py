import contextlib
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from relay.doctor import files
from relay.doctor.finding import Level
from relay.errors import StoreError
from relay.outbox.holder import Hold
from relay.outbox.sqlite.file import open_for_writing, refuse_unfit
from relay.settings.loading import load
from relay.settings.models import Outbox

MIB = 1_048_576


@pytest.mark.parametrize(
    ("bits", "level"),
    [(0o100600, Level.OK), (0o100640, Level.OK), (0o100644, Level.WARN), (0o100602, Level.FAIL)],
)
def test_what_everybody_may_read_is_doubtful_and_what_everybody_may_change_is_wrong(
    bits: int, level: Level
) -> None:
    assert files.mode(Path("relay.toml"), bits).level is level


def test_every_file_a_secret_came_from_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text('[gateways.guest]\nclient_id = "i"\nclient_secret = "s"\n')
    (tmp_path / ".env").write_text("WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    (tmp_path / "id").write_text("not a secret")
    (tmp_path / "second").write_text("s2")
    environ = {
        "GENESYS_API_BASE_URL": "http://127.0.0.1:1",
        "WEBHOOK_URL": "http://127.0.0.1:1/",
        "RELAY_GATEWAYS__OTHER__CLIENT_ID_FILE": "id",
        "RELAY_GATEWAYS__OTHER__CLIENT_SECRET_FILE": "second",
    }
    config = Path("relay.toml")
    settings = load(config, environ, tmp_path)
    found = files.holding_secrets(settings, config, environ, tmp_path)
    assert {path.name for path in found} == {"relay.toml", ".env", "second"}


def test_a_file_that_holds_no_secret_may_be_read_by_all(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("[server]\nport = 8081\n")
    config = Path("relay.toml")
    settings = load(config, {}, tmp_path)
    assert list(files.modes(settings, config, {}, tmp_path)) == []


def test_an_outbox_is_looked_at_without_making_it(tmp_path: Path) -> None:
    found = list(files.outbox(Outbox(max_bytes=MIB, attempts_bytes=MIB), tmp_path))
    assert {each.level for each in found} <= {Level.OK, Level.WARN}, "a slow disk is a warning"
    assert "held by nobody" in found[0].seen
    assert list(tmp_path.iterdir()) == []


def test_who_holds_the_outbox_is_said_and_left_alone(tmp_path: Path) -> None:
    hold = Hold.take(tmp_path / "typing-relay.db")
    found = next(files.outbox(Outbox(), tmp_path))
    assert f"process {os.getpid()}" in found.seen
    hold.release()
    assert "held by nobody" in next(files.outbox(Outbox(), tmp_path)).seen
    Hold.take(tmp_path / "typing-relay.db").release()


def test_an_outbox_that_cannot_be_is_said_with_what_to_do(tmp_path: Path) -> None:
    (found,) = files.outbox(Outbox(path=Path("nowhere/at/all.db")), tmp_path)
    assert (found.level, "outbox.path" in found.fix) == (Level.FAIL, True)
    (tmp_path / "letter.db").write_text("Dear Sir or Madam,")
    levels = [each.level for each in files.outbox(Outbox(path=Path("letter.db")), tmp_path)]
    assert Level.FAIL in levels


def newer(path: Path) -> apsw.Connection:
    connection = open_for_writing(path, "full")
    connection.pragma("user_version", 9)  # in the log: the file itself does not say it yet
    return connection


def another_programs(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute("CREATE TABLE theirs (id)")
    return connection


def failed(folder: Path) -> list[str]:
    return [each.line for each in files.outbox(Outbox(), folder) if each.level is Level.FAIL]


def written(folder: Path) -> dict[str, bytes]:
    """What is in each file; of the log's index, where every reader of an open file signs in, only that it is there."""
    return {each.name: b"" if each.name.endswith("-shm") else each.read_bytes() for each in folder.iterdir()}


@pytest.mark.parametrize(
    ("begin", "words"),
    [(newer, "schema 9 and this release knows up to"), (another_programs, "another program's database")],
)
def test_a_file_a_start_would_refuse_is_wrong_whether_it_is_open_or_not(
    tmp_path: Path, begin: Callable[[Path], apsw.Connection], words: str
) -> None:
    """It escaped until now: of the file the first 16 bytes were read, which every SQLite file has."""
    connection = begin(tmp_path / "typing-relay.db")
    before = written(tmp_path)
    (found,) = failed(tmp_path)
    assert words in found
    assert "outbox.path" in found
    assert written(tmp_path) == before
    connection.close()
    before = written(tmp_path)
    assert failed(tmp_path) == [found]
    assert written(tmp_path) == before


def test_a_file_a_relay_is_writing_is_well_and_nothing_is_made_beside_it(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "typing-relay.db", "full")
    connection.execute("BEGIN IMMEDIATE")
    before = written(tmp_path)
    assert failed(tmp_path) == []
    assert written(tmp_path) == before
    connection.execute("COMMIT")
    connection.close()
    assert failed(tmp_path) == []
    assert [each.name for each in tmp_path.iterdir()] == ["typing-relay.db"]


def test_an_outbox_called_by_a_link_is_judged_by_its_own_log(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (tmp_path / "typing-relay.db").symlink_to(folder / "outbox.db")
    connection = newer(folder / "outbox.db")
    assert len(failed(tmp_path)) == 1
    connection.close()


def test_a_damaged_outbox_is_wrong(tmp_path: Path) -> None:
    open_for_writing(tmp_path / "typing-relay.db", "full").close()
    os.truncate(tmp_path / "typing-relay.db", 2000)
    (found,) = failed(tmp_path)
    assert "is damaged" in found


@pytest.mark.parametrize("table", ["marks", "deliveries", "audit", "endpoints"])
def test_an_outbox_that_is_damaged_where_a_start_reads_it_is_wrong_and_left_as_it_is(
    tmp_path: Path, table: str
) -> None:
    """It escaped because the damage we made was of the file's head, and nothing else was read."""
    path = tmp_path / "typing-relay.db"
    with contextlib.closing(open_for_writing(path, "full")) as connection:
        page: int = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"X" * 54)
    before = written(tmp_path)
    (found,) = failed(tmp_path)
    assert "is damaged" in found
    assert written(tmp_path) == before


def test_an_outbox_that_will_not_do_is_not_called_well_as_well(tmp_path: Path) -> None:
    (tmp_path / "typing-relay.db").write_text("Dear Sir or Madam,")
    found = [each for each in files.outbox(Outbox(), tmp_path) if each.about == "outbox"]
    assert [each.level for each in found] == [Level.FAIL]


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "let the relay's user"),
        (errno.EROFS, "mount it writable"),
    ],
)
def test_the_remedy_of_an_outbox_that_cannot_be_is_of_what_is_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, word: str
) -> None:
    """It escaped until now: a full disk was to be mended by making its folder."""

    def refuse(_: Path) -> float:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files, "fsync_ms", refuse)
    (found,) = files.outbox(Outbox(), tmp_path)
    assert os.strerror(number) in found.seen
    assert (word in found.fix, "outbox.path" in found.fix, "make its folder" in found.fix) == (
        True,
        True,
        False,
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_can_be_judged_where_nothing_may_be_made_beside_it(tmp_path: Path) -> None:
    newer(tmp_path / "typing-relay.db").close()
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="schema 9"):
        refuse_unfit(tmp_path / "typing-relay.db")
    tmp_path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_outbox_file_that_may_only_be_read_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "typing-relay.db").touch(mode=0o400)
    (found,) = files.outbox(Outbox(), tmp_path)
    assert (found.level, found.seen.endswith("Permission denied")) == (Level.FAIL, True)


def test_a_disk_with_less_room_than_the_outbox_may_take_is_doubtful() -> None:
    assert files.room(100 * MIB, wanted_bytes=100 * MIB).level is Level.OK
    assert files.room(100 * MIB - 1, wanted_bytes=100 * MIB).level is Level.WARN


def test_a_slow_disk_is_doubtful() -> None:
    assert [files.fsync(took_ms).level for took_ms in (50.0, 50.1)] == [Level.OK, Level.WARN]


def test_the_newest_write_is_the_journals_too(tmp_path: Path) -> None:
    assert files.newest_write(Outbox(), tmp_path) is None
    (tmp_path / "typing-relay.db").touch()
    later = time.time_ns() + 10**9
    (tmp_path / "typing-relay.db-wal").touch()
    os.utime(tmp_path / "typing-relay.db-wal", ns=(later, later))
    assert files.newest_write(Outbox(), tmp_path) == later // 1_000_000
