"""The copier and the room's end: whenever a copy is under way, closing waits for it and for nothing else."""

import asyncio
import os
import threading
from pathlib import Path

import apsw
import pytest

from relay.errors import StoreError
from relay.outbox.sqlite import checkpoint
from tests.conformance.outbox_store import transition
from tests.outbox.test_sqlite import Disk


class SlowDisk:
    """Its sync returns when told to."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self._sync = os.fdatasync

    def fdatasync(self, file: int) -> None:
        self.began.set()
        self.go_on.wait(20)
        self._sync(file)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    slow = SlowDisk()
    monkeypatch.setattr(os, "fdatasync", slow.fdatasync)
    monkeypatch.setattr(checkpoint, "START_PAGES", 1)
    return slow


async def test_a_close_in_the_middle_of_a_copy_ends_with_it_and_the_loop_turns_meanwhile(
    tmp_path: Path, slow: SlowDisk
) -> None:
    """The copier took the wish to end for the copy it had just made; and the wait for it was the loop's."""
    disk = Disk(tmp_path, inline=False)
    store = await disk.open()
    await store.append(transition())
    assert await asyncio.to_thread(slow.began.wait, 5)
    closing = asyncio.create_task(store.close(is_clean=True))
    await asyncio.sleep(0.1)
    assert not closing.done()
    slow.go_on.set()
    async with asyncio.timeout(2):
        await closing
    again = await disk.open()
    await again.close(is_clean=True)


async def test_a_disk_that_hangs_holds_up_the_end_so_long_and_no_longer(
    tmp_path: Path, slow: SlowDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "CLOSE_S", 0.05)
    store = await Disk(tmp_path, inline=False).open()
    await store.append(transition())
    assert await asyncio.to_thread(slow.began.wait, 5)
    async with asyncio.timeout(15):
        await store.close(is_clean=True)
    slow.go_on.set()


async def test_a_copier_that_cannot_begin_refuses_the_start_and_leaves_no_log_to_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread died unheard, and every later wish for a copy was taken for one under way."""

    def busy(_path: Path) -> apsw.Connection:
        raise apsw.BusyError

    disk = Disk(tmp_path, inline=False)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "open_for_checkpoints", busy)
        with pytest.raises(StoreError, match="BusyError"):
            await disk.open()
    await (await disk.open()).close(is_clean=True)
