"""Notices when the wall clock is set back: what is due by it would else wait for the time that it was set by."""

from collections.abc import Callable

from relay.core.moments import UnixMs

STEP_MS: UnixMs = 1000
"""Less is a clock being slewed, or our own turn coming late; a delivery due a second late is no harm."""


class Step:
    """Holds the wall clock beside the loop's, which only ever goes on."""

    def __init__(self, *, wall: Callable[[], UnixMs], loop_s: Callable[[], float]) -> None:
        self._wall = wall
        self._loop_s = loop_s
        self._ahead_ms = self._now_ahead_ms()

    def fell_ms(self) -> UnixMs:
        """By how much the wall clock was set back, until that is `made_good`; 0 if by `STEP_MS` or less."""
        ahead_ms = self._now_ahead_ms()
        fell = self._ahead_ms - ahead_ms
        if fell > STEP_MS:
            return fell
        self._ahead_ms = ahead_ms
        return 0

    def made_good(self, fell_ms: UnixMs) -> None:
        self._ahead_ms -= fell_ms

    def _now_ahead_ms(self) -> UnixMs:
        return self._wall() - round(self._loop_s() * 1000)
