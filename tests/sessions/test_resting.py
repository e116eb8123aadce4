"""What is packed comes out as it went in, and is forgotten when its time is over."""

import gc
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.ids import ID_PATTERN
from relay.core.indicator import Address
from relay.core.rest import Remembered, Rest
from relay.sessions.resting import Resting

IDS = st.from_regex(ID_PATTERN, fullmatch=True)
TIMES = st.floats(0, 1e12)
ORDERS = st.integers(-1, 2**53)
EXHAUSTED = st.lists(st.tuples(st.none() | IDS, TIMES), max_size=3).map(tuple)
REMEMBERED = st.builds(
    Remembered, IDS, st.just(-1.0) | TIMES, ORDERS, ORDERS, st.none() | st.integers(0, 2**53), EXHAUSTED
)
RESTS = st.builds(
    Rest,
    st.builds(Address, IDS, st.none() | IDS, st.none() | IDS, st.none() | IDS),
    IDS,
    TIMES,
    st.lists(REMEMBERED, max_size=3).map(tuple),
)


def rest(until: float, source: str = "desk") -> Rest:
    return Rest(Address("any"), source, until)


@given(RESTS)
def test_what_is_packed_comes_out_as_it_went_in(one: Rest) -> None:
    resting = Resting()
    resting.put(("guest", one.address.session_id), one)
    assert resting.get(("guest", one.address.session_id)) == one
    assert resting.first(10) == [(("guest", one.address.session_id), one)]


def test_gateways_do_not_share_their_ids() -> None:
    resting = Resting()
    resting.put(("a", "1"), rest(1.0, "ours"))
    resting.put(("b", "1"), rest(2.0, "theirs"))
    assert resting.discard(("a", "1"))
    assert not resting.discard(("a", "1"))
    assert ("a", "1") not in resting
    assert ("b", "1") in resting
    assert len(resting) == 1


@pytest.mark.parametrize(("now", "most", "gone", "left"), [(2.9, 9, 2, 2), (3.0, 9, 4, 0), (9.0, 2, 2, 2)])
def test_only_those_whose_time_is_over_are_forgotten_and_so_many_at_a_time(
    now: float, most: int, gone: int, left: int
) -> None:
    resting = Resting()
    for name, until in (("1", 1.0), ("2", 2.0), ("3", 3.0)):
        resting.put(("a", name), rest(until))
    resting.put(("b", "1"), rest(3.0, "other"))
    assert len(resting.forget(now, most=most)) == gone
    assert len(resting) == left


def test_the_sources_of_the_forgotten_are_told() -> None:
    resting = Resting()
    for number, source in enumerate(("desk", "bot", "desk")):
        resting.put(("a", f"{number}"), rest(1.0, source))
    assert sorted(resting.forget(1.0, most=10)) == ["bot", "desk", "desk"]


def test_one_at_rest_takes_less_than_600_bytes() -> None:
    """It took four kilobytes: the encoder hands out a whole page, whatever it writes into it."""
    resting = Resting()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(5000):
            key = ("guest", f"00000000-0000-4000-8000-{number:012x}")
            resting.put(key, Rest(Address(key[1], f"guest-{number}"), "desk", 1.0))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / 5000 < 600


def test_the_collector_has_nothing_to_look_at() -> None:
    """A full collection walks every container: with two hundred thousand sessions in them it stalls the loop."""
    resting = Resting()
    resting.put(("a", "first"), rest(1.0))
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1000):
        resting.put(("a", f"session-{number}"), rest(1.0))
    gc.collect()
    assert len(gc.get_objects()) - before < 100
