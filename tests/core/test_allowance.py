import pytest

from relay.core.allowance import pause_ms


def headers(count: str, allowed: str, reset: str) -> dict[str, str]:
    return {"inin-ratelimit-count": count, "inin-ratelimit-allowed": allowed, "inin-ratelimit-reset": reset}


@pytest.mark.parametrize(
    ("count", "allowed", "reset", "pause"),
    [
        (1, 300, 61, 0.0),
        (224, 300, 30, 0.0),  # more than a quarter is left
        (225, 300, 30, 400.0),  # 75 calls for 30 s
        (299, 300, 3, 3000.0),
        (300, 300, 3, 3000.0),
        (400, 180, 20, 20_000.0),  # others use the client too
        (300, 300, 0, 0.0),
    ],
)
def test_what_is_left_is_spread_over_the_time_until_the_reset(
    count: int, allowed: int, reset: int, pause: float
) -> None:
    assert pause_ms(headers(str(count), str(allowed), str(reset))) == pause


@pytest.mark.parametrize(
    "bad", [("", "300", "3"), ("300", "0", "3"), ("300", "300", "-3"), ("300", "300", "3600")]
)
def test_what_cannot_be_read_slows_nobody_down(bad: tuple[str, str, str]) -> None:
    assert pause_ms(headers(*bad)) == pause_ms({}) == 0.0
