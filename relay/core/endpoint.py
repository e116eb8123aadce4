"""How one endpoint is doing: when to stop asking it for a while, and when to give it up.

    closed ──≥ 10 attempts in 5 min, ≥ 70 % failed──► open 30 s ──► trial: one at a time ──3 successes──► closed
                                                       ▲  doubling to 10 min   │ a failure
                                                       └───────────────────────┘

Waiting for an open breaker is nobody's attempt: the budget of a delivery is spent on answers, not on our patience.
An endpoint is disabled when it has not once succeeded for five days, and two messages that spent their whole budget
in vain lie half a day apart: one message alone may be at fault itself.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from relay.core.moments import Ms, UnixMs, rfc3339

BUCKET_MS: Ms = 10_000
"""Attempts are counted in buckets of this width: thirty numbers in five minutes, whatever the rate."""


class Patience(NamedTuple):
    """How much failing of one endpoint is borne: its circuit's figures as drawn above, then those of giving it up."""

    window_ms: Ms = 5 * 60_000
    fewest_attempts: int = 10
    failing_share: float = 0.7
    open_ms: Ms = 30_000
    longest_open_ms: Ms = 600_000
    successes_to_close: int = 3
    no_success_ms: UnixMs = 120 * 3_600_000
    exhausted_apart_ms: UnixMs = 12 * 3_600_000


PATIENCE = Patience()
"""Where an endpoint asks for no other."""


class Standing(StrEnum):
    """Whether an endpoint is sent anything: `paused` by its operator, and all waits; `disabled`, and all is cancelled."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


class Circuit(StrEnum):
    """A metric label."""

    CLOSED = "closed"
    OPEN = "open"
    TRIAL = "trial"


class News(StrEnum):
    """What an attempt changed: `endpoint.degraded` and `endpoint.recovered` are made of these."""

    DEGRADED = "degraded"
    RECOVERED = "recovered"


class Turn(NamedTuple):
    """A circuit's turn in words and numbers: since when it is so, and the attempts it was judged by."""

    news: News
    why: str
    since: UnixMs
    attempts: int
    failures: int


class Failing(NamedTuple):
    """What its attempts have come to since the last that succeeded: how many failed in a row, and how the last did."""

    since: UnixMs
    attempts: int
    last: str


def failed(before: Failing | None, at: UnixMs, last: str) -> Failing:
    """One more in a row; None before the first."""
    return Failing(at, 1, last) if before is None else Failing(before.since, before.attempts + 1, last)


class _Bucket(NamedTuple):
    since: Ms
    attempts: int
    failures: int


@dataclass(slots=True)
class EndpointBreaker:
    """One endpoint's circuit. `now` is the loop's clock and may be any number, so long as it does not fall."""

    patience: Patience = PATIENCE
    circuit: Circuit = Circuit.CLOSED
    open_until: Ms = 0
    _open_ms: Ms = 0
    _successes: int = 0
    _buckets: deque[_Bucket] = field(default_factory=deque)

    def room(self, now: Ms, *, in_flight: int) -> int | None:
        """How many more may be sent now; None for as many as there is place for."""
        if self.circuit is Circuit.CLOSED:
            return None
        if now < self.open_until:
            return 0
        self.circuit = Circuit.TRIAL
        return max(0, 1 - in_flight)

    def noted(self, now: Ms, *, is_success: bool) -> News | None:
        """Book one answer. An answer to what was sent before the circuit opened proves nothing while it is open."""
        if self.circuit is Circuit.OPEN:
            return None
        if self.circuit is Circuit.TRIAL:
            return self._tried(now, is_success=is_success)
        self._count(now, is_success=is_success)
        return self._open(now) if not is_success and self._is_failing() else None

    def try_now(self, now: Ms) -> None:
        """The next may go at once as a probe; somebody has reason to think that the endpoint is mended."""
        self.open_until = min(self.open_until, now)

    @property
    def judged_by(self) -> tuple[int, int]:
        """(attempts, failures) of the window before it opened; of a closed one, those so far."""
        attempts = sum(bucket.attempts for bucket in self._buckets)
        return attempts, sum(bucket.failures for bucket in self._buckets)

    def _tried(self, now: Ms, *, is_success: bool) -> News | None:
        if not is_success:
            self._shut(now, min(2 * self._open_ms, self.patience.longest_open_ms))
            return None
        self._successes += 1
        if self._successes < self.patience.successes_to_close:
            return None
        self.circuit = Circuit.CLOSED
        self._buckets.clear()
        return News.RECOVERED

    def _open(self, now: Ms) -> News:
        self._shut(now, self.patience.open_ms)
        return News.DEGRADED

    def _shut(self, now: Ms, open_ms: Ms) -> None:
        self.circuit, self._open_ms, self._successes = Circuit.OPEN, open_ms, 0
        self.open_until = now + open_ms

    def _count(self, now: Ms, *, is_success: bool) -> None:
        while self._buckets and self._buckets[0].since <= now - self.patience.window_ms:
            self._buckets.popleft()
        if not self._buckets or now >= self._buckets[-1].since + BUCKET_MS:
            self._buckets.append(_Bucket(now, 0, 0))
        last = self._buckets[-1]
        self._buckets[-1] = _Bucket(last.since, last.attempts + 1, last.failures + (not is_success))

    def _is_failing(self) -> bool:
        attempts, failures = self.judged_by
        least, share = self.patience.fewest_attempts, self.patience.failing_share
        return attempts >= least and failures >= share * attempts


@dataclass(slots=True)
class Record:
    """What an endpoint is judged by over days; kept in the outbox, so that a restart forgives nothing.

    `last_success` begins as its first use, or as the resume that forgave it: it would else be given up in its first
    hour. `succeeded_at` is the same without that grace, for people: None where nothing ever succeeded.
    """

    last_success: UnixMs
    first_exhausted: UnixMs | None = None
    succeeded_at: UnixMs | None = None

    def succeeded(self, at: UnixMs) -> None:
        self.last_success, self.first_exhausted = max(at, self.last_success), None
        self.succeeded_at = max(at, self.succeeded_at or 0)

    def forgiven(self, at: UnixMs) -> None:
        """Judged from now on; when it succeeded is not forgotten."""
        self.last_success, self.first_exhausted = at, None

    def exhausted(self, at: UnixMs, patience: Patience = PATIENCE) -> bool:
        """True if the endpoint is to be disabled now. `last_success` is its first use if it never succeeded."""
        if self.first_exhausted is None:
            self.first_exhausted = at
        is_apart = at - self.first_exhausted >= patience.exhausted_apart_ms
        return is_apart and at - self.last_success >= patience.no_success_ms

    def in_words(self) -> str:
        """Why an endpoint is given up, for whoever has to mend it."""
        since = self.last_success if self.first_exhausted is None else self.first_exhausted
        return (
            f"no delivery has succeeded since {rfc3339(self.last_success)}, "
            f"and from {rfc3339(since)} on messages spent all their attempts in vain"
        )
