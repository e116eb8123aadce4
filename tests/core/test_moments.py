from datetime import UTC, datetime

import pytest

from relay.core.moments import from_rfc3339, rfc3339, unix_ms_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-22T10:00:00.123Z", 1_795_341_600_123),
        ("2026-11-22T12:00:00.123456789+02:00", 1_795_341_600_123),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_a_text_is_its_instant_cut_to_the_millisecond(text: str, expected: int) -> None:
    assert from_rfc3339(text) == expected


def test_what_is_written_is_read_back() -> None:
    assert from_rfc3339(rfc3339(1_795_341_600_007)) == 1_795_341_600_007


@pytest.mark.parametrize(
    "text", ["2026-02-30T00:00:00Z", "2026-02-20T24:00:00Z", "2026-02-20T00:00:00+25:00"]
)
def test_a_moment_that_never_was_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_rfc3339(text)


def test_a_moment_of_the_settings_is_cut_as_a_text_is() -> None:
    """Rounded it would be later, and what ends then lived half a millisecond longer."""
    assert unix_ms_of(datetime(1970, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC)) == 999
    assert unix_ms_of(None) is None
