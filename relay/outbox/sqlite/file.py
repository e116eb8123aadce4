"""The outbox's file on disk: made private, opened with the settings its promises need, refused when it is not ours."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import apsw

from relay.core.obstacle import remedy_of
from relay.errors import OutboxFull, RelayError, StoreError, Unavailable
from relay.outbox.sqlite.schema import MIGRATIONS, fitting_version, migrate
from relay.outbox.sqlite.tally import Tally

BUSY_MS = 5000
"""The checkpoint and the writer exclude each other for moments only; a wait this long is a fault."""

MEDIUM = (
    apsw.FullError,
    apsw.IOError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.ProtocolError,
    apsw.NoMemError,
)
"""Faults of the file or the machine, at whatever statement they show: every other write would meet them too."""

Synchronous = Literal["full", "normal"]


def open_for_writing(path: Path, synchronous: Synchronous) -> apsw.Connection:
    """A connection that commits durably and never checkpoints by itself. Raises StoreError."""
    with refused(path):
        _make_private(path)
        connection = apsw.Connection(str(path))
        with closed_on_failure(connection):
            _prepare(connection, synchronous)
            migrate(connection)
    return connection


@contextlib.contextmanager
def refused(path: Path) -> Iterator[None]:
    """Around whatever is first done with the file: what fails there is a StoreError with its remedy."""
    try:
        yield
    except OSError as why:
        raise StoreError(
            f"{path} cannot be made or opened ({why.strerror}): {remedy_of(why.errno)}, or set outbox.path elsewhere"
        ) from why
    except apsw.NotADBError as why:
        raise StoreError(f"{path} is not an outbox file: set outbox.path to a file of our own") from why
    except apsw.CorruptError as why:
        raise StoreError(
            f"{path} is damaged: check the disk, then restore it from a backup, or move it away with its -wal and "
            "begin a new one (`sqlite3 .recover` may still read what was in it)"
        ) from why
    except apsw.FullError as why:
        raise StoreError(
            f"{path} cannot grow, its disk is full: free some space there, or set outbox.path elsewhere"
        ) from why
    except apsw.Error as why:
        raise StoreError(
            f"{path} cannot be opened ({type(why).__name__}): check the disk and the owner"
        ) from why


@contextlib.contextmanager
def closed_on_failure(connection: apsw.Connection) -> Iterator[None]:
    """Without this the connection would live on in the exception's frames, and hold the file's locks."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def open_for_reading(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(BUSY_MS)
    return connection


def refuse_unfit(path: Path) -> None:
    """Returns for a file the relay would start on, also one it is running on; nothing is made beside it.

    Raises StoreError in the words of a start: another program's file, a newer release's, a damaged one.
    """
    with refused(path):
        connection = apsw.Connection(_untouched(path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        with contextlib.closing(connection):
            connection.set_busy_timeout(BUSY_MS)
            _look_through(connection, fitting_version(connection))


def _look_through(connection: apsw.Connection, version: int) -> None:
    """Reads what a start reads first, and takes as long: damage shows where it is read, not where a file is opened."""
    if version > 0:
        connection.execute("SELECT name, value FROM marks").fetchall()
    if version == len(MIGRATIONS):  # an older one has not all of the columns yet
        Tally.count(connection)


def _untouched(path: Path) -> str:
    """Whoever opens a file that keeps a log makes log and index, where they are missing, unless told not to."""
    file = path.resolve()  # they lie beside the file, whatever name it is called by
    has_log = all(file.with_name(file.name + end).exists() for end in ("-wal", "-shm"))
    return f"{file.as_uri()}?{'readonly_shm=1' if has_log else 'immutable=1'}"


def open_for_checkpoints(path: Path) -> apsw.Connection:
    """A second connection, so that the log is copied back while the writer goes on committing."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(0)
    connection.pragma("wal_autocheckpoint", 0)
    # Until a connection has read something it does not know that there is a log, and its checkpoints do nothing.
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    return connection


def translated(why: apsw.Error) -> RelayError:
    """A failed write as the appender should understand it. Raise it from `why`, so that the cause stays attached."""
    if isinstance(why, apsw.FullError):
        return OutboxFull(
            "the outbox's disk is full: free some space; recording resumes by itself", retry_after_s=5
        )
    return Unavailable(
        f"the outbox's file could not be written ({type(why).__name__}): check the disk; it is tried again",
        retry_after_s=5,
    )


def _make_private(path: Path) -> None:
    """Before SQLite sees it: the log and the index it makes beside the file take over its mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def _prepare(connection: apsw.Connection, synchronous: Synchronous) -> None:
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", synchronous)
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("mmap_size", 0)
    connection.pragma("cache_size", -32_768)  # KiB; the indexes' working set at a backlog of a million
