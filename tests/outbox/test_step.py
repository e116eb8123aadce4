"""When a wall clock counts as set back, by numbers."""

from relay.outbox.step import Step


class World:
    def __init__(self) -> None:
        self.wall_ms, self.loop_s = 1_795_000_000_000, 0.0
        self.step = Step(wall=lambda: self.wall_ms, loop_s=lambda: self.loop_s)

    def passes(self, loop_s: float, wall_ms: int) -> int:
        self.loop_s, self.wall_ms = self.loop_s + loop_s, self.wall_ms + wall_ms
        return self.step.fell_ms()


def test_a_clock_set_back_is_told_until_that_is_made_good() -> None:
    world = World()
    assert world.passes(1, 1000) == 0
    assert world.passes(1, 1000 - 3_600_000) == 3_600_000
    assert world.passes(1, 1000) == 3_600_000
    world.step.made_good(3_600_000)
    assert world.passes(1, 1000) == 0


def test_a_clock_that_is_slewed_or_set_forward_is_none() -> None:
    world = World()
    assert [world.passes(1, 100) for _ in range(100)] == [0] * 100
    assert world.passes(1, 3_600_000) == 0
    assert world.passes(1, 1000) == 0
