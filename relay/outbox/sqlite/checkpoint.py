"""The write-ahead log goes back into the file without a commit ever waiting for it.

SQLite's own way, a checkpoint inside the commit that passes 1,000 pages, was measured at 17 to 50 ms for that commit.
Here the copying is done by a thread and connection of its own while commits go on. It always leaves a tail, written
meanwhile, and a log with a tail is never begun anew; so the writer, between two batches, copies that short tail
itself, and its next commit starts at the log's beginning.

    log ≥ START_PAGES ──► copier: most of the log      (commits go on)
                             └──► writer: the tail     (a few pages, between two commits)
"""

import contextlib
import os
import threading
from pathlib import Path

import apsw

from relay.outbox.sqlite.file import open_for_checkpoints

START_PAGES = 8_000
"""32 MiB. Smaller means copying hot pages more often; larger means a longer recovery and more disk."""

PASSES = 2
"""The first takes as long as some hundred pages of commits; the second leaves the writer only those of its own time."""

IDLE_PAGES = 250
"""A quiet writer finishes the log itself from this size on."""

CLOSE_S = 10.0
"""What a copy under way may take to end. Nothing hangs on it: the log is whole, and read at the next start."""


class Checkpoints:
    """Keeps the log short. `after_commit` and `when_idle` belong to the writer's thread."""

    def __init__(self, connection: apsw.Connection, path: Path, *, inline: bool) -> None:
        """Takes over the connection's wal hook."""
        self._connection = connection
        self._log_pages = 0
        self._wanted = threading.Event()
        self._is_copying = False
        self._is_tail_left = threading.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        if not inline:
            # Opened here, where it may fail: a copier that ended so would leave the log to grow until the disk is full.
            copies = open_for_checkpoints(path)
            self._thread = threading.Thread(
                target=self._copy, args=(copies,), name="outbox-copier", daemon=True
            )
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        connection.set_wal_hook(self._committed)
        if self._thread:
            self._thread.start()

    def after_commit(self) -> None:
        """Asks for a copy when the log has grown, or copies the tail when that is all there is."""
        if self._is_tail_left.is_set():
            self._finish()
        elif self._log_pages >= START_PAGES and not self._is_copying:
            if self._thread:
                self._is_copying = True
                self._wanted.set()
            else:
                self._finish()

    def when_idle(self) -> None:
        if self._log_pages >= IDLE_PAGES and not self._is_copying:
            self._finish()

    def close(self) -> None:
        """Ends the copier, within `CLOSE_S`. `let_go` must follow when every other connection is closed."""
        self._is_closing = True
        self._wanted.set()
        if self._thread:
            self._thread.join(CLOSE_S)

    def let_go(self) -> None:
        """Closes the file. Before the connections it would drop their locks: POSIX ties locks to the process."""
        if self._thread and self._thread.is_alive():
            return  # a disk that hangs: the copier has a connection yet, and the process's end closes both
        os.close(self._file)

    def _committed(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _finish(self) -> None:
        self._is_tail_left.clear()
        self._log_pages = 0
        with contextlib.suppress(
            apsw.Error
        ):  # a failed copy loses nothing: the log is still whole, and tried again
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _copy(self, connection: apsw.Connection) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()  # ahead of the look and the copy: a close that comes after it sets it again
            if self._is_closing:
                break
            for _ in range(PASSES):
                self._pass(connection)
            self._is_tail_left.set()
            self._is_copying = False
        connection.close()

    def _pass(self, connection: apsw.Connection) -> None:
        if self._is_closing:
            return
        with contextlib.suppress(apsw.Error, OSError):  # as above
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            # SQLite leaves the sync of the file to the checkpoint that reaches the log's end. That is the
            # writer's, and would find all of these pages to sync: 10 to 20 ms between two commits.
            os.fdatasync(self._file)
