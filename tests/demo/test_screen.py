import io

import pytest

from relay.demo.screen import Screen, over


def test_the_first_lines_are_written_where_the_cursor_stands() -> None:
    assert over(0, ["a", "b"]) == "\x1b[2Ka\n\x1b[2Kb\n\x1b[J"


def test_the_next_lines_are_written_over_the_last() -> None:
    assert over(2, ["c"]) == "\x1b[2A\x1b[2Kc\n\x1b[J"


def test_a_line_is_cut_before_it_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    out = io.StringIO()
    Screen(out).show(["0123456789abc"])
    assert out.getvalue() == over(0, ["012345678"])


def test_a_screen_remembers_how_many_lines_it_shows() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.show(["a", "b", "c"])
    screen.show(["d"])
    assert out.getvalue() == over(0, ["a", "b", "c"]) + over(3, ["d"])
