"""One hashed timing wheel for all sessions: arming is O(1), a later deadline costs nothing at all.

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

SLOTS = 4096
"""82 s ahead: past the minute after which a session at rest is forgotten, so that the idle are not looked at in between.
What is due later is looked at once before and armed again."""


class Armed(Protocol):
    """What the wheel needs of an item: a place to keep the tick of its live entry, 0 for none."""

    armed_tick: int


Item = TypeVar("Item", bound=Armed)


@dataclass(slots=True)
class Wheel(Generic[Item]):
    """`live` counts the live entries; `tick` is the last one served."""

    tick: int = 0
    live: int = 0
    _slots: list[list[Item]] = field(default_factory=lambda: [[] for _ in range(SLOTS)])
    _rest: list[Item] = field(default_factory=list)

    def start(self, now: Ms) -> None:
        """Begin at `now`; call once, before the first `arm`."""
        self.tick = int(now // TICK_MS)

    def arm(self, item: Item, deadline: Ms) -> None:
        """Have the item come up at its deadline or up to one tick later; NEVER leaves it as it is."""
        if deadline == NEVER:
            return
        due = -int(-deadline // TICK_MS)
        if due <= self.tick:
            due = self.tick + 1
        elif due >= self.tick + SLOTS:
            due = self.tick + SLOTS - 1
        if item.armed_tick and item.armed_tick <= due:
            return
        self.live += item.armed_tick == 0
        item.armed_tick = due
        self._slots[due % SLOTS].append(item)

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
        if (
            target - self.tick > SLOTS
        ):  # the loop stood still for longer than a turn: every slot once is enough
            self.tick = target - SLOTS
        self.tick += 1
        slot = self.tick % SLOTS
        self._rest, self._slots[slot] = self._slots[slot], []
        self._rest.reverse()  # in place, to be taken from its end: a herd's slot is not copied

    def _serve(self, due: list[Item], most: int) -> None:
        for _ in range(min(most, len(self._rest))):
            item = self._rest.pop()
            if 0 < item.armed_tick <= self.tick:
                item.armed_tick = 0
                self.live -= 1
                due.append(item)
