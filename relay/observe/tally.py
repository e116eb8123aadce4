"""How the broadcasts went, in three numbers and the last hundred of them: the tutorial's `getMetrics`."""

from collections import deque
from dataclasses import dataclass, field

from relay.core.engagement import Broadcast
from relay.core.moments import rfc3339

TAIL = 100


@dataclass(slots=True)
class BroadcastTally:
    """Counts attempts that reached, or tried to reach, the platform; refusals at our own door are not among them."""

    success: int = 0
    failed: int = 0
    tail: deque[Broadcast] = field(default_factory=lambda: deque(maxlen=TAIL))

    def note(self, fact: Broadcast) -> None:
        self.success += fact.success
        self.failed += not fact.success
        self.tail.append(fact)

    def forget(self, session: str, gateway: str | None) -> None:
        """Takes a session's entries out of the last hundred; the counts stay."""
        kept = [fact for fact in self.tail if fact.key[1] != session or gateway not in (None, fact.key[0])]
        self.tail = deque(kept, maxlen=TAIL)

    @property
    def display_rate(self) -> float:
        """Accepted share of all attempts, three decimals; 0.0 before the first."""
        total = self.success + self.failed
        return round(self.success / total, 3) if total else 0.0

    def shown(self) -> dict[str, object]:
        """`{"displayRate", "stats": {"total", "success", "failed"}, "auditLog": [oldest … newest]}`."""
        total = self.success + self.failed
        return {
            "displayRate": self.display_rate,
            "stats": {"total": total, "success": self.success, "failed": self.failed},
            "auditLog": [audit_entry(fact) for fact in self.tail],
        }


def audit_entry(fact: Broadcast) -> dict[str, object]:
    """One attempt as the audit shows it."""
    gateway, session_id = fact.key
    return {
        "auditId": fact.audit_id,
        "timestamp": rfc3339(fact.at),
        "gateway": gateway,
        "sessionId": session_id,
        "guestId": fact.guest_id,
        "type": fact.indicator.value,
        "cause": fact.cause.value,
        "latencyMs": fact.latency_ms,
        "success": fact.success,
        "status": fact.status,
        "attempts": fact.attempts,
        "error": fact.error,
        "message": fact.message,
    }
