from relay.demo.table import As, Row, figure_rows, in_json, table
from tests.demo.figures import SEEN


def test_labels_stand_left_and_figures_right() -> None:
    rows = [Row("a", "keys", 21_411), Row("b", "ghost", 5299.4, As.MS)]
    assert table(rows) == "keys     21,411\nghost  5,299 ms"


def test_two_columns_stand_side_by_side_under_their_headings() -> None:
    left, right = [Row("a", "calls", 3513)], [Row("a", "calls", 4569)]
    assert table(left, right, headings=["terminal", "explicit"]) == (
        "       terminal  explicit\ncalls     3,513     4,569"
    )


def test_a_share_is_told_in_percent_and_a_ratio_with_three_digits() -> None:
    assert [Row("s", "", 0.015, As.SHARE).text, Row("r", "", 0.2134, As.RATIO).text] == ["1.5 %", "0.213"]


def test_what_the_guests_saw_is_named_for_machines_too() -> None:
    told = in_json(figure_rows(SEEN))
    assert told == {
        "keys": 1000,
        "calls": 160,
        "callsTyping": 120,
        "callsPaused": 30,
        "callsStopped": 10,
        "callsPerKey": 0.16,
        "fewestClairvoyant": 90,
        "fewestOnline": 110,
        "lapses": 0,
        "lateStarts": 2,
        "darkShare": 0.015,
        "ghostMeanMs": 4900.4,
        "ghostMaxMs": 6300,
    }


def test_a_mode_without_stops_counts_none() -> None:
    rows = {row.key: row.value for row in figure_rows(SEEN) if row.key.startswith("calls")}
    assert rows["callsTyping"] + rows["callsPaused"] + rows["callsStopped"] == rows["calls"]
