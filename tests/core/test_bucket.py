import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.bucket import BURST_MS, Bucket, room, take, taken, wait_ms


def test_a_burst_of_two_seconds_passes_and_not_one_more() -> None:
    bucket = Bucket(per_s=10)
    assert [taken(bucket, 1, 0) for _ in range(20)] == [0.0] * 20
    assert taken(bucket, 1, 0) == pytest.approx(100)


def test_after_the_burst_the_rate_is_kept() -> None:
    bucket = Bucket(per_s=10)
    passed = sum(not taken(bucket, 1, now) for now in range(0, 60_000, 10))
    assert passed == 10 * 60 + 20 - 1  # its last tenth of a second is not over yet


def test_what_is_refused_costs_nothing() -> None:
    bucket = Bucket(per_s=10)
    take(bucket, 20, 0)
    assert {taken(bucket, 1, 50) for _ in range(1000)} == {50.0}
    assert taken(bucket, 1, 100) == 0


def test_what_is_asked_about_is_not_taken() -> None:
    bucket = Bucket(per_s=10)
    assert [wait_ms(bucket, 20, 0) for _ in range(3)] == [0.0] * 3


def test_more_than_the_bucket_holds_passes_alone_when_it_is_clear() -> None:
    bucket = Bucket(per_s=10)
    take(bucket, 1, 0)
    assert taken(bucket, 500, 0) == pytest.approx(100)
    assert taken(bucket, 500, 100) == 0
    assert wait_ms(bucket, 1, 100) == pytest.approx(50_000 - BURST_MS + 100)


def test_what_is_taken_beyond_the_rate_is_waited_for_later() -> None:
    bucket = Bucket(per_s=10)
    take(bucket, 40, 0)
    assert wait_ms(bucket, 1, 0) == pytest.approx(2100)


@given(
    st.floats(0.1, 1e6),
    st.lists(st.tuples(st.floats(0, 10_000), st.floats(0, 2)), max_size=60),
)
def test_no_span_lets_more_through_than_rate_and_burst(
    per_s: float, asked: list[tuple[float, float]]
) -> None:
    """Costs are shares of a bucket's whole, up to twice it; the largest of a span may pass on its own."""
    bucket, now = Bucket(per_s), 0.0
    passed: list[tuple[float, float]] = []
    for after_ms, share in asked:
        now += after_ms
        cost = share * per_s
        if not taken(bucket, cost, now):
            passed.append((now, cost))
    for first, (began, _) in enumerate(passed):
        for ended, _ in passed[first:]:
            within = [cost for at, cost in passed[first:] if at <= ended]
            bound = per_s * ((ended - began) + BURST_MS) / 1000 + max(within)
            assert sum(within) <= bound * (1 + 1e-9)


@given(st.floats(0.1, 1e6), st.floats(0, 1e4), st.floats(0, 1e4))
def test_whoever_waits_as_told_passes(per_s: float, before: float, cost: float) -> None:
    bucket = Bucket(per_s)
    take(bucket, before, 0)
    wait = wait_ms(bucket, cost, 0)
    assert wait_ms(bucket, cost, wait + 1e-6 * (1 + wait)) == 0


@given(st.floats(0.01, 1000), st.lists(st.floats(0, 5000), min_size=1, max_size=60))
def test_who_takes_all_the_room_there_is_is_never_told_to_wait_for_it(
    per_s: float, gaps: list[float]
) -> None:
    bucket, now = Bucket(per_s), 0.0
    for gap in gaps:
        now += gap
        passing = room(bucket, now)
        for _ in range(passing):
            assert wait_ms(bucket, 1, now) <= 0.01
            take(bucket, 1, now)
        assert wait_ms(bucket, 1, now) > 0
        assert room(bucket, now) == 0


def test_there_is_room_for_one_when_its_wait_is_over_also_at_a_rate_below_one_in_two_seconds() -> None:
    for per_s in (0.01, 0.1, 3, 50):
        bucket = Bucket(per_s)
        while room(bucket, 0):
            take(bucket, 1, 0)
        assert room(bucket, wait_ms(bucket, 1, 0)) == 1


@given(st.floats(0.1, 1e6), st.lists(st.tuples(st.floats(0, 5_000), st.floats(0, 1e6)), max_size=40))
def test_taking_if_there_is_room_is_asking_and_then_taking(
    per_s: float, asked: list[tuple[float, float]]
) -> None:
    in_one, in_two, now = Bucket(per_s), Bucket(per_s), 0.0
    for after_ms, cost in asked:
        now += after_ms
        wait = wait_ms(in_two, cost, now)
        assert taken(in_one, cost, now) == pytest.approx(wait, abs=1e-3)
        if not wait:
            take(in_two, cost, now)
        in_one.clear_at = in_two.clear_at  # a last digit apart, they may decide apart at the next
