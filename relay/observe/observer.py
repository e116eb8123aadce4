"""Told what happened in the river, it counts it and says it: one canonical log line per broadcast attempt."""

import logging
from collections.abc import Iterable

from relay.core.engagement import Broadcast, Fact, event_type
from relay.core.moments import Ms
from relay.core.outcome import CoolOff, Outcome
from relay.core.report import error_class
from relay.core.session import Session, Verdict
from relay.observe.metrics import Metrics
from relay.observe.sampled import Sampled
from relay.observe.series import (
    BROADCAST_SECONDS,
    BROADCASTS,
    COALESCING_RATIO,
    DISPLAY_RATE,
    DROPPED,
    TICK_LAG,
    TOO_MANY,
    VERDICTS,
)
from relay.observe.tally import BroadcastTally

log = logging.getLogger("relay.broadcast")


class Observer:
    """One relay's figures. `by_gateway` holds the tally of each, `tally` that of all."""

    def __init__(self, metrics: Metrics, gateways: Iterable[str]) -> None:
        self.tally = BroadcastTally()
        self.by_gateway = {name: BroadcastTally() for name in gateways}
        self._metrics = metrics
        self._events = 0
        self._verdicts = {verdict: metrics.counter(VERDICTS, verdict.value) for verdict in Verdict}
        self._lag = metrics.gauge(TICK_LAG)
        self._sampled = Sampled()
        for name in self.by_gateway:
            metrics.counter(TOO_MANY, name)
            metrics.expect(DROPPED, name)
        metrics.watch(COALESCING_RATIO, lambda: {(): self.coalescing})
        metrics.watch(
            DISPLAY_RATE, lambda: {(k,): tally.display_rate for k, tally in self.by_gateway.items()}
        )

    @property
    def coalescing(self) -> float:
        """Events applied for each broadcast attempted; 0.0 before the first."""
        broadcasts = self.tally.success + self.tally.failed
        return round(self._verdicts[Verdict.APPLIED].value / broadcasts, 3) if broadcasts else 0.0

    def observed(self, verdict: Verdict, count: int) -> None:
        self._verdicts[verdict].value += count

    def carried(self, session: Session, fact: Broadcast, outcome: Outcome, waited_ms: Ms) -> None:
        gateway = session.key[0]
        self.tally.note(fact)
        self.by_gateway[gateway].note(fact)
        said = error_class(outcome) or "accepted"
        self._metrics.counter(BROADCASTS, gateway, fact.indicator.value, said).value += 1
        if isinstance(outcome, CoolOff) and outcome.status == 429:
            self._metrics.counter(TOO_MANY, gateway).value += 1
        if fact.success and fact.cause.value == "start":
            self._metrics.histogram(BROADCAST_SECONDS, gateway).observe(waited_ms / 1000)
        level = logging.INFO if fact.success else logging.WARNING
        if log.isEnabledFor(level):
            log.log(level, "indicator.carried", extra={"fields": _line(fact, said, waited_ms)})

    def suppressed(self, session: Session, why: str) -> None:
        self._metrics.counter(DROPPED, session.key[0], why).value += 1

    def unrecorded(self, fact: Fact, why: BaseException) -> None:
        """The outbox counts these by reason; here they are said, now and then."""
        unsaid = self._sampled.unsaid(type(why).__name__, fact.at)
        if unsaid is not None:
            fields = {"type": event_type(fact), "why": str(why), "unsaid": unsaid}
            log.error("event.unrecorded", extra={"fields": fields})

    def lagged(self, late_ms: Ms) -> None:
        self._lag.value = late_ms / 1000


def _line(fact: Broadcast, said: str, waited_ms: Ms) -> dict[str, object]:
    gateway, session_id = fact.key
    return {
        "audit_id": fact.audit_id,
        "gateway": gateway,
        "session_id": session_id,
        "guest_id": fact.guest_id,
        "source": fact.source,
        "indicator": fact.indicator.value,
        "duration_ms": fact.duration_ms,
        "cause": fact.cause.value,
        "outcome": said,
        "status": fact.status,
        "latency_ms": fact.latency_ms,
        "since_change_ms": round(waited_ms),
        "attempts": fact.attempts,
        "given_up": fact.is_given_up,
        "message": fact.message,
    }
