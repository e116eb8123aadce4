"""What the parties around the relay saw, written down as it happens: by the platform and the tracker themselves."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from relay.core.indicator import Indicator
from relay.core.moments import Ms
from relay.sandbox.arrivals import Arrival
from relay.sandbox.tracker import Received

CallOf = tuple[str, Indicator]
"""(session id, what was shown): calls and callbacks are matched by these, not by totals alone."""

BROADCAST = "typing_indicator.broadcast"
STOPPED = "session.stopped"
TRANSITIONS = frozenset({"session.typing", "session.paused", STOPPED})


@dataclass(slots=True)
class Books:
    """Hand `arrived` to the platform and `received` to the tracker; the typists count their keys themselves."""

    keys: int = 0
    posts: int = 0
    keys_refused: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    accepted: Counter[CallOf] = field(default_factory=Counter)
    told: Counter[CallOf] = field(default_factory=Counter)
    by_type: Counter[str] = field(default_factory=Counter)
    _last_transition: dict[str, str] = field(default_factory=dict)
    _shown: dict[str, tuple[Indicator, Ms]] = field(default_factory=dict)

    def arrived(self, arrival: Arrival) -> None:
        """One typing call reached the platform."""
        self.statuses[arrival.status] += 1
        if not arrival.is_applied or arrival.indicator is None:
            return
        self.accepted[arrival.session_id, arrival.indicator] += 1
        self._shown[arrival.session_id] = (arrival.indicator, arrival.at + arrival.duration_ms)

    def received(self, event: Received) -> None:
        """One verified callback reached the tracker, for the first time."""
        self.by_type[event.type] += 1
        data = event.body["data"]
        if event.type == BROADCAST:
            self.told[data["sessionId"], Indicator(data["indicator"])] += 1
        elif event.type in TRANSITIONS:
            self._last_transition[data["sessionId"]] = event.type

    def seen(self, session_id: str, now: Ms) -> Indicator | None:
        """What the guest of that session sees now."""
        indicator, until = self._shown.get(session_id, (Indicator.STOPPED, now))
        return indicator if now < until and indicator is not Indicator.STOPPED else None

    def still_open(self, sessions: Iterable[str]) -> int:
        """How many of these the tracker has not, or not last, heard to have stopped."""
        return sum(self._last_transition.get(session) != STOPPED for session in sessions)

    @property
    def calls(self) -> dict[str, int]:
        """Accepted by the platform, by indicator; every indicator is named."""
        return {
            each.value: sum(times for (_, shown), times in self.accepted.items() if shown is each)
            for each in Indicator
        }

    @property
    def too_many(self) -> int:
        return self.statuses[429]

    @property
    def server_errors(self) -> int:
        return sum(times for status, times in self.statuses.items() if status >= 500)

    @property
    def transitions(self) -> int:
        return sum(self.by_type[each] for each in TRANSITIONS)
