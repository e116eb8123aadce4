"""Which events were taken before: a bounded window of their ids, so that the same one twice has one effect."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from relay.core.moments import Ms
from relay.observe.metrics import Tally

_FORGET_AT_ONCE = 8  # for each id remembered: it shrinks faster than it grows, and no call pays for many


class Seen:
    """Ids by source, oldest first. Looking changes nothing: a refused batch leaves no trace."""

    __slots__ = ("_forgotten_early", "_limit", "_oldest_until", "_until", "_window_ms")

    def __init__(self, *, window_ms: Ms, limit: int, forgotten_early: Tally) -> None:
        """`forgotten_early` counts ids given up within their window, for lack of room: a repeat would count again."""
        self._window_ms = window_ms
        self._limit = limit
        self._oldest_until: Ms = 0
        self._until: OrderedDict[tuple[str, str], Ms] = OrderedDict()
        self._forgotten_early = forgotten_early

    def __len__(self) -> int:
        return len(self._until)

    def fresh(self, source: str, ids: Sequence[str | None], now: Ms) -> list[int]:
        """The positions not seen before, in order; a repeat inside `ids` is not fresh, an absent id always is."""
        before: set[str] = set()
        positions = []
        for position, one in enumerate(ids):
            if one is None:
                positions.append(position)
            elif one not in before and not self.has(source, one, now):
                positions.append(position)
                before.add(one)
        return positions

    def has(self, source: str, one: str, now: Ms) -> bool:
        until = self._until.get((source, one))
        return until is not None and now < until

    def remember(self, source: str, ids: Iterable[str | None], now: Ms) -> None:
        """Call it once the events are applied."""
        for one in ids:
            if one is not None:
                self.remember_one(source, one, now)

    def remember_one(self, source: str, one: str, now: Ms) -> None:
        known, key = self._until, (source, one)
        before = len(known)
        known[key] = now + self._window_ms
        if len(known) == before:
            known.move_to_end(key)  # an expired one starts its window, and its turn, again
        if now >= self._oldest_until or len(known) > self._limit:
            self._shrink(now)

    def _shrink(self, now: Ms) -> None:
        known = self._until
        for _ in range(_FORGET_AT_ONCE):
            self._oldest_until = next(iter(known.values()))
            is_live = now < self._oldest_until
            if is_live and len(known) <= self._limit:
                return
            known.popitem(last=False)
            self._forgotten_early.value += is_live
