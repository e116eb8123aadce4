from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from relay.outbox.sqlite import numbers as module
from relay.outbox.sqlite.file import open_for_writing
from relay.outbox.sqlite.numbers import Numbers, Step

ONE, OTHER = ("guest", "session-1"), ("guest", "session-2")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = open_for_writing(tmp_path / "outbox.db", "normal")
    yield connection
    connection.close()


def step(key: tuple[str, str] = ONE, state: str | None = "typing", numbers: int = 1) -> Step:
    return Step(key, "guest-1", "desk", state, numbers)


def stored(connection: apsw.Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "SELECT session_id, guest_id, source, state, sequence, changed_at FROM sessions ORDER BY id"
    ).fetchall()


def test_numbers_go_up_by_one_within_a_commit_and_across_commits(connection: apsw.Connection) -> None:
    numbers = Numbers(connection)
    assert [numbers.take(step(key), 5) for key in (ONE, OTHER, ONE, ONE)] == [1, 1, 2, 3]
    numbers.write()
    assert [numbers.take(step(key), 6) for key in (OTHER, ONE)] == [2, 4]
    numbers.write()
    assert stored(connection) == [
        ("session-1", "guest-1", "desk", "typing", 4, 6),
        ("session-2", "guest-1", "desk", "typing", 2, 6),
    ]


def test_what_a_step_leaves_out_stays_as_it_was_remembered_or_not(connection: apsw.Connection) -> None:
    for numbers in (Numbers(connection), Numbers(connection)):  # the second remembers nothing
        numbers.take(step(), 5)
        numbers.take(Step(ONE, None, "", None, 3), 6)
        numbers.write()
        assert stored(connection)[0][1:4] == ("guest-1", "desk", "typing")
    Numbers(connection).take(Step(ONE, None, "", None, 3), 7)
    assert stored(connection) == [("session-1", "guest-1", "desk", "typing", 11, 7)]


def test_after_a_rollback_the_number_is_taken_from_the_file(connection: apsw.Connection) -> None:
    numbers = Numbers(connection)
    numbers.take(step(), 5)
    numbers.write()
    connection.execute("BEGIN")
    assert numbers.take(step(), 6) == 2
    numbers.write()
    connection.execute("ROLLBACK")
    numbers.forget()
    assert numbers.take(step(), 7) == 2


def test_a_change_that_was_not_written_is_forgotten_with_the_rest(connection: apsw.Connection) -> None:
    numbers = Numbers(connection)
    numbers.take(step(), 5)
    numbers.take(step(), 6)
    numbers.forget()
    numbers.write()
    assert stored(connection)[0][4] == 1


def test_only_so_many_are_remembered_and_the_others_go_on_from_the_file(
    connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_SESSIONS", 2)
    numbers = Numbers(connection)
    keys = [("guest", f"session-{n}") for n in range(5)]
    for expected in (1, 2, 3):
        assert [numbers.take(step(key), 5) for key in keys] == [expected] * 5
        numbers.write()
    assert [row[4] for row in stored(connection)] == [3] * 5
