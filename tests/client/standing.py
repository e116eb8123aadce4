"""A relay's address with whatever a test puts behind it: answers by script, silence, nobody at all."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from relay import wire

Answering = Callable[[list[dict[str, Any]]], Awaitable[web.Response]]


@dataclass
class Standing:
    """`requests` are the events of each request, in order of arrival; `at` is when they came, in seconds."""

    url: str = ""
    requests: list[list[dict[str, Any]]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def kinds(self) -> list[str]:
        return [event["type"] for events in self.requests for event in events]


@asynccontextmanager
async def standing(
    answering: Answering | None = None, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Standing]:
    it = Standing()

    async def answered(request: web.BaseRequest) -> web.StreamResponse:
        told = wire.loads(await request.read())
        events = told if isinstance(told, list) else [told]
        it.requests.append(events)
        it.at.append(asyncio.get_running_loop().time())
        it.headers.append(dict(request.headers))
        return taken(len(events)) if answering is None else await answering(events)

    runner = web.ServerRunner(web.Server(answered), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    it.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield it
    finally:
        await runner.cleanup()


def taken(count: int = 1) -> web.Response:
    return web.json_response({"accepted": count, "duplicates": 0, "stale": 0}, status=202)


def problem(status: int, *places: str, **headers: str) -> web.Response:
    """As the relay refuses; `places` are the bad fields."""
    body = {
        "type": "about:blank",
        "title": "Refused",
        "status": status,
        "detail": f"refused with {status}",
        "errors": [{"loc": place, "msg": "something else is wanted"} for place in places],
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(body, status=status, headers=named, content_type="application/problem+json")
