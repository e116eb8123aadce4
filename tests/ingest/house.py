"""The doors on a real socket of loopback, with a flow behind them that only remembers what it was given."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from aiohttp import ClientResponse, ClientSession, ClientWebSocketResponse, web

from relay import wire
from relay.core.activity import Accepted, Activity
from relay.core.ids import is_uuid
from relay.core.indicator import Address
from relay.core.moments import Ms, UnixMs
from relay.core.pacer import Pacer, Reach
from relay.core.session import Session
from relay.core.timings import Timings
from relay.errors import Rejected, Unavailable
from relay.ingest import (
    Beyond,
    BroadcastRequest,
    BroadcastResult,
    Credentials,
    Doors,
    Listener,
    NewKey,
    new_key,
)
from relay.observe.metrics import Metrics
from relay.settings.models import Settings

SESSION = "5f0c2f9e-6f7a-4c1e-9a39-0c8d6a3b1f00"
EVENT = {"sessionId": SESSION, "guestId": "g-17", "type": "keystroke"}
ORDER = {"sessionId": SESSION, "guestId": "g-17", "type": "typing"}
WALL: UnixMs = 1_795_341_600_000  # 2026-11-22T10:00:00Z


def sure(source: str = "crm", *, seed: int = 1) -> NewKey:
    """A key that is the same in every run."""
    return new_key(source, random=lambda count: bytes([seed]) * count)


def key_settings(made: NewKey, **more: object) -> dict[str, object]:
    """The lines of `keys new`, as the settings hold them."""
    lines = (line.partition(" = ") for line in made.toml.splitlines()[1:])
    return {name: value.strip('"') for name, _, value in lines} | more


def settings(**sections: Any) -> Settings:
    """One gateway `guest`, one source `crm` with one key, port 0; `sections` replace whole sections."""
    base: dict[str, Any] = {
        "server": {"port": 0},
        "gateways": {"guest": {"client_id": "c", "client_secret": "s"}},
        "sources": {"crm": {"keys": [key_settings(sure())]}},
    }
    return Settings.model_validate(base | sections)


@dataclass(slots=True)
class House:
    """What stands behind the doors, and a caller in front of them."""

    base_url: str = ""
    taken: list[Activity] = field(default_factory=list)
    ordered: list[BroadcastRequest] = field(default_factory=list)
    sessions: defaultdict[str, dict[str, Session]] = field(default_factory=lambda: defaultdict(dict))
    accepted_at_once: int = 0
    """The most that were applied in one go."""
    refuses: Rejected | Unavailable | None = None
    on_broadcast: Callable[[BroadcastRequest], Awaitable[BroadcastResult]] | None = None
    now: Ms = 0
    wall: UnixMs = WALL
    metrics: Metrics = field(default_factory=Metrics)
    doors: Doors | None = None
    client: ClientSession | None = None
    listener: Listener | None = None

    @property
    def connections(self) -> list[web.RequestHandler]:
        """Those open at this moment."""
        assert self.listener is not None
        return self.listener.connections

    def accept(self, activities: Sequence[Activity]) -> Accepted:
        if self.refuses is not None:
            raise self.refuses
        self.taken.extend(activities)
        self.accepted_at_once = max(self.accepted_at_once, len(activities))
        for one in activities:
            session_id, awake = one.address.session_id, self.sessions[one.gateway]
            if session_id not in awake:
                key = (one.gateway, session_id)
                awake[session_id] = Session(key, one.address, one.source, Timings(), Reach(), Pacer())
        return Accepted(len(activities))

    async def broadcast(self, request: BroadcastRequest) -> BroadcastResult:
        if self.refuses is not None:
            raise self.refuses
        self.ordered.append(request)
        if self.on_broadcast is not None:
            return await self.on_broadcast(request)
        return BroadcastResult(success=True, latency_ms=12, audit_id="aud-1", status=202)

    async def post(
        self, body: object, path: str = "/v1/events", *, key: str | None = None, **headers: str
    ) -> ClientResponse:
        """Posts JSON (or the bytes given); `Content_Type="…"` and the like add or replace headers."""
        assert self.client is not None
        said = {"Content-Type": "application/json", "Authorization": f"Bearer {key or sure().key}"}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else wire.dumps(body)
        return await self.client.post(self.base_url + path, data=BytesIO(data), headers=said)

    async def stream(
        self, *protocols: str, query: str = "", key: str | None = None, **headers: str
    ) -> ClientWebSocketResponse:
        """An open stream; with a key unless a subprotocol is named."""
        assert self.client is not None
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if not protocols:
            said |= {"Authorization": f"Bearer {key or sure().key}"}
        return await self.client.ws_connect(
            f"{self.base_url}/v1/stream{query}", headers=said, protocols=protocols, autoping=False
        )

    async def said(self, raw: bytes, *, within_s: float = 5) -> bytes:
        """Everything the server says to these very bytes until it closes or says nothing more."""
        host, _, port = self.base_url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(raw)
            async with asyncio.timeout(within_s):
                return await reader.read()
        finally:
            writer.close()

    def counted(self, series: str) -> float:
        """A series' value, by its full name and labels."""
        _, text = self.metrics.render()
        lines = (line.rpartition(" ") for line in text.decode().splitlines())
        return next((float(value) for name, _, value in lines if name == series), 0)


async def until(is_so: Callable[[], bool], *, within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - what is waited for happens behind a socket
            await asyncio.sleep(0.01)


async def narrow(base_url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose caller's side takes a few kilobytes and no more until they are read."""
    host, _, port = base_url.removeprefix("http://").rpartition(":")
    narrow = socket.socket()
    narrow.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(narrow, (host, int(port)))
    return await asyncio.open_connection(sock=narrow, limit=1024)


async def narrow_at_both_ends(house: House) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Also our side's kernel takes a few kilobytes only, so that some are left to us whatever is said."""
    caller = await narrow(house.base_url)
    await until(lambda: len(house.connections) == 1)
    transport = house.connections[0].transport
    assert transport is not None
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return caller


def check_address(gateway: str, address: Address) -> str | None:
    """As the guest gateway does."""
    if gateway == "guest" and not is_uuid(address.session_id):
        return "sessionId must be a UUID"
    if gateway == "guest" and address.guest_id is None:
        return "guestId is required"
    return None


@asynccontextmanager
async def opened(
    configured: Settings | None = None, *, most: int | None = None, is_timed: bool = False
) -> AsyncIterator[House]:
    """`is_timed` lets the house's clock be its loop's; else it stands, and the test moves it."""
    configured = settings() if configured is None else configured
    house = House()
    loop = asyncio.get_running_loop()

    def now() -> Ms:
        return loop.time() * 1000 if is_timed else house.now

    beyond = Beyond(
        tuple(configured.gateways),
        check_address,
        house.sessions,
        house.accept,
        house.broadcast,
    )
    house.doors = Doors(
        configured,
        Credentials(configured, wall=lambda: house.wall),
        beyond,
        metrics=house.metrics,
        now=now,
        wall=lambda: house.wall,
    )
    house.listener = Listener(
        house.doors,
        configured.server,
        metrics=house.metrics,
        now=now,
        most=most,
        at_once=house.doors.at_once,
    )
    runner = web.ServerRunner(house.listener, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    house.base_url = f"http://{host}:{port}"
    async with ClientSession() as house.client:
        yield house
    await runner.cleanup()
