"""How fast one endpoint may be sent to: so many a second, of which a few may go at once.

A token bucket in its virtual scheduling form (ITU-T I.371, annex A): what is kept is not how many tokens there are,
but when the bucket will be full again. No timer fills it, and waiting for it is nobody's attempt.
"""

from dataclasses import dataclass
from math import ceil, floor

from relay.core.moments import NEVER, Ms

_EXACT = 1e-6
"""A millionth of a permit: what the sums of many floats may be off by."""


@dataclass(slots=True)
class Pace:
    """At most `burst` + `rate_per_s` · T permits in any T seconds. `now` is the loop's clock and does not fall."""

    rate_per_s: float
    burst: int
    full_at: Ms = -NEVER

    @classmethod
    def of(cls, rate_per_s: float) -> "Pace":
        """With a second's permits at once, and one at least."""
        return cls(rate_per_s, max(1, ceil(rate_per_s)))

    def room(self, now: Ms) -> int:
        """How many may be sent now."""
        return max(0, floor(self.burst - self._owed(now) + _EXACT))

    def spend(self, now: Ms, count: int) -> None:
        """So many are sent; ask `room` first."""
        self.full_at = max(self.full_at, now) + count * self._each_ms

    def opens_at(self, now: Ms) -> Ms:
        """When there is room for one; it may be past."""
        return now + (self._owed(now) + 1 - self.burst) * self._each_ms

    @property
    def _each_ms(self) -> Ms:
        return 1000 / self.rate_per_s

    def _owed(self, now: Ms) -> float:
        return max(0.0, (self.full_at - now) / self._each_ms)
