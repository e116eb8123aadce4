"""Is a session still there? What the platform last said, for as long as that is worth believing."""

from dataclasses import dataclass, field
from enum import StrEnum

from relay.core.moments import Ms

LIVE_STATUSES = frozenset({"active", "connected", "routed"})
"""In lower case: platforms do not agree on theirs."""

LIVE_FOR_MS: Ms = 30_000.0
GONE_FOR_MS: Ms = 10_000.0
"""Shorter: a session that was just created may be reported absent for a moment."""

MOST_SESSIONS = 50_000


class Liveness(StrEnum):
    LIVE = "live"
    GONE = "gone"
    UNKNOWN = "unknown"


FRESH_FOR_MS = {Liveness.LIVE: LIVE_FOR_MS, Liveness.GONE: GONE_FOR_MS}


def liveness_of(http_status: int, session_status: object) -> Liveness:
    """What an answer to the session's status query says; `session_status` is its `status` field, if any."""
    if http_status in {404, 410}:
        return Liveness.GONE
    if not 200 <= http_status < 300 or not isinstance(session_status, str):
        return Liveness.UNKNOWN
    return Liveness.LIVE if session_status.strip().lower() in LIVE_STATUSES else Liveness.GONE


@dataclass(slots=True)
class KnownSessions:
    """The last answers, at most `most` of them: the oldest make room."""

    most: int = MOST_SESSIONS
    _known: dict[str, tuple[Liveness, Ms]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, session_id: str, now: Ms) -> Liveness | None:
        """A still believable answer, else None."""
        liveness, until = self._known.get(session_id, (None, now))
        return liveness if now < until else None

    def note(self, session_id: str, liveness: Liveness, now: Ms) -> None:
        """Keep an answer; `UNKNOWN` says nothing and takes nothing away."""
        if liveness is Liveness.UNKNOWN:
            return
        self._known.pop(session_id, None)  # so that the order stays by age
        self._known[session_id] = (liveness, now + FRESH_FOR_MS[liveness])
        if len(self._known) > self.most:
            del self._known[next(iter(self._known))]

    def forget(self, session_id: str) -> None:
        self._known.pop(session_id, None)
