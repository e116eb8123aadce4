from hypothesis import given
from hypothesis import strategies as st

from relay.core.budget import shares

# What the settings allow: 10..1_000_000 a minute, a burst of at least 2 and below the rate.
RATES = st.integers(10, 1_000_000).flatmap(lambda rate: st.tuples(st.just(rate), st.integers(2, rate - 1)))


@given(RATES)
def test_no_rolling_minute_exceeds_the_rate_however_it_is_shared(setting: tuple[int, int]) -> None:
    rate, burst = setting
    assert sum(share.most_in(60) for share in shares(rate, burst)) <= rate * (1 + 1e-9)


@given(RATES)
def test_never_more_than_the_burst_comes_at_once(setting: tuple[int, int]) -> None:
    assert sum(share.burst for share in shares(*setting)) <= setting[1]


@given(RATES)
def test_at_least_a_tenth_of_the_rate_is_kept_for_stops(setting: tuple[int, int]) -> None:
    assert shares(*setting)[1].rate_per_minute * 10 >= setting[0]


@given(RATES)
def test_every_share_can_serve_one_request_and_leaks(setting: tuple[int, int]) -> None:
    for share in shares(*setting):
        assert share.burst >= 1
        assert 0 < share.period_s < float("inf")


def test_the_default_keeps_thirty_of_three_hundred_for_stops() -> None:
    any_work, stops = shares(300, 20)
    assert (any_work.rate_per_minute, any_work.burst) == (270, 18)
    assert (stops.rate_per_minute, stops.burst) == (30, 2)
