"""Which streams carry which actors: when the last one that carried an actor closes, that actor has left.

    activity ─► load of its stream ─► how many streams carry (gateway, session, actor)
    stream closes ─► its load ─► those nobody carries any more ─► `actor_left` for each

An actor whose turn has ended (message sent, box cleared) is carried no longer: there is nothing left to take back.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from relay.core.activity import Activity, Kind
from relay.core.order import TERMINAL

MOST_ACTORS = 10_000
"""Of one stream, 3 MB of memory. Past it the ones carried longest are let go: their own timers see to them."""

MOST_OF_SOURCE = 100_000
"""Of all its streams, 30 MB. Past it a stream that takes another up lets its own longest carried go."""

_LEFT = Kind.ACTOR_LEFT

Carry = tuple[str, str, str]


class Carried:
    """All streams' loads together."""

    def __init__(self) -> None:
        self._streams: Counter[Carry] = Counter()
        self._of_source: Counter[str] = Counter()

    def note(
        self, load: dict[Carry, Activity], activities: Iterable[Activity], *, is_all_new: bool = True
    ) -> None:
        """These were taken from the stream of that load.

        Unless all of them had their effect none is an end: a message that comes twice ends no turn begun since. To
        say of an idle actor that it has left is no harm.
        """
        for activity in activities:
            carry = (activity.gateway, activity.address.session_id, activity.actor)
            if activity.kind in TERMINAL and activity.is_final:
                if is_all_new and load.pop(carry, None) is not None:
                    self._let_go(carry, activity.source)
            else:
                if carry not in load:
                    self._take_up(carry, activity.source)
                load[carry] = activity
                if len(load) > MOST_ACTORS or self._of_source[activity.source] > MOST_OF_SOURCE:
                    longest = next(iter(load))
                    del load[longest]
                    self._let_go(longest, activity.source)

    def closed(self, load: dict[Carry, Activity]) -> list[Activity]:
        """The stream of that load is gone: an `actor_left` for each actor that no other stream carries."""
        left = [_left(activity) for carry, activity in load.items() if self._let_go(carry, activity.source)]
        load.clear()
        return left

    def _take_up(self, carry: Carry, source: str) -> None:
        self._streams[carry] += 1
        self._of_source[source] += 1

    def _let_go(self, carry: Carry, source: str) -> bool:
        """True if nobody carries it any more."""
        self._of_source[source] -= 1
        self._streams[carry] -= 1
        is_last = self._streams[carry] <= 0
        if is_last:
            del self._streams[carry]
        return is_last


def _left(last: Activity) -> Activity:
    """Without the caller's order: whoever speaks of it is the relay, and now."""
    return replace(last, kind=_LEFT, seq=None, at=None, thinking_id=None, duration_ms=None, is_final=True)
