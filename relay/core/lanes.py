"""Who is served next when permits are short: one entry per key, best rank first, oldest mark first among equals.

    mark(key, START) ─► START  a c │ mark(a, STOP) ─► STOP   a     a keeps the age of its first mark
                        PAUSE  b   │                  START  c
                                                      PAUSE  b     pop() gives a, c, b

An entry says only *that* a key waits, never what it will send.
"""

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from relay.core.indicator import Rank

K = TypeVar("K", bound=Hashable)

SLACK = 64
"""Abandoned heap entries tolerated beside the live ones before a lane is swept: keeps memory O(waiting)."""


class Lanes(Generic[K]):
    """A mark of a waiting key costs a look-up, a pop O(log waiting): a key that changes rank keeps its place in age,
    so a lane is a heap by age, whose abandoned entries are skipped when they surface."""

    __slots__ = ("_age", "_counts", "_heaps", "_place")

    def __init__(self) -> None:
        self._age = count()
        self._place: dict[K, tuple[Rank, int]] = {}
        self._counts = dict.fromkeys(Rank, 0)
        self._heaps: dict[Rank, list[tuple[int, K]]] = {rank: [] for rank in Rank}

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, key: K) -> bool:
        return key in self._place

    def mark(self, key: K, rank: Rank) -> None:
        """`key` waits at `rank` from now on; if it waited already, with the age it had."""
        was = self._place.get(key)
        if was is None:
            self._enter(key, rank, next(self._age))
        elif was[0] is not rank:
            self._counts[was[0]] -= 1
            self._enter(key, rank, was[1])

    def discard(self, key: K) -> None:
        """`key` waits no more; nothing happens if it did not."""
        was = self._place.pop(key, None)
        if was is not None:
            self._counts[was[0]] -= 1

    def best(self) -> Rank | None:
        """The rank that `pop` would serve."""
        return next((rank for rank in Rank if self._counts[rank]), None)

    def has(self, max_rank: Rank = Rank.PAUSE) -> bool:
        """True where a key waits at `max_rank` or better."""
        best = self.best()
        return best is not None and best <= max_rank

    def pop(self, max_rank: Rank = Rank.PAUSE) -> K | None:
        """The oldest key of the best rank, which then waits no more; None if none waits at `max_rank` or better."""
        best = self.best()
        if best is None or best > max_rank:
            return None
        heap = self._heaps[best]
        while True:
            age, key = heappop(heap)
            if self._place.get(key) == (best, age):
                self.discard(key)
                return key

    def _enter(self, key: K, rank: Rank, age: int) -> None:
        self._place[key] = (rank, age)
        self._counts[rank] += 1
        heap = self._heaps[rank]
        heappush(heap, (age, key))
        if len(heap) > 2 * self._counts[rank] + SLACK:
            heap[:] = {(age, key) for age, key in heap if self._place.get(key) == (rank, age)}
            heapify(heap)
