import pytest
from pydantic import ValidationError

from relay.sandbox.chaos import Chaos, Forced, Mischief


def faults(mischief: Mischief, calls: int = 20_000) -> list[int | None]:
    return [mischief.fault() for _ in range(calls)]


def test_by_default_two_calls_in_a_hundred_are_limited_and_one_fails() -> None:
    found = faults(Mischief(Chaos()))
    assert found.count(429) / len(found) == pytest.approx(0.02, abs=0.005)
    assert found.count(503) / len(found) == pytest.approx(0.01, abs=0.005)


def test_a_seed_decides_every_fault() -> None:
    assert faults(Mischief(Chaos(seed=7))) == faults(Mischief(Chaos(seed=7)))
    assert faults(Mischief(Chaos(seed=7))) != faults(Mischief(Chaos(seed=8)))


def test_a_new_seed_begins_its_sequence_and_other_changes_do_not() -> None:
    mischief = Mischief(Chaos(seed=7))
    first = faults(mischief, 500)
    mischief.change({"latency_ms": 0})
    assert faults(mischief, 500) != first
    mischief.change({"seed": 7})
    assert faults(mischief, 500) == first


def test_without_chaos_there_is_no_fault_and_no_delay() -> None:
    mischief = Mischief(Chaos.none())
    assert set(faults(mischief)) == {None}
    assert mischief.delay_ms() == 0


def test_delays_stay_within_the_latency() -> None:
    mischief = Mischief(Chaos(latency_ms=200))
    assert all(0 <= mischief.delay_ms() <= 200 for _ in range(1000))


def test_a_script_is_played_in_order_to_the_calls_it_names() -> None:
    mischief = Mischief(Chaos.none())
    mischief.force(Forced(status=500), Forced(on="token", status=401), Forced(status=404))
    assert [forced.status for forced in iter(lambda: mischief.next_forced("typing"), None)] == [500, 404]
    token = mischief.next_forced("token")
    assert token is not None
    assert token.status == 401


@pytest.mark.parametrize(
    "changes", [{"rate_429": 2}, {"latency_ms": -1}, {"colour": "red"}, {"token_life_s": 0}]
)
def test_a_switch_out_of_range_or_unknown_changes_nothing(changes: dict[str, object]) -> None:
    mischief = Mischief(Chaos())
    with pytest.raises(ValidationError):
        mischief.change(changes)
    assert mischief.chaos == Chaos()
