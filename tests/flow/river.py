"""The river between a caller and the stand-in platform, without sockets in front: real gateway, real throttle."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr

from relay.carrier import Carrier
from relay.core.activity import Activity, Kind
from relay.core.engagement import Broadcast, Fact, Suppressed, Transition
from relay.core.indicator import Address, Indicator, SessionKey
from relay.core.moments import NEVER, Ms
from relay.core.timings import Timings
from relay.errors import OutboxFull
from relay.flow import Flow, Platform, Recording, Surroundings
from relay.gateway.guest import GuestGateway
from relay.gateway.throttle import Throttle
from relay.observe.metrics import Metrics
from relay.observe.observer import Observer
from relay.orders import Orders, Result
from relay.sandbox.arrivals import Arrival
from relay.sandbox.chaos import Chaos, Forced
from relay.sandbox.platform import StandInPlatform
from relay.settings.gateway import Gateway as GatewaySettings

SESSION = "5f0c2f9e-8a52-4d7e-9d3a-0123456789ab"
ADDRESS = Address(SESSION, "guest-17")
KEY: SessionKey = ("guest", SESSION)


def now_ms() -> Ms:
    return asyncio.get_running_loop().time() * 1000


@dataclass
class River:
    """What a test says and asks; times are milliseconds since the river began."""

    flow: Flow
    orders: Orders
    gateway: GuestGateway
    throttle: Throttle
    platform: StandInPlatform
    observer: Observer
    metrics: Metrics
    facts: list[Fact] = field(default_factory=list)
    is_full: bool = False
    began: Ms = field(default_factory=now_ms)

    def act(self, kind: Kind, actor: str = "agent-7", address: Address = ADDRESS, **more: object) -> None:
        activity = Activity("guest", address, "desk", actor, kind, **more)  # type: ignore[arg-type] # a test's own keywords
        self.flow.accept([activity])

    def type(self, **more: object) -> None:
        self.act(Kind.KEYSTROKE, **more)  # type: ignore[arg-type] # as above

    async def keys(self, count: int, *, every_ms: Ms, **more: object) -> None:
        for _ in range(count):
            self.type(**more)
            await self.wait(every_ms)

    async def wait(self, ms: Ms) -> None:
        await asyncio.sleep(ms / 1000)

    async def order(self, indicator: Indicator, duration_ms: int = 3000) -> Result:
        return await self.orders.broadcast(
            KEY, ADDRESS, indicator=indicator, duration_ms=duration_ms, source="desk"
        )

    def arrivals(self) -> list[Arrival]:
        return list(self.platform.arrivals)

    def told(self) -> list[tuple[int, str]]:
        """(when, what) of every call the platform got."""
        return [(round(a.at - self.began), (a.indicator or "?").lower()) for a in self.platform.arrivals]

    def transitions(self) -> list[tuple[str, str]]:
        return [(f.state.value, f.reason.value) for f in self.facts if isinstance(f, Transition)]

    def broadcasts(self) -> list[Broadcast]:
        return [f for f in self.facts if isinstance(f, Broadcast)]

    def suppressed(self) -> list[str]:
        return [f.why for f in self.facts if isinstance(f, Suppressed)]

    def record(self, fact: Fact) -> Recording:
        if self.is_full:
            raise OutboxFull("the test's outbox is full")
        self.facts.append(fact)
        recording: Recording = asyncio.get_running_loop().create_future()
        recording.set_result(None)
        return recording


@asynccontextmanager
async def river(
    *script: Forced,
    chaos: Chaos | None = None,
    timings: Timings | None = None,
    gate_at: Ms = -NEVER,
    rate_per_minute: int = 300,
    burst: int = 20,
    max_sessions: int = 100,
    source_caps: Mapping[str, int] | None = None,
    trusted_clocks: frozenset[str] = frozenset(),
) -> AsyncIterator[River]:
    async with StandInPlatform(chaos or Chaos.none()) as platform:
        platform.mischief.force(*script)
        identity = platform.identity
        settings = GatewaySettings(
            base_url=platform.base_url,
            client_id=identity.client_id,
            client_secret=SecretStr(identity.client_secret),
            rate_per_minute=rate_per_minute,
            burst=burst,
        )

        async def carry(key: SessionKey) -> None:
            await carrier.carry(key)

        def record(fact: Fact) -> Recording:
            return it.record(fact)

        throttle = Throttle("guest", carry, rate_per_minute=rate_per_minute, burst=burst)
        gateway = GuestGateway(
            "guest",
            settings,
            permit=throttle.permit,
            cool_off=throttle.cool_off,
            wall=lambda: 1_800_000_000_000,
        )
        ids = iter(range(10_000))
        world = Surroundings(
            now=now_ms,
            wall=lambda: 1_800_000_000_000 + round(now_ms()),
            jitter=lambda: 0.0,
            audit_id=lambda: f"audit-{next(ids)}",
        )
        metrics = Metrics()
        observer = Observer(metrics, ["guest"])
        flow = Flow(
            {"guest": Platform(gateway, throttle)},
            timings or Timings(),
            record=record,
            world=world,
            watch=observer,
            max_sessions=max_sessions,
            source_caps=source_caps,
            gate_at=gate_at,
            trusted_clocks=trusted_clocks,
        )
        carrier = Carrier(flow)
        it = River(flow, Orders(flow, carrier), gateway, throttle, platform, observer, metrics)
        await gateway.start()
        throttle.start()
        try:
            yield it
        finally:
            flow.sessions.close()
            await throttle.close()
            await gateway.close()
