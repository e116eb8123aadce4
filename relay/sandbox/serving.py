"""A listener of the sandbox: one aiohttp application on one port, closed without waiting for idle peers."""

import time

from aiohttp import web

from relay.core.moments import UnixMs


def unix_ms() -> UnixMs:
    return time.time_ns() // 1_000_000


class Listener:
    """`start` binds (port 0: a free one), `close` unbinds; both once."""

    def __init__(self, app: web.Application, *, host: str, port: int) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self._host = host
        self._port = port

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def close(self) -> None:
        await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        """`http://host:port` of the bound socket; needs `start`."""
        host, port = self._runner.addresses[0][:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"
