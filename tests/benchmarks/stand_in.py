"""What stands around the relay while it is measured: a platform and a tracker that cost as little as can be.

One raw protocol answers log-ins, session probes, typing calls and callbacks; it reads no header but the length. The
sandbox would be the better platform and the dearer one: here it shares a core with whoever sends the load.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from relay.ingest.keys import new_key
from relay.settings.models import Settings

_LENGTH = b"content-length: "
_TOKEN = b'{"access_token":"bench","token_type":"bearer","expires_in":86400}'
_ACTIVE = b'{"status":"active"}'


class StandIn:
    """`on_typing(body)` hears of each typing call as it arrives. `is_hanging`: trackers get no answer any more."""

    def __init__(self, on_typing: Callable[[bytes], None] = lambda _: None) -> None:
        self.on_typing = on_typing
        self.is_hanging = False
        self.typings = 0
        self.probes = 0
        self.callbacks = 0

    def answer(self, target: bytes, body: bytes) -> bytes | None:
        """The body of the answer; None for none at all."""
        if target.endswith(b"/typing"):
            self.typings += 1
            self.on_typing(body)
            return b"{}"
        if target == b"/tracker":
            self.callbacks += 1
            return None if self.is_hanging else b""
        if target == b"/oauth/token":
            return _TOKEN
        self.probes += 1
        return _ACTIVE


class _Talk(asyncio.Protocol):
    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        head = received.find(b"\r\n\r\n")
        if head < 0:
            return
        mark = received.lower().find(_LENGTH, 0, head)
        end = received.find(b"\r\n", mark)
        length = int(received[mark + len(_LENGTH) : end]) if mark >= 0 else 0
        if len(received) < head + 4 + length:
            return
        target = bytes(received[: received.find(b"\r\n")]).split(b" ")[1]
        body = bytes(received[head + 4 :])
        received.clear()
        said = self._stand_in.answer(target, body)
        if said is not None and self._transport is not None:
            head_bytes = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            self._transport.write(head_bytes % len(said) + said)


@asynccontextmanager
async def standing(stand_in: StandIn) -> AsyncIterator[int]:
    """The port it listens on."""
    server = await asyncio.get_running_loop().create_server(lambda: _Talk(stand_in), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


UNMETERED = {"requests_per_s": 10_000_000, "events_per_s": 10_000_000, "bytes_per_s": 100_000_000_000}
"""A source's rates that cost what all rates cost, and refuse nothing."""


def settings_beside(port: int, folder: Path, **more: Any) -> tuple[Settings, str]:
    """A relay's settings with that platform at `port`, rates that are never met, and the key of its one source."""
    made = new_key("bench", random=secrets.token_bytes)
    key_id, sha256 = (line.split('"')[1] for line in made.toml.splitlines()[1:])
    guest = {
        "base_url": f"http://127.0.0.1:{port}",
        "client_id": "bench",
        "client_secret": "bench",
        "rate_per_minute": 600_000,
        "burst": 1000,
    }
    base: dict[str, Any] = {
        "server": {"port": 0},
        "operations": {"port": 0},
        "gateways": {"guest": guest},
        "sources": {"bench": {"keys": [{"id": key_id, "sha256": sha256}]} | UNMETERED},
        "outbox": {"path": folder / "outbox.db"},
        "logging": {"level": "warning"},
    }
    return Settings.model_validate(base | more), made.key
