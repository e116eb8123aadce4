"""The operator's doors on a real socket, before a relay without its public listener."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import SecretStr

from relay import wire
from relay.assembly import Assembly
from relay.core.activity import Activity, Kind
from relay.core.delivery import LIVE
from relay.core.destination import LOOPBACK
from relay.core.indicator import Address
from relay.errors import SettingsError
from relay.observe.health import Check, Health
from relay.operate.doors import OperatorDoors
from relay.sandbox.chaos import Chaos
from relay.sandbox.platform import StandInPlatform
from relay.settings.endpoint import Endpoint
from relay.settings.gateway import Gateway
from relay.settings.models import Operations, Outbox, Settings
from tests.outbox.receiver import SECRET, Receiver, receiving

SESSION = "5f0c2f9e-8a52-4d7e-9d3a-0123456789ab"
OTHER = "6f0c2f9e-8a52-4d7e-9d3a-0123456789ab"


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def value(self) -> Any:  # Any: JSON
        return wire.loads(self.body)


@dataclass
class House:
    assembly: Assembly
    platform: StandInPlatform
    receiver: Receiver
    http: aiohttp.ClientSession
    health: Health = field(default_factory=lambda: Health(0.0, (Check("outbox", is_ok=True),)))
    url: str = ""
    reload_problem: str | None = None
    served: Mapping[str, str] = field(default_factory=dict)

    async def reload(self) -> tuple[int, tuple[str, ...]]:
        if self.reload_problem:
            raise SettingsError(self.reload_problem)
        return 2, ("sources.desk.keys",)

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Reply:
        async with self.http.request(method, self.url + path, headers=headers) as response:
            return Reply(response.status, response.headers, await response.read())

    def type(self, session_id: str = SESSION, actor: str = "agent-7") -> None:
        self.act(Kind.KEYSTROKE, session_id, actor)

    def act(self, kind: Kind, session_id: str = SESSION, actor: str = "agent-7") -> None:
        address = Address(session_id, "guest-17")
        self.assembly.flow.accept([Activity("guest", address, "desk", actor, kind)])

    async def audited(self, count: int) -> list[dict[str, Any]]:
        """The audit once it has `count` rows, within five seconds."""
        async with asyncio.timeout(5):
            while len(rows := (await self.ask("/v1/audit")).value["audit"]) < count:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        return list(rows)

    async def tried(self, count: int) -> list[dict[str, Any]]:
        """The deliveries that were tried in vain and wait, once there are so many, within five seconds."""
        async with asyncio.timeout(5):
            while len(rows := [row for row in await self._waiting() if row["attempts"]]) < count:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        return rows

    async def _waiting(self) -> list[dict[str, Any]]:
        return list((await self.ask("/v1/deliveries?state=pending")).value["deliveries"])

    async def quiet(self) -> None:
        """Until nothing is waiting nor on its way, five seconds at most."""
        async with asyncio.timeout(5):
            while sum(map((await self.assembly.outbox.depth()).by_state.__getitem__, LIVE)):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)

    async def ended(self, state: str) -> list[dict[str, Any]]:
        """The deliveries in `state` once there is one, within five seconds."""
        async with asyncio.timeout(5):
            while not (rows := (await self.ask(f"/v1/deliveries?state={state}")).value["deliveries"]):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        return list(rows)


@asynccontextmanager
async def house_at(folder: Path) -> AsyncIterator[House]:
    async with (
        StandInPlatform(Chaos.none()) as platform,
        receiving() as receiver,
        aiohttp.ClientSession() as http,
    ):
        settings = Settings(
            gateways={
                "guest": Gateway(
                    base_url=platform.base_url,
                    client_id=platform.identity.client_id,
                    client_secret=SecretStr(platform.identity.client_secret),
                )
            },
            endpoints={
                "tracker": Endpoint(url=receiver.url, secrets=(SecretStr(SECRET),), allow_cidrs=LOOPBACK)
            },
            outbox=Outbox(path=folder / "outbox.db"),
        )
        assembly = await Assembly.open(settings)
        await assembly.start()
        house = House(assembly, platform, receiver, http)
        doors = OperatorDoors(Operations(), assembly, health=lambda: house.health, reload=house.reload)
        house.served = doors.served
        runner = web.ServerRunner(web.Server(doors, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        house.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield house
        finally:
            await runner.cleanup()
            await assembly.drain(0)
            await assembly.close()
