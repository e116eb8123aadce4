"""A gate that a platform's Retry-After closes."""

from dataclasses import dataclass

from relay.core.moments import Ms


@dataclass(slots=True)
class CoolOffGate:
    """Closed until `until`; open from the start."""

    until: Ms = float("-inf")

    def close(self, until: Ms) -> None:
        """Later wins: an answer to an older request never re-opens what a newer one closed."""
        self.until = max(self.until, until)

    def wait_ms(self, now: Ms) -> Ms:
        """How long the gate stays closed, 0 if it is open."""
        return max(0.0, self.until - now)
