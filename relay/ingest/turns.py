"""Who of the streams that share rates is read next: one frame each, in the order they asked, as soon as the rates permit.

    frame ─► nobody waits, and the rates permit ─► at once
      └────► last in line ── one timer for all of them ─► the first, and whoever may go with it

Streams that wait each for themselves compute the same moment, wake together, and one of them passes: 400 of them
at 50 frames a second took a third of a processor for that, and no order.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from relay.core.moments import Ms
from relay.ingest.rates import Rates

_LONGEST_NAP_S = 60.0
"""Then the rates are asked anew: the settings may have raised them."""

Turn = asyncio.Future[None]


class Turns:
    """One line before one owner's rates. It is never longer than the streams are many: each asks for one turn."""

    __slots__ = ("_line", "_now", "_rates", "_timer")

    def __init__(self, rates: Rates, now: Callable[[], Ms]) -> None:
        self._rates = rates
        self._now = now
        self._line: OrderedDict[Turn, int] = OrderedDict()  # a turn given up leaves from the middle
        self._timer: asyncio.TimerHandle | None = None

    def is_taken(self, size_bytes: int) -> bool:
        """True if a frame of this size may pass now; then it is booked. Else `join` the line."""
        return not self._line and self._rates.is_frame_taken(size_bytes, self._now())

    def room(self) -> tuple[int, int]:
        """How many frames, and of how many bytes together, may pass now: none where others wait. `book` those that do."""
        return (0, 0) if self._line else self._rates.frame_room(self._now())

    def book(self, count: int, size_bytes: int) -> None:
        """Frames for which there was room."""
        self._rates.book_frames(count, size_bytes, self._now())

    def join(self, size_bytes: int) -> Turn:
        """A future that is done when the frame may pass, booked by then; `leave` it, whatever comes of it."""
        turn = asyncio.get_running_loop().create_future()
        self._line[turn] = size_bytes
        if self._timer is None:
            self._call_up()
        return turn

    def leave(self, turn: Turn) -> None:
        """Nothing, where its turn came; else the others move up."""
        self._line.pop(turn, None)

    def book_events(self, count: int) -> None:
        """Found in a frame that passed: the next one waits for them."""
        self._rates.book_events(count, self._now())

    def _call_up(self) -> None:
        self._timer = None
        while self._line:
            turn, size_bytes = next(iter(self._line.items()))
            if wait := self._wait_ms(size_bytes):
                nap_s = min(wait / 1000, _LONGEST_NAP_S)
                self._timer = asyncio.get_running_loop().call_later(nap_s, self._call_up)
                return
            del self._line[turn]
            if not turn.done():
                self._rates.book_frames(1, size_bytes, self._now())
                turn.set_result(None)

    def _wait_ms(self, size_bytes: int) -> Ms:
        return self._rates.frame_wait_ms(size_bytes, self._now())
