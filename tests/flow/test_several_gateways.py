"""One process, several platforms: each session with its own address, timings and limits. Real sockets, real time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from relay import app
from relay.sandbox.chaos import Chaos
from relay.sandbox.conversations import Conversation
from relay.sandbox.platform import StandInPlatform
from relay.settings.models import Settings

GUEST_SESSION = "5f0c2f9e-8a52-4d7e-9d3a-0123456789ab"
AGENT = "11111111-1111-4111-8111-111111111111"


class Town:
    def __init__(self, platform: StandInPlatform, url: str, http: aiohttp.ClientSession) -> None:
        self.platform = platform
        self._url = url
        self._http = http

    async def post(self, **event: Any) -> tuple[int, Any]:  # whatever JSON an event, and its answer, is
        async with self._http.post(f"{self._url}/v1/events", json={"type": "keystroke"} | event) as answer:
            return answer.status, await answer.json()

    async def arrived(self, session_id: str) -> int:
        """How long the indicator of the session's first typing is shown, once it is; within five seconds."""
        async with asyncio.timeout(5):
            while True:
                for arrival in self.platform.arrivals:
                    if arrival.session_id == session_id and arrival.is_applied:
                        return arrival.duration_ms
                await asyncio.sleep(0.01)


@asynccontextmanager
async def town(folder: Path) -> AsyncIterator[Town]:
    async with StandInPlatform(Chaos.none()) as platform, aiohttp.ClientSession() as http:
        client = {
            "base_url": platform.base_url,
            "client_id": platform.identity.client_id,
            "client_secret": platform.identity.client_secret,
        }
        settings = Settings.model_validate(
            {
                "server": {"port": 0},
                "operations": {"port": 0},
                "outbox": {"path": folder / "outbox.db"},
                "gateways": {"guest": client, "cloud": client | {"kind": "genesys"}},
            }
        )
        relay = await app.start(settings)
        try:
            yield Town(platform, relay.public.url, http)
        finally:
            await relay.stop()


def opened(it: Town) -> Conversation:
    return it.platform.stagehand.open(AGENT)


async def test_each_event_goes_to_the_platform_it_names_with_that_platforms_timings(tmp_path: Path) -> None:
    async with town(tmp_path) as it:
        one, other = opened(it), opened(it)
        guest = await it.post(gateway="guest", sessionId=GUEST_SESSION, guestId="guest-17")
        by_agent = await it.post(gateway="cloud", sessionId=one.id, agentUserId=AGENT)
        leg = other.legs[1].communication_id
        by_leg = await it.post(gateway="cloud", sessionId=other.id, communicationId=leg)
        assert (guest[0], by_agent[0], by_leg[0]) == (202, 202, 202)
        assert await it.arrived(GUEST_SESSION) == 3000
        assert await it.arrived(one.id) == await it.arrived(other.id) == 5000


async def test_an_address_of_the_other_platform_is_named_as_what_it_lacks(tmp_path: Path) -> None:
    async with town(tmp_path) as it:
        status, answer = await it.post(gateway="cloud", sessionId=GUEST_SESSION, guestId="guest-17")
        assert (status, answer["errors"][0]["loc"]) == (422, "communicationId")
        status, answer = await it.post(gateway="guest", sessionId=GUEST_SESSION, agentUserId=AGENT)
        assert (status, answer["errors"][0]["loc"]) == (422, "guestId")
