"""Whether an endpoint may be sent to now, how much, and when to ask again.

    standing   paused by its operator, or disabled: nothing, until it is resumed
    rest       it said Retry-After: nothing until then
    circuit    most of its answers were failures: nothing for a while, then one probe at a time
    rate       `rate_per_s`: no more than its share of each second

What must wait here is not claimed, so waiting costs no attempt and no lease. Circuit and rate are in memory: a
restart begins closed and rested. The standing is the store's, and told at the start.
"""

import logging
from collections.abc import Callable

from relay.core import bucket
from relay.core.bucket import Bucket
from relay.core.endpoint import (
    PATIENCE,
    Circuit,
    EndpointBreaker,
    Failing,
    News,
    Patience,
    Standing,
    Turn,
    failed,
)
from relay.core.moments import Ms, UnixMs
from relay.core.notice import said
from relay.outbox.rows import Attempt

log = logging.getLogger("relay.outbox")


class Gate:
    """Before one endpoint's lane."""

    def __init__(
        self,
        endpoint: str,
        *,
        rate_per_s: float | None,
        now: Callable[[], Ms],
        wall: Callable[[], UnixMs],
        patience: Patience = PATIENCE,
    ) -> None:
        self.endpoint = endpoint
        self.standing = Standing.ACTIVE
        self.failing: Failing | None = None
        """For people: what each answer says by itself, whatever the circuit makes of it."""
        self._breaker = EndpointBreaker(patience)
        self._rate = None if rate_per_s is None else Bucket(rate_per_s)
        self._now = now
        self._wall = wall
        self._rests_until: Ms = 0
        self._degraded_at: UnixMs = 0

    @property
    def circuit(self) -> Circuit:
        return self._breaker.circuit

    def room(self, wanted: int, *, in_flight: int) -> int:
        """How many of `wanted` may be claimed now; of what is below zero, since fewer may be on their way than are, none."""
        now = self._now()
        if self.standing is not Standing.ACTIVE or self._rests_until > now:
            return 0
        probes = self._breaker.room(now, in_flight=in_flight)
        paced = wanted if self._rate is None else bucket.room(self._rate, now)
        return max(0, min(wanted, paced, wanted if probes is None else probes))

    def opens_in_s(self) -> float:
        """How long there is no room, as far as that is a matter of time; 0.0 where it is not."""
        now = self._now()
        waits_ms = [
            self._rests_until - now,
            self._breaker.open_until - now if self.circuit is Circuit.OPEN else 0,
            bucket.wait_ms(self._rate, 1, now) if self._rate else 0,
        ]
        return max(0.0, *waits_ms) / 1000

    def shut_until(self) -> tuple[UnixMs | None, UnixMs | None]:
        """(its circuit, its rest or rate): until when it lets nothing through for that; None where it does."""
        now, wall = self._now(), self._wall()
        circuit = wall + int(self._breaker.open_until - now) if self.circuit is Circuit.OPEN else wall
        paced_ms = bucket.wait_ms(self._rate, 1, now) if self._rate else 0
        held = wall + int(max(self._rests_until - now, paced_ms))
        return circuit if circuit > wall else None, held if held > wall else None

    def pace(self, rate_per_s: float | None) -> None:
        """From now on this rate; what was taken at the old one is still waited for."""
        if self._rate is None or rate_per_s is None:
            self._rate = None if rate_per_s is None else Bucket(rate_per_s)
        else:
            self._rate.per_s = rate_per_s

    def bear(self, patience: Patience) -> None:
        """From now on so much failing; a circuit that is open stays so for as long as it was to be."""
        self._breaker.patience = patience

    def spend(self, count: int) -> None:
        """So many were claimed, and will be sent."""
        if self._rate:
            bucket.take(self._rate, count, self._now())

    def rest(self, span_ms: Ms) -> None:
        """The endpoint asked for it: so long by the loop's clock, which nobody sets."""
        self._rests_until = max(self._rests_until, self._now() + span_ms)

    def noted(self, attempt: Attempt) -> Turn | None:
        """Books an answer. A turn where the circuit opened or closed with it, and where it is shut again by a probe."""
        before = self.circuit
        last = said(attempt.status, attempt.failure) if attempt.failure else None
        self.failing = failed(self.failing, attempt.started_at, last) if last else None
        news = self._breaker.noted(self._now(), is_success=attempt.failure is None)
        if news is News.RECOVERED:
            return self._recovered()
        if last is None or self.circuit is not Circuit.OPEN or before is Circuit.OPEN:
            return None
        return self._degraded(last, is_news=news is News.DEGRADED)

    def stop(self, standing: Standing, why: str) -> bool:
        """Nothing more is claimed until `resume`; False where it was so already."""
        if standing is self.standing:
            return False
        self.standing = standing
        fields = {"endpoint": self.endpoint, "why": why, "remedy": _REMEDIES[standing]}
        level = logging.ERROR if standing is Standing.DISABLED else logging.WARNING
        log.log(level, "endpoint.%s", standing.value, extra={"fields": fields})
        return True

    def resume(self) -> None:
        """Somebody thinks that it is mended: an open circuit is tried at once, and what it asked for before is past."""
        self.standing = Standing.ACTIVE
        self._rests_until = self._now()
        self._breaker.try_now(self._now())

    def _degraded(self, last: str, *, is_news: bool) -> Turn:
        attempts, failures = self._breaker.judged_by
        patience = self._breaker.patience
        within = f"within {patience.window_ms / 60_000:g} min"
        why = f"{failures} of {attempts} attempts {within} failed; of the last, {last}"
        if is_news:
            self._degraded_at = self._wall()
            fields = {
                "endpoint": self.endpoint,
                "why": why,
                "remedy": "mend the endpoint: one delivery at a time tries it, the next "
                f"in {patience.open_ms / 1000:g} s and then ever later; "
                "`typing-relay endpoints resume` with its name tries at once. Waiting costs no attempt",
            }
            log.warning("endpoint.degraded", extra={"fields": fields})
        return Turn(News.DEGRADED, why, self._degraded_at, attempts, failures)

    def _recovered(self) -> Turn:
        why = f"{self._breaker.patience.successes_to_close} deliveries in a row succeeded"
        down_s = (self._wall() - self._degraded_at) / 1000
        fields = {"endpoint": self.endpoint, "why": why, "down_s": round(down_s)}
        log.warning("endpoint.recovered", extra={"fields": fields})
        return Turn(News.RECOVERED, why, self._degraded_at, 0, 0)


_REMEDIES = {
    Standing.DISABLED: "nothing is sent to it until `typing-relay endpoints resume` with its name; "
    "what it misses is kept as cancelled for outbox.retention_days and can be replayed then",
    Standing.PAUSED: "nothing is sent to it until `typing-relay endpoints resume` with its name; "
    "what is recorded for it waits, and counts in outbox.max_rows",
}
