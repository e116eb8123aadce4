"""All endpoints' lanes: started together, woken by name, stopped together; none can hold up another."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from relay.core.backoff import JITTER
from relay.core.endpoint import Circuit, Failing, Standing
from relay.core.moments import Ms, UnixMs
from relay.core.why import Holding
from relay.outbox.gate import Gate
from relay.outbox.lane import Lane
from relay.outbox.places import Places
from relay.outbox.rows import Attempt
from relay.outbox.store import Listener, OutboxStore
from relay.outbox.webhook import Letter, Target, Webhook

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

        self._webhook = partial(Webhook, wall=wall, now=now)
        self._gates = {
            name: Gate(name, rate_per_s=target.rate_per_s, now=now, wall=wall)
            for name, target in targets.items()
        }
        self._lanes = {
            name: Lane(
                name,
                self._webhook(target),
                self._gates[name],
                store,
                target=target,
                places=places,
                wall=wall,
                jitter=jitter,
                listener=listener,
            )
            for name, target in targets.items()
        }

    def start(self, *, stopped: Mapping[str, tuple[Standing, str]] | None = None) -> None:
        """Starts every lane; those of `stopped` endpoints, each with its standing and why, claim nothing until resumed."""
        for name, (standing, why) in (stopped or {}).items():
            self.halt(name, standing, why)
        for lane in self._lanes.values():
            lane.start()

    def wake(self, endpoints: Iterable[str]) -> None:
        """These have something new to claim."""
        for name in endpoints:
            if lane := self._lanes.get(name):
                lane.wake()

    def halt(self, endpoint: str, standing: Standing, why: str) -> None:
        """Nothing more of it is claimed until `resume`."""
        if lane := self._lanes.get(endpoint):
            lane.halt(standing, why)

    def resume(self, endpoint: str) -> None:
        if lane := self._lanes.get(endpoint):
            lane.resume()

    def prepared(self, targets: Mapping[str, Target]) -> Callable[[], None]:
        """What lets these lanes send like this from now on. Raises ValueError where a target's url cannot be used."""
        webhooks = {name: self._webhook(target) for name, target in targets.items()}

        def take() -> None:
            for name, webhook in webhooks.items():
                self._lanes[name].retarget(webhook, targets[name])

        return take

    async def test(self, endpoint: str, letter: Letter) -> Attempt:
        """Sends this now, and books it nowhere. Raises KeyError for an unknown endpoint, Rejected as `Lane.test`."""
        return await self._lanes[endpoint].test(letter)

    @property
    def standings(self) -> dict[str, Standing]:
        return {name: gate.standing for name, gate in self._gates.items()}

    @property
    def circuits(self) -> dict[str, Circuit]:
        return {name: gate.circuit for name, gate in self._gates.items()}

    @property
    def failing(self) -> dict[str, Failing]:
        """Those whose last attempt failed."""
        return {name: gate.failing for name, gate in self._gates.items() if gate.failing}

    @property
    def holdings(self) -> dict[str, Holding]:
        """What keeps each endpoint's deliveries back now, but for its standing."""
        return {name: lane.holding for name, lane in self._lanes.items()}

    async def stop(self, timeout_s: float) -> None:
        """What is due and what is on its way has `timeout_s` to be delivered; the rest stays pending."""
        await asyncio.gather(*(lane.stop(timeout_s) for lane in self._lanes.values()))
