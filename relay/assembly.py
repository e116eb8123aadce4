"""The relay without its doors: outbox, platforms, river and orders, built from settings in the order they depend.

    outbox ◄── record ── flow ◄── carrier ◄── throttle ──► gateway
                          ▲
                        orders

The server (`relay.app`) puts listeners before it; the in-process broadcaster (`relay.broadcaster`) uses it as it is.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

from relay.carrier import Carrier
from relay.core.endpoint import Circuit, Standing
from relay.core.ids import uuid7
from relay.core.indicator import SessionKey
from relay.core.moments import NEVER, Ms, UnixMs
from relay.errors import SettingsError
from relay.flow import DRAIN_S, Flow, Platform, Surroundings
from relay.gateway.kinds import capabilities_of, gateway_of
from relay.gateway.port import Gateway, HealthState
from relay.gateway.throttle import Throttle
from relay.observe.health import Check
from relay.observe.metrics import Metrics
from relay.observe.observer import Observer
from relay.observe.series import (
    ATTEMPT_SECONDS,
    ATTEMPTS,
    COMMIT_ROWS,
    COMMIT_SECONDS,
    ENDPOINT_CIRCUIT,
    ENDPOINT_DISABLED,
    ENDPOINT_PAUSED,
    LANE_FAULTS,
    LIMITER_HEADROOM,
    NOT_RECORDED,
    SESSIONS,
)
from relay.orders import Orders
from relay.outbox.outbox import Outbox
from relay.outbox.store import Listener
from relay.settings.gateway import Gateway as GatewaySettings
from relay.settings.models import Settings

DELIVERY_DRAIN_S = 5.0
"""How long callbacks on their way may take at a shutdown; the rest stays pending, and leaves at the next start."""


NO_GATEWAY = (
    "no gateway is configured: set GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET, or a [gateways.NAME] table"
)


def unix_ms() -> UnixMs:
    return time.time_ns() // 1_000_000


def surroundings(wall: Callable[[], UnixMs]) -> Surroundings:
    """The real world, on the running loop's clock."""
    loop = asyncio.get_running_loop()
    return Surroundings(
        now=lambda: loop.time() * 1000,
        wall=wall,
        jitter=random.random,
        # It names a row and guards nothing; a system call for it was 3 % of a busy relay's loop.
        audit_id=lambda: uuid7(wall(), random.getrandbits(74)),
    )


@dataclass(slots=True)
class _Joined:
    """One platform while it is being built: the throttle carries what the carrier, made last, knows how to."""

    gateway: Gateway
    throttle: Throttle


class Assembly:
    """Make it with `open`; then `start`, and in the end `drain` and `close`, each once."""

    def __init__(self, settings: Settings, outbox: Outbox, metrics: Metrics, world: Surroundings) -> None:
        self.settings = settings
        self.outbox = outbox
        self.metrics = metrics
        self.observer = Observer(metrics, settings.gateways)
        self._joined = {name: self._join(name, one, world) for name, one in settings.gateways.items()}
        self.flow = Flow(
            {
                name: Platform(one.gateway, one.throttle, settings.timings_of(name))
                for name, one in self._joined.items()
            },
            settings.typing.timings(),
            record=outbox.append,
            world=world,
            watch=self.observer,
            max_sessions=settings.server.max_sessions,
            source_caps=source_caps(settings),
            gate_at=_first_send_at(outbox.last_alive, world, settings),
            trusted_clocks=trusted_clocks(settings),
        )
        self._carrier = Carrier(self.flow)
        self.orders = Orders(self.flow, self._carrier)
        metrics.watch(
            SESSIONS, lambda: {(k.value,): float(n) for k, n in self.flow.sessions.by_state.items()}
        )
        metrics.watch(LIMITER_HEADROOM, self._headroom)
        metrics.watch(ENDPOINT_DISABLED, self._disabled)
        metrics.watch(ENDPOINT_PAUSED, self._paused)
        metrics.watch(ENDPOINT_CIRCUIT, self._circuits)

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        metrics: Metrics | None = None,
        wall: Callable[[], UnixMs] = unix_ms,
        inline: bool = False,
    ) -> Self:
        """Takes the outbox file and tells trackers of the sessions a dead process left open (committed on return).

        Raises SettingsError, StoreError.
        """
        if not settings.gateways:
            raise SettingsError(NO_GATEWAY)
        metrics = metrics or Metrics()
        outbox = await Outbox.open(
            settings.outbox,
            settings.endpoints,
            settings.audit,
            wall=wall,
            inline=inline,
            listener=_listener(metrics, settings.endpoints),
        )
        try:
            await outbox.close_open_sessions()
            return cls(settings, outbox, metrics, surroundings(wall))
        except BaseException:
            await outbox.close()  # the file is held for life, and this life ends here
            raise

    async def start(self) -> None:
        for one in self._joined.values():
            await one.gateway.start()
            one.throttle.start()
        await self.outbox.start()

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Refuse what comes; stop every open session, recorded; tell the platform and the trackers while time lasts."""
        await self.flow.drain(timeout_s)
        await self.outbox.drain(DELIVERY_DRAIN_S)

    async def close(self) -> None:
        for one in self._joined.values():
            await one.throttle.close()
            await one.gateway.close()
        await self.outbox.close()

    def checks(self) -> tuple[Check, ...]:
        """What readiness needs of the outbox and of each platform."""
        trouble = self.outbox.trouble
        return (
            Check("outbox", trouble is None, trouble or ""),
            *(_gateway_check(name, one.gateway) for name, one in self._joined.items()),
        )

    def _join(self, name: str, settings: GatewaySettings, world: Surroundings) -> _Joined:
        throttle = Throttle(
            name,
            self._carry,
            rate_per_minute=settings.rate_per_minute,
            burst=settings.burst,
            carriers=settings.carriers,
            has_stops=capabilities_of(settings).can_stop,
        )
        gateway = gateway_of(
            name, settings, permit=throttle.permit, cool_off=throttle.cool_off, wall=world.wall
        )
        return _Joined(gateway, throttle)

    async def _carry(self, key: SessionKey) -> None:
        await self._carrier.carry(key)

    def _disabled(self) -> dict[tuple[str, ...], float]:
        standings = self.outbox.endpoints.standings
        return {(name,): float(standing is Standing.DISABLED) for name, standing in standings.items()}

    def _paused(self) -> dict[tuple[str, ...], float]:
        standings = self.outbox.endpoints.standings
        return {(name,): float(standing is Standing.PAUSED) for name, standing in standings.items()}

    def _circuits(self) -> dict[tuple[str, ...], float]:
        found = self.outbox.endpoints.circuits
        return {
            (name, one.value): float(one is circuit) for name, circuit in found.items() for one in Circuit
        }

    def _headroom(self) -> dict[tuple[str, ...], float]:
        return {
            (name,): one.throttle.headroom / self.settings.gateways[name].burst
            for name, one in self._joined.items()
        }


def trusted_clocks(settings: Settings) -> frozenset[str]:
    """The sources whose own times order their events."""
    return frozenset(name for name, source in settings.sources.items() if source.clock == "trusted")


def source_caps(settings: Settings) -> dict[str, int]:
    """How many sessions each source may have opened."""
    return {name: source.max_sessions for name, source in settings.sources.items()}


def _gateway_check(name: str, gateway: Gateway) -> Check:
    """Only a gateway that cannot log in or may not type makes the relay not ready. Whatever else it tells is a reason."""
    health = gateway.health()
    return Check(f"gateway {name}", health.state is not HealthState.DEGRADED, health.reason)


def _first_send_at(last_alive: UnixMs | None, world: Surroundings, settings: Settings) -> Ms:
    """When a process before us can no longer have a call on its way, plus the interval; at once for a new file."""
    if last_alive is None:
        return -NEVER
    timings = [settings.timings_of(name) for name in settings.gateways]
    ago_ms = max(world.wall() - last_alive, -max(one.min_interval_ms for one in timings))
    return world.now() - ago_ms + max(one.restart_ms for one in timings)


def _listener(metrics: Metrics, endpoints: Iterable[str]) -> Listener:
    rows, seconds = metrics.histogram(COMMIT_ROWS), metrics.histogram(COMMIT_SECONDS)
    for name in endpoints:
        metrics.expect(ATTEMPTS, name)
        metrics.counter(LANE_FAULTS, name)

    def attempted(endpoint: str, outcome: str, latency_ms: Ms) -> None:
        metrics.counter(ATTEMPTS, endpoint, outcome).value += 1
        metrics.histogram(ATTEMPT_SECONDS, endpoint).observe(latency_ms / 1000)

    def committed(count: int, took_ms: Ms) -> None:
        rows.observe(count)
        seconds.observe(took_ms / 1000)

    def refused(reason: str) -> None:
        metrics.counter(NOT_RECORDED, reason).value += 1

    def faulted(endpoint: str) -> None:
        metrics.counter(LANE_FAULTS, endpoint).value += 1

    return Listener(on_attempt=attempted, on_commit=committed, on_refused=refused, on_lane_failure=faulted)
