"""All endpoints' lanes: started together, woken by name, stopped together; none can hold up another."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping

from relay.core.backoff import JITTER
from relay.core.moments import Ms, UnixMs
from relay.outbox.lane import Lane
from relay.outbox.places import Places
from relay.outbox.store import Listener, OutboxStore
from relay.outbox.webhook import Target, Webhook

MOST_AT_ONCE = 256
"""Deliveries on their way over all endpoints: bounds sockets and memory, whatever the configuration's sum."""


def chance() -> float:
    """Chance's share of a wait."""
    return random.uniform(0, JITTER)  # noqa: S311 - spreads load, guards nothing


class Dispatcher:
    """Delivers from a store to its targets."""

    def __init__(
        self,
        store: OutboxStore,
        targets: Mapping[str, Target],
        *,
        wall: Callable[[], UnixMs],
        listener: Listener,
        jitter: Callable[[], float] = chance,
        most_at_once: int = MOST_AT_ONCE,
    ) -> None:
        """Must be made on the event loop. Raises ValueError where a target's url cannot be used."""
        loop = asyncio.get_running_loop()
        places = Places(most_at_once)

        def now() -> Ms:
            return loop.time() * 1000

        self._lanes = {
            name: Lane(
                name,
                Webhook(target, wall=wall, now=now),
                store,
                concurrency=target.concurrency,
                timeout_s=target.timeout_s,
                terms=target.terms,
                places=places,
                wall=wall,
                jitter=jitter,
                listener=listener,
            )
            for name, target in targets.items()
        }

    def start(self, *, disabled: frozenset[str]) -> None:
        """Starts every lane; those of disabled endpoints claim nothing until enabled."""
        for name, lane in self._lanes.items():
            lane.start(is_disabled=name in disabled)

    def wake(self, endpoints: Iterable[str]) -> None:
        """These have something new to claim."""
        for name in endpoints:
            if lane := self._lanes.get(name):
                lane.wake()

    def enable(self, endpoint: str) -> None:
        if lane := self._lanes.get(endpoint):
            lane.enable()

    @property
    def disabled(self) -> frozenset[str]:
        """The endpoints whose lanes claim nothing."""
        return frozenset(name for name, lane in self._lanes.items() if lane.is_disabled)

    async def stop(self, timeout_s: float) -> None:
        """What is due and what is on its way has `timeout_s` to be delivered; the rest stays pending."""
        await asyncio.gather(*(lane.stop(timeout_s) for lane in self._lanes.values()))
