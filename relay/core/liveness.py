"""Is a session still there? What the platform last said, for as long as that is worth believing."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

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


FRESH_FOR_MS = {Liveness.LIVE: LIVE_FOR_MS, Liveness.GONE: GONE_FOR_MS, Liveness.UNKNOWN: 0.0}


def liveness_of(http_status: int, session_status: object) -> Liveness:
    """What an answer to the session's status query says; `session_status` is its `status` field, if any."""
    if http_status in {404, 410}:
        return Liveness.GONE
    if not 200 <= http_status < 300 or not isinstance(session_status, str):
        return Liveness.UNKNOWN
    return Liveness.LIVE if session_status.strip().lower() in LIVE_STATUSES else Liveness.GONE


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class KnownSessions(Generic[K, V]):
    """The last answers, at most `most` of them: the oldest make room. K is whatever names a session."""

    most: int = MOST_SESSIONS
    _known: dict[K, tuple[V, Ms]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, session: K, now: Ms) -> V | None:
        """A still believable answer, else None."""
        answer, until = self._known.get(session, (None, now))
        return answer if now < until else None

    def last(self, session: K) -> V | None:
        """The last answer, believable or not."""
        return self._known.get(session, (None, 0.0))[0]

    def note(self, session: K, answer: V, now: Ms, *, for_ms: Ms) -> None:
        """Keep an answer; one that is believed for no time says nothing and takes nothing away."""
        if for_ms <= 0:
            return
        self._known.pop(session, None)  # so that the order stays by age
        self._known[session] = (answer, now + for_ms)
        if len(self._known) > self.most:
            del self._known[next(iter(self._known))]

    def forget(self, session: K) -> None:
        self._known.pop(session, None)
