"""How often somebody called of late: pure, so that any instant can be asked about."""

from collections import deque
from dataclasses import dataclass, field

from relay.core.moments import Ms

MINUTE_MS: Ms = 60_000
KEPT_KEYS = 100_000


@dataclass(slots=True)
class Rolling:
    """Calls by key, in any span of `span_ms`. One that is refused does not count: who waits as told is let in.

    Whoever has been quiet for the whole span is forgotten, and of too many the one that has been quiet for longest.
    """

    span_ms: Ms = MINUTE_MS
    most_keys: int = KEPT_KEYS
    _times: dict[str, deque[Ms]] = field(default_factory=dict)
    """In the order of each key's last call."""

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._times)

    def count(self, key: str, now: Ms) -> int:
        """Calls admitted in the span that ends now; one exactly that long ago is out of it."""
        times = self._times.get(key)
        while times and times[0] <= now - self.span_ms:
            times.popleft()
        return len(times or ())

    def admit(self, key: str, now: Ms, *, most: int) -> Ms:
        """0.0 if the call may be made, and it is then counted; else how long to wait for the next place."""
        if self.count(key, now) >= most:
            return self.frees_in(key, now)
        times = self._times.pop(key, None)
        times = deque() if times is None else times
        times.append(now)
        self._times[key] = times
        self._forget(now)
        return 0.0

    def frees_in(self, key: str, now: Ms) -> Ms:
        """Until the oldest call of the span is out of it; the whole span where there is none."""
        times = self._times.get(key)
        return times[0] + self.span_ms - now if times else self.span_ms

    def _forget(self, now: Ms) -> None:
        while (oldest := next(iter(self._times.items()), None)) is not None:
            key, times = oldest
            is_quiet = not times or times[-1] <= now - self.span_ms
            if not is_quiet and len(self._times) <= self.most_keys:
                return
            del self._times[key]
