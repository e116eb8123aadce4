"""How often somebody called of late: pure, so that any instant can be asked about."""

from collections import deque
from dataclasses import dataclass, field

from relay.core.moments import Ms

MINUTE_MS: Ms = 60_000


@dataclass(slots=True)
class Rolling:
    """Calls by key, in any span of `span_ms`. One that is refused does not count: who waits as told is let in."""

    span_ms: Ms = MINUTE_MS
    _times: dict[str, deque[Ms]] = field(default_factory=dict)

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
        self._times.setdefault(key, deque()).append(now)
        return 0.0

    def frees_in(self, key: str, now: Ms) -> Ms:
        """Until the oldest call of the span is out of it; the whole span where there is none."""
        times = self._times.get(key)
        return times[0] + self.span_ms - now if times else self.span_ms
