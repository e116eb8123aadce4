"""When to stop asking a platform that does not answer, and when to ask again.

closed ──5 failures in a row──► open ──success──► closed
                                 └─ one trial per 10 s
"""

from dataclasses import dataclass

from relay.core.moments import Ms

FAILURES_TO_OPEN = 5
"""In a row: with 16 carriers a single dropped connection pool breaks a few calls at once without being an outage."""

TRIAL_EVERY_MS: Ms = 10_000.0


@dataclass(slots=True)
class Breaker:
    failures_to_open: int = FAILURES_TO_OPEN
    trial_every_ms: Ms = TRIAL_EVERY_MS
    failures: int = 0
    opened_at: Ms | None = None
    next_trial_at: Ms = 0.0

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None

    def failed(self, now: Ms) -> None:
        """A call got no usable answer. A failed trial leaves the next one where `called` put it."""
        self.failures += 1
        if self.opened_at is None and self.failures >= self.failures_to_open:
            self.opened_at = now
            self.next_trial_at = now + self.trial_every_ms

    def succeeded(self) -> None:
        """The other side answered, whatever it said."""
        self.failures = 0
        self.opened_at = None

    def admits(self, now: Ms) -> bool:
        """May a call be made? Asking costs nothing: what is not called after all leaves its trial to the next."""
        return self.opened_at is None or now >= self.next_trial_at

    def called(self, now: Ms) -> None:
        """A call is made now; while open, the first that is due is the trial of its period."""
        if self.opened_at is not None and now >= self.next_trial_at:
            self.next_trial_at = now + self.trial_every_ms
