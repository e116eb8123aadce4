"""How late the event loop runs what is due: one timer that compares when it was wanted with when it came."""

import asyncio

from relay.core.moments import Ms

EVERY_S = 0.25


class LoopLag:
    """Measures while started. `lag_ms` is the worst of the last two measurements, so that one scrape sees a stall."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._last_ms: Ms = 0
        self._before_ms: Ms = 0

    def start(self) -> None:
        self._arm(self._loop.time())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def lag_ms(self) -> Ms:
        """Milliseconds; counts a tick that is overdue right now."""
        overdue_ms = (self._loop.time() - self._due_s) * 1000 if self._timer is not None else 0
        return max(overdue_ms, self._last_ms, self._before_ms, 0)

    def _arm(self, now_s: float) -> None:
        self._due_s = now_s + EVERY_S
        self._timer = self._loop.call_at(self._due_s, self._tick)

    def _tick(self) -> None:
        now_s = self._loop.time()
        self._before_ms, self._last_ms = self._last_ms, (now_s - self._due_s) * 1000
        self._arm(now_s)
