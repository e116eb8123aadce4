"""What the file could not be told while another held it, and is told afterwards."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from relay.core.delivery import Filter
from relay.errors import Unavailable
from relay.outbox.sqlite import file
from tests.conformance.outbox_store import START, transition
from tests.outbox.test_sqlite import Disk

NONE = {"all": Filter(events=("nothing",))}


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Gives up on a locked file at once."""
    monkeypatch.setattr(file, "BUSY_MS", 1)
    disk = Disk(tmp_path, inline=True)
    disk.filters = {"all": Filter()}
    return disk


@contextmanager
def locked(path: Path) -> Iterator[None]:
    connection = apsw.Connection(str(path))
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


async def test_who_is_told_what_outlives_a_write_that_failed(disk: Disk) -> None:
    """A reload on a full disk was answered with success, and the filters before it stayed until a restart."""
    store = await disk.open()
    with locked(disk.path):
        store.address(NONE, {})
        with pytest.raises(Unavailable):
            await store.append(transition())
    assert (await store.append(transition())).endpoints == ()
    await store.close(is_clean=True)


async def test_of_two_that_failed_the_later_is_told_with_the_next_mark(disk: Disk) -> None:
    store = await disk.open()
    with locked(disk.path):
        store.address(NONE, {})
        await asyncio.sleep(0.01)
        store.address({"all": Filter(), "more": Filter()}, {})
        await asyncio.sleep(0.01)
    await store.mark_alive(START)
    assert (await store.append(transition())).endpoints == ("all", "more")
    await store.close(is_clean=True)


async def test_a_change_falls_between_two_facts_of_one_commit(disk: Disk) -> None:
    store = await disk.open()
    before = store.append(transition())
    store.address(NONE, {})
    after = store.append(transition())
    assert ((await before).endpoints, (await after).endpoints) == (("all",), ())
    await store.close(is_clean=True)
