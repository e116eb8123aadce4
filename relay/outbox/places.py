"""How many deliveries may be on their way at once, over all endpoints; who found none is called when one is free."""

from collections.abc import Callable


class Places:
    """A counted set of places. Nobody waits inside: a lane asks, takes what it gets, and is called back in turn."""

    __slots__ = ("_free", "_waiting")

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: dict[Callable[[], None], None] = {}  # ordered, each at most once

    def take(self, wanted: int, call_back: Callable[[], None]) -> int:
        """At most `wanted` places; `call_back` is called once when some came free, if there were fewer."""
        taken = min(wanted, self._free)
        self._free -= taken
        if taken < wanted:
            self._waiting[call_back] = None
        return taken

    def give(self, count: int) -> None:
        """Returns places, and calls those who have waited longest, as many as there are places free."""
        self._free += count
        for _ in range(min(self._free, len(self._waiting))):
            first = next(iter(self._waiting))
            del self._waiting[first]
            first()
