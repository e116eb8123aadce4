"""A relay beside a bot, in one process and on the loop's clock: real doors on loopback, a real river, a stand-in
platform. What the doors take is kept, and goes on into the river."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from relay.client import RelayClient
from relay.core.activity import Activity
from relay.core.indicator import Indicator
from relay.core.moments import Ms
from tests.flow.river import River, river
from tests.ingest.house import SESSION, House, opened, sure

GUEST = "guest-17"
KEY = sure().key

__all__ = ["GUEST", "KEY", "SESSION", "Beside", "beside", "relay_beside"]


class Onward(list[Activity]):
    """What the doors took; each batch goes on into the river."""

    def __init__(self, river: River) -> None:
        super().__init__()
        self._river = river
        self.at: list[Ms] = []

    def extend(self, activities: Iterable[Activity]) -> None:
        batch = list(activities)
        super().extend(batch)
        self.at += [asyncio.get_running_loop().time() * 1000 - self._river.began] * len(batch)
        self._river.flow.accept(batch)


@dataclass
class Beside:
    house: House
    river: River
    taken: Onward
    dark: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.house.base_url

    def kinds(self) -> list[str]:
        return [one.kind.value for one in self.taken]

    def timed(self) -> list[tuple[int, str]]:
        """(seconds since the beginning, what was said), to the nearest one."""
        return [(round(at / 1000), one.kind.value) for at, one in zip(self.taken.at, self.taken, strict=True)]

    def sees(self) -> str | None:
        """What the guest sees now."""
        shown = self.river.platform.visible(SESSION)
        return None if shown in {None, Indicator.STOPPED} else str(shown)

    async def watched(self, seconds: float, *, every_s: float = 0.1) -> list[str | None]:
        """What the guest sees, looked at ten times a second."""
        seen = []
        for _ in range(round(seconds / every_s)):
            seen.append(self.sees())
            await asyncio.sleep(every_s)
        return seen


@asynccontextmanager
async def relay_beside() -> AsyncIterator[Beside]:
    async with river() as running, opened() as house:
        house.taken = onward = Onward(running)
        yield Beside(house, running, onward)


@asynccontextmanager
async def beside(*, strict: bool = False) -> AsyncIterator[tuple[Beside, RelayClient]]:
    """The relay and a client of it."""
    async with relay_beside() as relay, RelayClient(relay.url, KEY, strict=strict) as client:
        yield relay, client
