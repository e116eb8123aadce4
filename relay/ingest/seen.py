"""Which events were taken before: a bounded window of their ids, so that the same one twice has one effect."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from relay.core.moments import Ms
from relay.observe.metrics import Tally

_FORGET_AT_ONCE = (
    1000  # a quarter of a millisecond, at the end of a window; the rest goes with the next event
)


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
        known, until, size = self._until, now + self._window_ms, len(self._until)
        for one in ids:
            if one is not None:
                key = source, one
                known[key] = until
                if len(known) == size:
                    known.move_to_end(key)  # an expired one starts its window, and its turn, again
                size = len(known)
        self._give_way(now)
        if now >= self._oldest_until:
            self._forget_expired(now)

    def _give_way(self, now: Ms) -> None:
        """Down to the limit: as many go as came too many."""
        for _ in range(len(self._until) - self._limit):
            _, until = self._until.popitem(last=False)
            self._forgotten_early.value += now < until

    def _forget_expired(self, now: Ms) -> None:
        for _ in range(min(_FORGET_AT_ONCE, len(self._until))):
            self._oldest_until = next(iter(self._until.values()))
            if now < self._oldest_until:
                return
            self._until.popitem(last=False)
