"""What one source sent before: a bounded window of ids, so that the same one twice has one effect.

    id ─► until when it is known          asked for every event: a plain dictionary, no key to build
    (until, id), oldest first             who goes next

Measured at 100,000 ids: half the price of one `OrderedDict`, whose links are a cache miss each.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from relay.core.moments import Ms
from relay.observe.metrics import Tally

_FORGET_AT_ONCE = (
    1000  # a quarter of a millisecond, at the end of a window; the rest goes with the next event
)


class Seen:
    """Ids of one source, oldest first. Looking changes nothing: a refused batch leaves no trace."""

    __slots__ = ("_forgotten_early", "_known", "_limit", "_order", "_window_ms")

    def __init__(self, *, window_ms: Ms, limit: int, forgotten_early: Tally) -> None:
        """`forgotten_early` counts ids given up within their window, for lack of room: a repeat would count again."""
        self._window_ms = window_ms
        self._limit = limit
        self._known: dict[str, Ms] = {}
        self._order: deque[tuple[Ms, str]] = deque()
        self._forgotten_early = forgotten_early

    def __len__(self) -> int:
        return len(self._order)

    def fresh(self, ids: Sequence[str | None], now: Ms) -> list[int]:
        """The positions not seen before, in order; a repeat inside `ids` is not fresh, an absent id always is."""
        known = self._known
        if len(set(ids)) == len(ids) and known.keys().isdisjoint(ids):
            return list(range(len(ids)))
        before: set[str] = set()
        positions = []
        for position, one in enumerate(ids):
            if one is not None:
                if one in before or known.get(one, now) > now:
                    continue
                before.add(one)
            positions.append(position)
        return positions

    def has(self, one: str, now: Ms) -> bool:
        return self._known.get(one, now) > now

    def remember(self, ids: Iterable[str | None], now: Ms) -> None:
        """Call it once they had their effect."""
        known, until = self._known, now + self._window_ms
        queue = self._order.append
        for one in ids:
            if one is not None:
                known[one] = until  # an expired one starts its window, and its turn, again
                queue((until, one))
        if len(self._order) > self._limit:
            self._forgotten_early.value += self._forget(len(self._order) - self._limit, now)
        if self._order and self._order[0][0] <= now:
            self._forget_expired(now)

    def _forget_expired(self, now: Ms) -> None:
        order, left = self._order, _FORGET_AT_ONCE
        while left and order and order[0][0] <= now:
            self._forget(1, now)
            left -= 1

    def _forget(self, count: int, now: Ms) -> int:
        """The oldest so many; how many of them were still within their window."""
        known, order, early = self._known, self._order, 0
        for _ in range(count):
            until, one = order.popleft()
            kept = known.pop(one, until)
            if kept != until:  # it came again after its window, and has a later turn
                known[one] = kept
            early += now < until
        return early
