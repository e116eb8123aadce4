"""A clock that runs faster than real time, for everything in the process at once.

    loop.time()   real seconds * speed            every timer, timeout and sleep is asked of this clock
    selector      waits (seconds wanted) / speed  so a timer comes as much sooner
    wall          started at the real time, then as fast

Settings stay as they are: two seconds between broadcasts are two seconds of this clock. What takes real time, a
round trip or a sync of the disk, seems `speed` times as slow.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from relay.core.moments import UnixMs

T = TypeVar("T")


class HurriedLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds are `speed` times shorter than real ones."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        super().__init__(_HurriedSelector(speed))

    def time(self) -> float:
        return super().time() * self._speed


class _HurriedSelector(selectors.DefaultSelector):
    """Takes its waiting times in the loop's seconds."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self._speed)


def hurried_wall(speed: float) -> Callable[[], UnixMs]:
    """A wall clock that is right now and `speed` times too fast from then on; any thread may read it."""
    started_at, started_s = time.time_ns() // 1_000_000, time.monotonic()
    return lambda: started_at + int((time.monotonic() - started_s) * 1000 * speed)


def run_hurried(main: Coroutine[Any, Any, T], *, speed: float) -> T:
    """`main` to its end on a loop of that speed."""
    with asyncio.Runner(loop_factory=partial(HurriedLoop, speed)) as runner:
        return runner.run(main)
