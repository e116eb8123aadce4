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


FRESH_FOR_MS = {Liveness.LIVE: LIVE_FOR_MS, Liveness.GONE: GONE_FOR_MS}


def liveness_of(http_status: int, session_status: object) -> Liveness:
    """What an answer to the session's status query says; `session_status` is its `status` field, if any."""
    if http_status in {404, 410}:
        return Liveness.GONE
    if not 200 <= http_status < 300 or not isinstance(session_status, str):
        return Liveness.UNKNOWN
    return Liveness.LIVE if session_status.strip().lower() in LIVE_STATUSES else Liveness.GONE


K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class KnownSessions(Generic[K]):
    """The last answers, at most `most` of them: the oldest make room. K is whatever names a session."""

    most: int = MOST_SESSIONS
    _known: dict[K, tuple[Liveness, Ms]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, session: K, now: Ms) -> Liveness | None:
        """A still believable answer, else None."""
        liveness, until = self._known.get(session, (None, now))
        return liveness if now < until else None

    def note(self, session: K, liveness: Liveness, now: Ms) -> None:
        """Keep an answer; `UNKNOWN` says nothing and takes nothing away."""
        if liveness is Liveness.UNKNOWN:
            return
        self._known.pop(session, None)  # so that the order stays by age
        self._known[session] = (liveness, now + FRESH_FOR_MS[liveness])
        if len(self._known) > self.most:
            del self._known[next(iter(self._known))]

    def forget(self, session: K) -> None:
        self._known.pop(session, None)
