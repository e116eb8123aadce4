"""How many deliveries may be on their way at once, over all endpoints; who found none is called when one is free.

A part of them is never given to retries, as in each lane: however many endpoints are down, what is new to those that
are well finds a place. Those who wait for a place and those who wait for a retry's are called separately, each only
when there is what they wait for.
"""

from collections.abc import Callable

from relay.core.delivery import retry_room

CallBack = Callable[[], None]


class Places:
    """A counted set of places. Nobody waits inside: a lane asks, takes what it gets, and is called back in turn."""

    __slots__ = ("_count", "_free", "_retrying", "_short", "_short_of_retries")

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = count
        self._retrying = 0
        self._short: dict[CallBack, None] = {}  # ordered, each at most once
        self._short_of_retries: dict[CallBack, None] = {}

    @property
    def is_full(self) -> bool:
        """No place is free."""
        return self._free <= 0

    def take(self, wanted: int, call_back: CallBack, *, retries: int = 0) -> tuple[int, int]:
        """(places, how many of them may be retries): at most `wanted`, and `retries` of those.

        `call_back` is called once when what was lacking may be had.
        """
        taken = min(wanted, self._free)
        self._free -= taken
        if taken < wanted:
            self._short[call_back] = None
        room = min(retries, taken, self._retry_room(taken))
        self._retrying += room
        if room < min(retries, taken):
            self._short_of_retries[call_back] = None
        return taken, room

    def give(self, count: int, *, retries: int = 0) -> None:
        """Returns places, `retries` of them a retry's; calls who waited longest, as many as there is room for."""
        self._free += count
        self._retrying -= retries
        _call(self._short, self._free)
        _call(self._short_of_retries, self._retry_room(self._free))

    def _retry_room(self, free: int) -> int:
        return retry_room(free, retrying=self._retrying, concurrency=self._count)


def _call(waiting: dict[CallBack, None], most: int) -> None:
    for _ in range(min(most, len(waiting))):
        first = next(iter(waiting))
        del waiting[first]
        first()
