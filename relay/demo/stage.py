"""Everybody on one loop: a relay between a stand-in platform and a tracker, on free loopback ports.

async with raised(chaos, speed=20) as stage: …        the outbox lives in a temporary folder, gone at the end
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from tempfile import TemporaryDirectory

from pydantic import SecretStr

from relay import app
from relay.core.delivery import State
from relay.core.destination import LOOPBACK
from relay.core.indicator import Indicator
from relay.core.moments import Ms
from relay.core.pacer import is_unsettled
from relay.demo.books import Books
from relay.demo.clock import hurried_wall
from relay.errors import Unavailable
from relay.outbox.rows import Depth
from relay.sandbox.chaos import Chaos
from relay.sandbox.platform import StandInPlatform
from relay.sandbox.tracker import Tracker
from relay.settings.endpoint import Endpoint
from relay.settings.gateway import Gateway
from relay.settings.models import Operations, Outbox, Server, Settings

QUIET_S = 120.0
"""The longest wait for quiet: silence, a stop's three tries and their waits, and a callback's first retries."""

LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Stage:
    """The relay and those around it, all serving. Make it with `raised`."""

    relay: app.Relay
    platform: StandInPlatform
    tracker: Tracker
    books: Books

    def now(self) -> Ms:
        return self.relay.assembly.flow.world.now()

    async def depth(self) -> Depth:
        return await self.relay.assembly.outbox.depth()

    async def quiet(self, *, within_s: float = QUIET_S) -> bool:
        """Wait until no session is open, the platform owes no answer and no callback is on its way; False if never.

        Seen twice in a row: an answer may be on its way between the two.
        """
        until, times = self.now() + within_s * 1000, 0
        while times < 2:
            if self.now() >= until:
                return False
            await asyncio.sleep(LOOK_S)
            times = times + 1 if await self._is_quiet() else 0
        return True

    async def _is_quiet(self) -> bool:
        now = self.now()
        for session in self.relay.assembly.flow.sessions.awake():
            if session.stated is not Indicator.STOPPED or is_unsettled(session.pacer, now, session.reach):
                return False
        with suppress(
            Unavailable
        ):  # what a full disk has lost is not on its way any more: the summary tells it
            await (
                self.relay.assembly.outbox.flush()
            )  # a fact on its way to the disk is neither here nor there
        by_state = (await self.depth()).by_state
        return not (by_state.get(State.PENDING) or by_state.get(State.INFLIGHT))


@asynccontextmanager
async def raised(chaos: Chaos, *, speed: float) -> AsyncIterator[Stage]:
    """Belongs on a loop of that speed (`relay.demo.clock`). Raises SettingsError, StoreError."""
    books, wall, secret = Books(), hurried_wall(speed), f"whsec_{b64encode(token_bytes(32)).decode()}"
    with TemporaryDirectory(prefix="typing-relay-demo-") as folder:
        async with (
            StandInPlatform(chaos, wall=wall, on_arrival=books.arrived) as platform,
            Tracker([secret], wall=wall, on_received=books.received) as tracker,
        ):
            relay = await app.start(_settings(platform, tracker, secret, Path(folder)), wall=wall)
            try:
                yield Stage(relay, platform, tracker, books)
            finally:
                await relay.stop()


def session_ids(many: int) -> Sequence[str]:
    """As many UUIDs, the same every time."""
    return [f"00000000-0000-4000-8000-{number:012d}" for number in range(1, many + 1)]


def _settings(platform: StandInPlatform, tracker: Tracker, secret: str, folder: Path) -> Settings:
    identity = platform.identity
    return Settings(
        server=Server(port=0),
        operations=Operations(port=0),
        gateways={
            "guest": Gateway(
                base_url=platform.base_url,
                client_id=identity.client_id,
                client_secret=SecretStr(identity.client_secret),
            )
        },
        endpoints={"tracker": Endpoint(url=tracker.url, secrets=(SecretStr(secret),), allow_cidrs=LOOPBACK)},
        outbox=Outbox(path=folder / "demo.db"),
    )
