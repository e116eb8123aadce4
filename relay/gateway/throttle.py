"""One identity's budget: who may make the next request, and when. The only door to aiolimiter.

    mark(key, rank) ──► waiting ─┐               ┌─ any work: 9/10 of the rate ─┐  pop the best
                                 ├─► open gate ──┤                              ├────────────────► carry(key), a slot
    permit(rank) ─────► asking ──┘  (cool-off)   └─ stops only: 1/10 ───────────┘  only now          or a permit

A key waits as one mark, never with a payload: what to send is chosen by `carry`, after the permit. Each limiter has
one caller, which acquires only what is free and sleeps by itself until then: aiolimiter is not fair among several
waiters (a newcomer overtakes the one just woken), its heap of them is dear at thousands, and a waiter woken a rounding
error early is woken again at the same instant, on a virtual clock for ever. So a permit is never taken before it can
be used. One asked for by a call that holds a slot already (a probe) needs no second slot, else sixteen first
indicators would wait for each other.
"""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from aiolimiter import AsyncLimiter

from relay.core.budget import Share, shares
from relay.core.cooloff import CoolOffGate
from relay.core.indicator import Rank, SessionKey
from relay.core.lanes import Lanes
from relay.core.moments import Ms

logger = logging.getLogger("relay.gateway")

CARRIERS = 16

SHORTEST_SLEEP_S = 0.001
"""The event loop's own grain: a rest of rounding would be slept for again and again without the clock moving."""


@dataclass(slots=True)
class Lane:
    """One share of the budget and the limiter that keeps it. `max_rank`: the least urgent work it serves."""

    max_rank: Rank
    share: Share
    limiter: AsyncLimiter
    has_news: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, max_rank: Rank, share: Share) -> Self:
        return cls(max_rank, share, AsyncLimiter(share.burst, share.period_s))

    @property
    def free_permits(self) -> int:
        """How many could be taken at once. The limiter tells only yes or no, so it is asked by halves."""
        amounts = range(1, self.share.burst + 1)
        return bisect_right(amounts, 0, key=lambda amount: 0 if self.limiter.has_capacity(amount) else 1)

    def next_permit_s(self) -> float:
        """Seconds until there is a permit, 0 if there is one now; never too short by more than rounding."""
        if self.limiter.has_capacity():
            return 0.0
        free, more = 0.0, 1.0
        for _ in range(20):  # to a millionth of a permit
            middle = (free + more) / 2
            free, more = (middle, more) if self.limiter.has_capacity(middle) else (free, middle)
        return max(SHORTEST_SLEEP_S, (1 - free) * self.share.period_s / self.share.burst)


class Throttle:
    """Carries marked keys as the budget allows, at most `carriers` at once and never one key twice at once.

    `start` must be called inside the loop it will live on. `carry(key)` runs in a named task that the throttle
    owns; it should not raise (if it does, the fault is logged and the slot is free again). `has_stops`: a tenth of
    the budget is kept for stops; where there are none, there is nothing to keep.
    """

    def __init__(
        self,
        name: str,
        carry: Callable[[SessionKey], Awaitable[None]],
        *,
        rate_per_minute: int,
        burst: int,
        carriers: int = CARRIERS,
        has_stops: bool = True,
    ) -> None:
        self._name = name
        self._carry = carry
        self._carriers = carriers
        self._gate = CoolOffGate()
        self._waiting: Lanes[SessionKey] = Lanes()
        self._asking: Lanes[asyncio.Future[None]] = Lanes()
        self._carried: dict[SessionKey, asyncio.Task[None]] = {}
        self._again: dict[SessionKey, Rank] = {}
        self._is_closed = False
        self._lanes = _lanes(rate_per_minute, burst, has_stops=has_stops)
        self._servers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to serve; marks made before are kept."""
        self._servers = [
            asyncio.create_task(
                self._serve(lane), name=f"throttle {self._name}: {lane.max_rank.name.lower()}"
            )
            for lane in self._lanes
        ]

    async def close(self) -> None:
        """Stop serving, and cancel what is being carried."""
        self._is_closed = True
        tasks = [*self._servers, *self._carried.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- work ------------------------------------------------------------------------------------------------

    def mark(self, key: SessionKey, rank: Rank) -> None:
        """`key` has something to send of `rank`; while it is being carried, once more afterwards."""
        if self._is_closed:
            return
        if key in self._carried:
            self._again[key] = rank
            return
        self._waiting.mark(key, rank)
        if self._has_slot():  # else the slot's next owner is chosen when it is free
            self._wake(rank)

    def unmark(self, key: SessionKey) -> None:
        """`key` has nothing to send any more; a carry under way goes on."""
        self._again.pop(key, None)
        self._waiting.discard(key)

    async def permit(self, rank: Rank, deadline_ms: Ms) -> bool:
        """Take one request from the budget, in turn with the marks of its rank; False if none came in time."""
        if self._is_closed:
            return False
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asking.mark(asked, rank)
        self._wake(rank)
        try:
            async with asyncio.timeout_at(deadline_ms / 1000):
                await asked
        except TimeoutError:
            return False
        finally:
            self._asking.discard(asked)
        return True

    def cool_off(self, until_ms: Ms) -> None:
        """Serve nothing, stops neither, before `until_ms` on the loop's clock."""
        self._gate.close(until_ms)

    # -- for metrics -----------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Keys that wait, those being carried not counted."""
        return len(self._waiting) + len(self._asking) + len(self._again)

    @property
    def headroom(self) -> int:
        """Requests that could be made at once."""
        return sum(lane.free_permits for lane in self._lanes)

    # -- serving ---------------------------------------------------------------------------------------------

    async def _serve(self, lane: Lane) -> None:
        while True:
            while not self._has_work(lane.max_rank):
                lane.has_news.clear()
                await lane.has_news.wait()  # for as long as there is nothing to do
            wait_s = max(self._gate.wait_ms(self._now()) / 1000, lane.next_permit_s())
            if wait_s > 0:
                await asyncio.sleep(max(wait_s, SHORTEST_SLEEP_S))
                continue  # the gate may have closed meanwhile, the work may be gone
            # At once: there is a permit, and nobody else takes from this limiter.
            await lane.limiter.acquire()
            self._serve_best(lane.max_rank)

    def _has_work(self, max_rank: Rank) -> bool:
        return self._asking.has(max_rank) or (self._has_slot() and self._waiting.has(max_rank))

    def _has_slot(self) -> bool:
        return len(self._carried) < self._carriers

    def _serve_best(self, max_rank: Rank) -> None:
        asked, marked = self._asking.best(), self._waiting.best() if self._has_slot() else None
        # Equal ranks: what is under way first, it holds a slot.
        if asked is not None and (marked is None or asked <= marked):
            granted = self._asking.pop(max_rank)
            if granted is not None and not granted.done():
                granted.set_result(None)
        elif marked is not None:
            key = self._waiting.pop(max_rank)
            if key is not None:
                self._start(key)

    def _start(self, key: SessionKey) -> None:
        task = asyncio.create_task(self._run(key), name=f"carry {self._name}")
        self._carried[key] = task

    async def _run(self, key: SessionKey) -> None:
        try:
            await self._carry(key)
        except Exception:
            # One session's fault must not end the others' service; CancelledError passes.
            logger.exception("carry failed", extra={"fields": {"gateway": self._name, "session_id": key[1]}})
        finally:
            self._carried.pop(key, None)
            rank = self._again.pop(key, None)
            if rank is not None:
                self.mark(key, rank)
            best = self._waiting.best()
            if best is not None:
                self._wake(best)

    def _wake(self, rank: Rank) -> None:
        for lane in self._lanes:
            if rank <= lane.max_rank:
                lane.has_news.set()

    def _now(self) -> Ms:
        return asyncio.get_running_loop().time() * 1000


def _lanes(rate_per_minute: int, burst: int, *, has_stops: bool) -> tuple[Lane, ...]:
    if not has_stops:
        return (Lane.of(Rank.PAUSE, Share(rate_per_minute, burst)),)
    any_work, stops = shares(rate_per_minute, burst)
    return (Lane.of(Rank.PAUSE, any_work), Lane.of(Rank.STOP, stops))
