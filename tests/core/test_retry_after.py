from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.retry_after import MAX_WAIT_MS, parse_retry_after

WALL = 784_111_770_000  # Sun, 06 Nov 1994 08:49:30 GMT, seven seconds before the RFC's example date


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [("0", 0), ("1", 1000), ("120", 120_000), ("2.5", 2500), (" 3 ", 3000), ("3600", 3_600_000)],
)
def test_seconds_become_milliseconds(value: str, wait_ms: float) -> None:
    assert parse_retry_after(value, WALL) == wait_ms


# RFC 9110 section 5.6.7 lists these three spellings of one instant.
@pytest.mark.parametrize(
    "value",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_each_of_the_three_http_dates_is_read(value: str) -> None:
    assert parse_retry_after(value, WALL) == 7000


def test_a_retry_after_as_http_date_is_not_nan() -> None:
    """The tutorial read a date as NaN and sent three times within 22 ms of "wait 5 s"."""
    assert parse_retry_after(formatdate(WALL / 1000 + 5, usegmt=True), WALL) == 5000


def test_a_date_that_has_passed_asks_for_no_wait() -> None:
    assert parse_retry_after("Sun, 06 Nov 1994 08:49:00 GMT", WALL) == 0


@pytest.mark.parametrize(
    ("value", "wait_ms"), [("1.9", 1900), ("1.0001", 1001), ("0.0001", 1), ("1.001", 1001)]
)
def test_a_fraction_is_never_cut(value: str, wait_ms: float) -> None:
    """The tutorial waited 1 s for "1.9"."""
    assert parse_retry_after(value, WALL) == wait_ms


@pytest.mark.parametrize("value", ["2147484", "9" * 60, "Sun, 06 Nov 2094 08:49:37 GMT"])
def test_a_huge_wait_is_cut_to_an_hour_instead_of_overflowing(value: str) -> None:
    """Past 2,147,484 s the tutorial's timer overflowed to 1 ms."""
    assert parse_retry_after(value, WALL) == MAX_WAIT_MS == 3_600_000


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "-1",
        "+1",
        "1e3",
        "nan",
        "inf",
        "0x10",
        "1,5",
        ".5",
        "1.",
        "1 2",
        "\u0661",
        "Sun, 30 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "06 Nov 1994",
        "1994-11-06T08:49:37Z",
    ],
)
def test_rubbish_is_no_wait_that_we_could_name(value: str | None) -> None:
    assert parse_retry_after(value, WALL) is None


@given(st.text(max_size=40))
def test_whatever_is_sent_the_wait_is_within_bounds_or_unreadable(value: str) -> None:
    wait_ms = parse_retry_after(value, WALL)
    assert wait_ms is None or 0 <= wait_ms <= MAX_WAIT_MS


@given(st.decimals(0, 3600, allow_nan=False, places=6))
def test_no_wait_is_ever_shorter_than_asked(seconds: object) -> None:
    wait_ms = parse_retry_after(f"{seconds:f}", WALL)
    assert wait_ms is not None
    assert 0 <= wait_ms - float(f"{seconds:f}") * 1000 + 1e-6 < 1.001
