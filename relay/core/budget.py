"""How a platform's requests per minute are shared out: most for any work, a tenth kept back for stops.

A leaky bucket of size `burst` that leaks r a second admits at most burst + r·T in any T seconds. With
r = (rate - burst) / 60 no rolling minute exceeds `rate`: the burst is inside the limit, not on top of it.
"""

from dataclasses import dataclass

STOPS_SHARE = 10
"""One part in ten is for stops alone: overload can delay an indicator, but never leave one on."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the budget: `rate_per_minute` of which `burst` may come at once. 1 <= burst < rate."""

    rate_per_minute: int
    burst: int

    @property
    def period_s(self) -> float:
        """Seconds in which `burst` permits leak back."""
        return self.burst * 60 / (self.rate_per_minute - self.burst)

    def most_in(self, span_s: float) -> float:
        """No window of `span_s` seconds admits more than this."""
        return self.burst + span_s * self.burst / self.period_s


def shares(rate_per_minute: int, burst: int) -> tuple[Share, Share]:
    """(for any work, for stops only); together never more than `rate_per_minute` in a minute or `burst` at once.

    Where a platform cannot be told to stop there is nothing to keep back: `Share(rate_per_minute, burst)` is then all.
    Needs rate_per_minute >= 4 and 2 <= burst < rate_per_minute, as the settings demand.
    """
    stops_rate = max(2, -(-rate_per_minute // STOPS_SHARE))
    stops_burst = min(max(1, burst // STOPS_SHARE), stops_rate - 1)
    any_rate = rate_per_minute - stops_rate
    any_burst = min(burst - stops_burst, any_rate - 1)
    return Share(any_rate, any_burst), Share(stops_rate, stops_burst)
