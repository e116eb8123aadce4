"""A tracker for the outbox's tests: a real server on loopback that keeps what it got and answers as it is told."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook as Standard
from svix.webhooks import Webhook as Svix

from relay import wire

SECRET = "whsec_" + base64.b64encode(b"the tracker's first secret").decode()
NEW_SECRET = "whsec_" + base64.b64encode(b"the tracker's second secret").decode()

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Got:
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(wire.loads(self.body)["type"])

    @property
    def data(self) -> Any:  # Any: JSON
        return wire.loads(self.body)["data"]


@dataclass
class Receiver:
    """`answers` are used up one a request; after them, and without any, it is 200."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answers: list[int | Answering] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0
    hold: asyncio.Event | None = None
    secrets: tuple[str, ...] = (SECRET, NEW_SECRET)
    unverified: list[Got] = field(default_factory=list)
    """What neither reference library would have signed so with any of `secrets`; `receiving` wants none in the end."""

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        got = Got({name.lower(): value for name, value in request.headers.items()}, body)
        self.got.append(got)
        if not is_signed(got, self.secrets):
            self.unverified.append(got)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.hold:
                await self.hold.wait()
            answer = self.answers.pop(0) if self.answers else 200
            return (
                web.Response(status=answer, headers=self.headers)
                if isinstance(answer, int)
                else await answer(request)
            )
        finally:
            self.at_once -= 1

    async def until(self, count: int) -> list[Got]:
        """The first `count` requests, within ten (virtual) seconds unless the caller waits longer."""
        while len(self.got) < count:  # noqa: ASYNC110 - polled, so that virtual time can pass meanwhile
            await asyncio.sleep(0.005)
        return self.got[:count]


def is_signed(got: Got, secrets: Iterable[str]) -> bool:
    """Signed as both reference libraries sign. By signing, since they verify by the real clock; ed25519 is not theirs."""
    entries = [one for one in got.headers["webhook-signature"].split(" ") if not one.startswith("v1a,")]
    at = datetime.fromtimestamp(int(got.headers["webhook-timestamp"]), UTC)
    told = (got.event_id, at, got.body.decode())
    signed = [(Standard(secret).sign(*told), Svix(secret).sign(*told)) for secret in secrets]
    return not entries or any(set(both) <= set(entries) for both in signed)


@asynccontextmanager
async def receiving(host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """On `host`, an address of this machine; with `tls` reached as `localhost`, the name its certificate is for."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"https://localhost:{port}/hook" if tls else f"http://{host}:{port}/hook"
    try:
        yield receiver
    finally:
        if receiver.hold:
            receiver.hold.set()
        await runner.cleanup()
    assert receiver.unverified == []
