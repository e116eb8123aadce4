"""The wheel against a naive model of itself: a dictionary of deadlines."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.deadlines import Wheel
from relay.core.moments import NEVER, Ms
from relay.core.timings import TICK_MS

MANY = 1000


@dataclass(slots=True)
class Item:
    name: str = "one"
    armed_tick: int = 0


def started(now: Ms = 0) -> Wheel[Item]:
    wheel: Wheel[Item] = Wheel()
    wheel.start(now)
    return wheel


def take_all(wheel: Wheel[Item], now: Ms, *, most: int = 1000) -> list[Item]:
    taken: list[Item] = []
    while chunk := wheel.take(now, most=most):
        assert len(chunk) <= most
        taken += chunk
        if len(chunk) < most:
            break
    return taken


@pytest.mark.parametrize(
    ("deadline", "comes_at"),
    [(1, 20), (19.9, 20), (20, 20), (20.1, 40), (50, 60), (0, 20), (-5, 20)],
)
def test_an_item_comes_up_at_the_first_tick_not_before_its_deadline(deadline: Ms, comes_at: Ms) -> None:
    wheel, item = started(), Item()
    wheel.arm(item, deadline)
    assert take_all(wheel, comes_at - 0.1) == []
    assert take_all(wheel, comes_at) == [item]


def test_never_arms_nothing() -> None:
    wheel, item = started(), Item()
    wheel.arm(item, NEVER)
    assert (item.armed_tick, wheel.live) == (0, 0)


def test_a_later_deadline_leaves_the_entry_where_it_is() -> None:
    """The owner finds out when it comes up; so a keystroke only writes a float."""
    wheel, item = started(), Item()
    wheel.arm(item, 500)
    wheel.arm(item, 3000)
    assert (wheel.live, take_all(wheel, 500)) == (1, [item])


def test_an_earlier_deadline_replaces_the_entry() -> None:
    wheel, item = started(), Item()
    wheel.arm(item, 3000)
    wheel.arm(item, 500)
    assert wheel.live == 1
    assert take_all(wheel, 500) == [item]
    assert take_all(wheel, 10_000) == []


def test_a_stale_entry_does_not_bring_up_an_item_armed_again_for_later() -> None:
    wheel, item = started(), Item()
    wheel.arm(item, 3000)
    wheel.arm(item, 500)
    take_all(wheel, 500)
    wheel.arm(item, 5000)
    assert take_all(wheel, 4900) == []
    assert take_all(wheel, 5000) == [item]


def test_a_disarmed_item_does_not_come_up() -> None:
    wheel, item = started(), Item()
    wheel.arm(item, 500)
    wheel.disarm(item)
    wheel.disarm(item)
    assert wheel.live == 0
    assert take_all(wheel, 10_000) == []


def test_a_far_deadline_is_not_looked_at_on_the_way() -> None:
    """A session at rest is forgotten after a minute, and of two hundred thousand most are at rest."""
    wheel, item = started(), Item()
    wheel.arm(item, 3_600_000)
    assert take_all(wheel, 3_599_999) == []
    assert take_all(wheel, 3_600_000) == [item]


@pytest.mark.parametrize("stall_ms", [0, 19, 20, 10_000, 3_600_000.0])
def test_nothing_is_lost_when_the_loop_stood_still(stall_ms: Ms) -> None:
    wheel = started(50)
    items = [Item(str(n)) for n in range(MANY)]
    for n, item in enumerate(items):
        wheel.arm(item, 50 + n * n * TICK_MS)
    taken = take_all(wheel, 50 + stall_ms + MANY * MANY * TICK_MS)
    assert [item.name for item in taken] == [item.name for item in items]
    assert wheel.live == 0


def test_a_wheel_that_starts_again_keeps_nothing_of_before() -> None:
    wheel, item = started(), Item()
    wheel.arm(item, 3000)
    wheel.disarm(item)
    wheel.start(1000)
    wheel.arm(item, 5000)
    assert take_all(wheel, 4999) == []
    assert take_all(wheel, 5000) == [item]


def test_a_full_slot_is_served_in_slices() -> None:
    wheel = started()
    items = [Item(str(n)) for n in range(5)]
    for item in items:
        wheel.arm(item, 100)
    slices = [wheel.take(100, most=2) for _ in range(4)]
    assert [len(one) for one in slices] == [2, 2, 1, 0]
    assert [item for one in slices for item in one] == items


def test_an_item_armed_between_slices_waits_for_the_next_tick() -> None:
    wheel = started()
    first, second = Item("1"), Item("2")
    wheel.arm(first, 100)
    wheel.arm(second, 100)
    assert wheel.take(100, most=1) == [first]
    wheel.arm(first, 100)
    assert wheel.take(100, most=1) == [second]
    assert wheel.take(100, most=1) == []
    assert wheel.take(200, most=1) == [first]


@dataclass(slots=True)
class Owner:
    """A shell and its naive model: `due` holds every item's real deadline, and when the wheel was told it."""

    wheel: Wheel[Item] = field(default_factory=started)
    items: list[Item] = field(default_factory=lambda: [Item(str(n)) for n in range(6)])
    due: dict[str, tuple[Ms, Ms]] = field(default_factory=dict)
    now: Ms = 0.0

    def arm(self, index: int, delay: Ms) -> None:
        """As a session does: the deadline moves, the wheel is told every time."""
        self.due[self.items[index].name] = (self.now + delay, self.now)
        self.wheel.arm(self.items[index], self.now + delay)

    def disarm(self, index: int) -> None:
        self.due.pop(self.items[index].name, None)
        self.wheel.disarm(self.items[index])

    def advance(self, gap: Ms, most: int, *, is_stall: bool) -> None:
        """Look at every tick on the way, or (a stall) only once, late."""
        end = self.now + gap
        while not is_stall and (next_tick := (self.now // TICK_MS + 1) * TICK_MS) <= end:
            self.now = next_tick
            self.serve(most)
        self.now = end
        self.serve(most)

    def serve(self, most: int) -> None:
        """After a look nothing that is due is left (but what was armed since the tick), nothing came up unasked."""
        for item in take_all(self.wheel, self.now, most=most):
            assert item.name in self.due
            deadline, _ = self.due[item.name]
            if deadline <= self.now:
                del self.due[item.name]
            else:
                self.wheel.arm(item, deadline)
        tick = self.now // TICK_MS * TICK_MS
        assert all(at > tick or told_at >= tick for at, told_at in self.due.values()), "missed"

    def has_one_entry_each(self) -> bool:
        return self.wheel.live == len(self.due) == sum(item.armed_tick > 0 for item in self.items)


DELAYS = st.one_of(st.integers(0, 3000), st.integers(0, 400_000), st.floats(0, 500, allow_nan=False))
STEPS = st.one_of(
    st.tuples(st.just("arm"), st.integers(0, 5), DELAYS),
    st.tuples(st.just("disarm"), st.integers(0, 5)),
    st.tuples(st.just("advance"), st.integers(0, 2500)),
    st.tuples(st.just("stall"), st.integers(0, 500_000)),
)


@given(st.lists(STEPS, max_size=40), st.integers(1, 4))
@settings(max_examples=300)
def test_the_wheel_agrees_with_a_dictionary(
    steps: list[tuple[str, int, Ms] | tuple[str, int]], most: int
) -> None:
    """14: never early for its owner, at most one tick late, nothing lost, one live entry an item."""
    owner = Owner()
    for step in steps:
        match step:
            case ("arm", index, delay):
                owner.arm(index, delay)
            case ("disarm", index):
                owner.disarm(index)
            case (name, gap):
                owner.advance(gap, most, is_stall=name == "stall")
            case _:
                raise AssertionError(step)
        assert owner.has_one_entry_each()
    while owner.due:
        owner.advance(max(at for at, _ in owner.due.values()) - owner.now + TICK_MS, most, is_stall=False)
    assert owner.wheel.live == 0
