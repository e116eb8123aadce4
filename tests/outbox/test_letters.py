"""Purges, replays and the attempts' log in SQLite: what is left in the file, and how long anything is held up."""

import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from relay.core.delivery import Filter, State
from relay.outbox.letters import MOST, SLICE, Done, Letters
from relay.outbox.rows import Pick, Replayed, Selection
from relay.outbox.sqlite.store import SqliteStore
from relay.outbox.sqlite.sweep import Keep
from relay.outbox.sqlite.tally import ATTEMPT_ROW_BYTES
from tests.conformance.outbox_store import START, broadcast, claim, settlement, transition
from tests.outbox.test_sqlite import DAY_MS, Disk

ANSWER_BYTES = ATTEMPT_ROW_BYTES + len(b"answer")


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    disk = Disk(tmp_path, inline=False)
    disk.filters = {"all": Filter()}
    return disk


def keep(*, attempts_bytes: int = 10**9, ended_ms: int = 7 * DAY_MS) -> Keep:
    return Keep(ended_ms, 30 * DAY_MS, 100_000, 30 * DAY_MS, 100_000, attempts_bytes)


def tables(path: Path) -> dict[str, list[tuple[Any, ...]]]:  # Any: whatever a row holds
    """Every row of every table, as another program would read the file."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}  # noqa: S608 - read from it
    finally:
        connection.close()


def rows_with(path: Path, word: str) -> dict[str, int]:
    found = {
        name: sum(any(word in _text(cell) for cell in row) for row in rows)
        for name, rows in tables(path).items()
    }
    return {name: count for name, count in found.items() if count}


def _text(cell: object) -> str:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)


def letters_of(path: Path, count: int, *, between: int = 0) -> None:
    """Puts `count` dead letters of one session into a closed file, and after each `between` delivered ones."""
    with apsw.Connection(str(path)) as connection:
        for number in range(count * (1 + between)):
            state = "delivered" if number % (1 + between) else "exhausted"
            connection.execute(
                "INSERT INTO events (event_id, type, recorded_at, body) VALUES (?, 'session.typing', ?, x'7b7d')",
                (f"msg_{number}", START),
            )
            connection.execute(
                "INSERT INTO deliveries (event, endpoint, gateway, session_id, state, finished_at, attempts) "
                "VALUES (last_insert_rowid(), 'all', 'guest', 's', ?, ?, 10)",
                (state, START),
            )


async def test_after_a_purge_no_row_of_any_table_knows_guest_or_words_of_the_session(disk: Disk) -> None:
    """All that stays is the session's own row with its number, for a day, and without its guest."""
    store = await disk.open()
    for session in ("secret-session", "other"):
        for fact in (transition(session), broadcast(session), transition(session)):
            await store.append(fact)
        for lease in await claim(store):
            await store.settle(settlement(lease, State.EXHAUSTED))
    before = tables(disk.path)
    await Letters(store).purge_session("secret-session")
    after = tables(disk.path)
    assert rows_with(disk.path, "secret-session") == {"sessions": 1}
    for name in ("events", "deliveries", "attempts", "audit"):
        assert set(after[name]) < set(before[name])
    assert len(after["events"]) == 3
    assert [row for row in after["sessions"] if "other" in row] == [
        row for row in before["sessions"] if "other" in row
    ]
    assert not any("g1" in map(str, row) for row in after["sessions"] if "secret-session" in row)
    await store.close(is_clean=True)


async def test_a_replay_takes_ten_thousand_a_call_and_says_that_more_are_left(disk: Disk) -> None:
    await (await disk.open()).close(is_clean=True)
    letters_of(disk.path, MOST + 300)
    store = await disk.open(max_rows=10**6)
    letters, pick = Letters(store), Pick(endpoint="all")
    assert await letters.count(pick) == Done(MOST, is_more=True)
    assert await letters.replay(pick) == Done(MOST, is_more=True)
    assert await letters.replay(pick) == Done(300, is_more=False)
    assert (await store.depth()).by_state[State.PENDING] == MOST + 300
    await store.close(is_clean=True)


async def test_a_replay_of_ten_thousand_lets_every_append_in_between_two_slices(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append waits for one slice at most, so there are appends committed after every one of them."""
    await (await disk.open()).close(is_clean=True)
    letters_of(disk.path, MOST)
    store = await disk.open(max_rows=10**6)
    done: list[int] = []
    slices = 0
    replay_all = store.replay_all

    async def counted(deliveries: tuple[int, ...], state: State) -> Replayed:
        nonlocal slices
        slices += 1
        appended = store.append(broadcast(f"s{slices}"))
        replayed = await replay_all(deliveries, state)
        assert len(deliveries) <= SLICE
        done.append(int(appended.done()))
        return replayed

    monkeypatch.setattr(store, "replay_all", counted)
    assert (await Letters(store).replay(Pick(endpoint="all"))).count == MOST
    assert (slices, sum(done)) == (MOST // SLICE, MOST // SLICE)
    await store.close(is_clean=True)


async def test_dead_letters_far_apart_are_found_and_listed_over_many_stretches(disk: Disk) -> None:
    await (await disk.open()).close(is_clean=True)
    letters_of(disk.path, 5, between=12_000)
    store = await disk.open(max_rows=10**6)
    assert len(await store.deliveries(Selection(State.EXHAUSTED))) == 5
    assert await Letters(store).purge(Pick(endpoint="all")) == Done(5, is_more=False)
    assert await store.deliveries(Selection(State.EXHAUSTED)) == []
    await store.close(is_clean=True)


async def attempted(store: SqliteStore, disk: Disk, session: str, state: State, times: int = 2) -> int:
    """A delivery that was tried `times` times and is then left in `state`."""
    await store.append(transition(session))
    (delivery,) = [row.delivery_id for row in await store.deliveries(Selection(session=session))]
    for number in range(times):
        (lease,) = [one for one in await claim(store) if one.key[1] == session]
        is_last = number == times - 1
        due = disk.clock.now if state is State.PENDING or not is_last else None
        await store.settle(settlement(lease, state if is_last else State.PENDING, due=due))
    return delivery


async def test_attempts_go_after_their_time_but_for_the_last_of_a_dead_letter_and_those_of_what_lives(
    tmp_path: Path,
) -> None:
    disk = Disk(tmp_path, inline=True, keep=keep())
    disk.filters = {"all": Filter()}
    store = await disk.open()
    dead = await attempted(store, disk, "dead", State.EXHAUSTED, 3)
    live = await attempted(store, disk, "live", State.PENDING, 3)
    disk.clock.now += 7 * DAY_MS - 1
    await store.sweep()
    assert len(await store.attempts(dead)) == 3
    disk.clock.now += 2
    await store.sweep()
    assert [row.number for row in await store.attempts(dead)] == [3]
    assert len(await store.attempts(live)) == 3
    await store.close(is_clean=True)


async def test_past_the_bytes_the_oldest_attempts_go_and_no_more_than_must(tmp_path: Path) -> None:
    disk = Disk(tmp_path, inline=True, keep=keep(attempts_bytes=5 * ANSWER_BYTES))
    disk.filters = {"all": Filter()}
    store = await disk.open()
    live = await attempted(store, disk, "live", State.PENDING)
    old, new = [await attempted(store, disk, name, State.EXHAUSTED) for name in ("old", "new")]
    while await store.sweep():
        pass
    kept = {name: [row.number for row in await store.attempts(name)] for name in (live, old, new)}
    assert kept == {live: [1, 2], old: [2], new: [1, 2]}
    await store.close(is_clean=True)


async def test_attempts_of_what_lives_stay_however_many_bytes_they_are(tmp_path: Path) -> None:
    disk = Disk(tmp_path, inline=True, keep=keep(attempts_bytes=0))
    disk.filters = {"all": Filter()}
    store = await disk.open()
    live = await attempted(store, disk, "live", State.PENDING, 4)
    assert not await store.sweep()
    assert len(await store.attempts(live)) == 4
    await store.close(is_clean=True)


async def test_the_bytes_of_attempts_are_counted_again_at_a_start_and_found_the_same(tmp_path: Path) -> None:
    """The bound falls at the same row, whether the log grew in this life or in the one before."""
    disk = Disk(tmp_path, inline=True, keep=keep(attempts_bytes=3 * ANSWER_BYTES))
    disk.filters = {"all": Filter()}
    store = await disk.open()
    first, second = [await attempted(store, disk, name, State.EXHAUSTED) for name in "ab"]
    await store.close(is_clean=True)
    store = await disk.open()
    while await store.sweep():
        pass
    assert [len(await store.attempts(one)) for one in (first, second)] == [1, 2]
    await store.close(is_clean=True)


async def test_ten_thousand_dead_letters_are_purged_within_seconds(disk: Disk) -> None:
    await (await disk.open()).close(is_clean=True)
    letters_of(disk.path, MOST)
    store = await disk.open(max_rows=10**6)
    began = time.monotonic()
    assert (await Letters(store).purge(Pick(endpoint="all"))).count == MOST
    assert time.monotonic() - began < 10
    assert {name: len(rows) for name, rows in tables(disk.path).items()}["events"] == 0
    await store.close(is_clean=True)
