from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from relay.core.indicator import Rank
from relay.core.lanes import SLACK, Lanes


def popped(lanes: Lanes[str]) -> list[str | None]:
    return list(iter(lanes.pop, None))


def test_a_stop_is_served_before_older_work_of_lesser_rank() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.mark("paused", Rank.PAUSE)
    lanes.mark("refresh", Rank.REFRESH)
    lanes.mark("start", Rank.START)
    lanes.mark("stop", Rank.STOP)
    assert popped(lanes) == ["stop", "start", "refresh", "paused"]


def test_among_equals_the_oldest_mark_is_served_first() -> None:
    lanes: Lanes[str] = Lanes()
    for key in "abc":
        lanes.mark(key, Rank.START)
    lanes.mark("a", Rank.START)
    assert popped(lanes) == ["a", "b", "c"]


def test_a_key_that_changes_rank_keeps_its_age() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.mark("old", Rank.REFRESH)
    lanes.mark("young", Rank.STOP)
    lanes.mark("old", Rank.STOP)
    assert popped(lanes) == ["old", "young"]


def test_a_key_waits_once_however_often_it_is_marked() -> None:
    lanes: Lanes[str] = Lanes()
    for rank in [Rank.START, Rank.STOP, Rank.START, Rank.PAUSE]:
        lanes.mark("a", rank)
    assert len(lanes) == 1
    assert popped(lanes) == ["a"]


def test_work_of_lesser_rank_than_asked_for_stays() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.mark("start", Rank.START)
    assert lanes.pop(Rank.STOP) is None
    assert not lanes.has(Rank.STOP)
    assert lanes.has(Rank.START)


def test_a_key_flipping_between_ranks_for_ever_takes_bounded_room() -> None:
    lanes: Lanes[str] = Lanes()
    for _ in range(10_000):
        lanes.mark("a", Rank.START)
        lanes.mark("a", Rank.STOP)
    assert sum(len(heap) for heap in lanes._heaps.values()) <= 4 * (SLACK + 4)


class AgainstTheObvious(RuleBasedStateMachine):
    """The lanes beside a list searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes: Lanes[int] = Lanes()
        self.model: dict[int, tuple[Rank, int]] = {}
        self.marks = 0

    @rule(key=st.integers(0, 5), rank=st.sampled_from(Rank))
    def mark(self, key: int, rank: Rank) -> None:
        self.marks += 1
        self.lanes.mark(key, rank)
        self.model[key] = (rank, self.model.get(key, (rank, self.marks))[1])

    @rule(key=st.integers(0, 5))
    def discard(self, key: int) -> None:
        self.lanes.discard(key)
        self.model.pop(key, None)

    @rule(max_rank=st.sampled_from(Rank))
    def pop(self, max_rank: Rank) -> None:
        best = min(((place, key) for key, place in self.model.items() if place[0] <= max_rank), default=None)
        assert self.lanes.pop(max_rank) == (None if best is None else best[1])
        if best is not None:
            del self.model[best[1]]

    @invariant()
    def agree(self) -> None:
        assert len(self.lanes) == len(self.model)
        assert self.lanes.best() == min((rank for rank, _ in self.model.values()), default=None)
        assert all((key in self.lanes) == (key in self.model) for key in range(6))


TestAgainstTheObvious = AgainstTheObvious.TestCase
TestAgainstTheObvious.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
