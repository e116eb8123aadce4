"""The sandbox's two servers as a command runs them: until cancelled."""

import asyncio
from collections.abc import Callable

from relay.sandbox.chaos import Chaos
from relay.sandbox.identity import Identity
from relay.sandbox.platform import StandInPlatform
from relay.sandbox.tracker import Tracker


async def serve_sandbox(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    chaos: Chaos | None = None,
    identity: Identity | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the stand-in platform; `announce` gets its base URL once it listens."""
    async with StandInPlatform(chaos, identity=identity, host=host, port=port) as platform:
        announce(platform.base_url)
        await asyncio.Event().wait()


async def serve_tracker(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    secrets: list[str],
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the verifying tracker; `announce` gets the URL to configure as an endpoint once it listens."""
    async with Tracker(secrets, host=host, port=port) as tracker:
        announce(tracker.url)
        await asyncio.Event().wait()
