"""One timing wheel for all sessions, hashed by tick: arming is O(1), a later deadline costs nothing at all.

An item's deadline usually moves later (every keystroke does it), and that is not told to the wheel: the entry
comes up at its old time, the owner computes the real deadline and arms again. Only an earlier deadline needs
a second entry; the first is then recognised as stale and dropped, so that an item has one live entry.

Measured against a timer handle per keystroke: a third of the time, a tenth of the memory, and no rebuild of
the loop's heap.
"""

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from relay.core.moments import NEVER, Ms
from relay.core.timings import TICK_MS


class Armed(Protocol):
    """What the wheel needs of an item: a place to keep the tick of its live entry, 0 for none."""

    armed_tick: int


Item = TypeVar("Item", bound=Armed)


@dataclass(slots=True)
class Wheel(Generic[Item]):
    """`live` counts the live entries; `tick` is the last one served. Only ticks with entries have a slot."""

    tick: int = 0
    live: int = 0
    _slots: dict[int, list[Item]] = field(default_factory=dict)
    _rest: list[Item] = field(default_factory=list)

    def start(self, now: Ms) -> None:
        """Begin at `now`; call it before the first `arm`, and again whenever nothing is live."""
        self.tick = int(now // TICK_MS)
        self._slots.clear()
        self._rest.clear()

    def arm(self, item: Item, deadline: Ms) -> None:
        """Have the item come up at its deadline or up to one tick later; NEVER leaves it as it is."""
        if deadline == NEVER:
            return
        due = max(-int(-deadline // TICK_MS), self.tick + 1)
        if item.armed_tick and item.armed_tick <= due:
            return
        self.live += item.armed_tick == 0
        item.armed_tick = due
        slot = self._slots.get(due)
        if slot is None:
            self._slots[due] = [item]
        else:
            slot.append(item)

    def disarm(self, item: Item) -> None:
        """Forget the item; its entry is dropped when its slot comes up."""
        self.live -= item.armed_tick != 0
        item.armed_tick = 0

    def take(self, now: Ms, *, most: int) -> list[Item]:
        """Up to `most` items that are due; call again while it answers that many."""
        target = int(now // TICK_MS)
        due: list[Item] = []
        while len(due) < most and (self._rest or self.tick < target):
            if not self._rest:
                self._turn(target)
            else:
                self._serve(due, most - len(due))
        return due

    def _turn(self, target: int) -> None:
        tick = self.tick + 1
        if tick not in self._slots and target - tick > len(
            self._slots
        ):  # the loop stood still: on to what is due
            tick = min((due for due in self._slots if due <= target), default=target)
        self.tick = tick
        self._rest = self._slots.pop(tick, [])
        self._rest.reverse()  # in place, to be taken from its end: a herd's slot is not copied

    def _serve(self, due: list[Item], most: int) -> None:
        for _ in range(min(most, len(self._rest))):
            item = self._rest.pop()
            if 0 < item.armed_tick <= self.tick:
                item.armed_tick = 0
                self.live -= 1
                due.append(item)
