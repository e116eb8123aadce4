"""A gateway with its throttle against the stand-in platform, joined as the application joins them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relay.core.indicator import Address, Cause, Indicator, Rank, Wish
from relay.core.moments import Ms, UnixMs
from relay.core.outcome import Outcome
from relay.gateway.guest import GuestGateway
from relay.gateway.throttle import Throttle
from relay.sandbox.chaos import Chaos
from relay.sandbox.platform import StandInPlatform
from relay.settings.gateway import Gateway as GatewaySettings

CALM = Chaos.none()
START = Wish(Indicator.TYPING, 3000, Cause.START)
STOP = Wish(Indicator.STOPPED, 3000, Cause.STOP)


def now_ms() -> Ms:
    return asyncio.get_running_loop().time() * 1000


def address(number: int = 1, *, guest_id: str | None = None) -> Address:
    return Address(str(UUID(int=number)), guest_id if guest_id is not None else f"guest-{number}")


def settings_for(
    base_url: str, **changes: Any
) -> GatewaySettings:  # the settings' own types check the changes
    known = {"base_url": base_url, "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    return GatewaySettings.model_validate(known | changes)


@dataclass
class Rig:
    platform: StandInPlatform
    gateway: GuestGateway
    permits: list[Rank]
    cooled_until: list[Ms]

    async def show(self, number: int = 1, wish: Wish = START, *, within_ms: Ms = 2000) -> Outcome:
        return await self.gateway.show(address(number), wish, deadline_ms=now_ms() + within_ms)


@asynccontextmanager
async def rig(
    chaos: Chaos = CALM,
    *,
    wall: Callable[[], UnixMs] = lambda: time.time_ns() // 1_000_000,
    base_url: str | None = None,
    **changes: Any,  # as in `settings_for`
) -> AsyncIterator[Rig]:
    """A started gateway whose budget grants everything and whose cool-off gate only takes note."""
    permits: list[Rank] = []
    cooled_until: list[Ms] = []

    async def permit(rank: Rank, _deadline_ms: Ms) -> bool:
        permits.append(rank)
        return True

    async with StandInPlatform(chaos) as platform:
        gateway = GuestGateway(
            "guest",
            settings_for(base_url or platform.base_url, **changes),
            permit=permit,
            cool_off=cooled_until.append,
            wall=wall,
        )
        await gateway.start()
        try:
            yield Rig(platform, gateway, permits, cooled_until)
        finally:
            await gateway.close()


@asynccontextmanager
async def throttled(
    carry: Callable[[tuple[str, str]], Any],
    **options: Any,  # the throttle's own
) -> AsyncIterator[Throttle]:
    throttle = Throttle("guest", carry, **{"rate_per_minute": 300, "burst": 20, **options})
    throttle.start()
    try:
        yield throttle
    finally:
        await throttle.close()
