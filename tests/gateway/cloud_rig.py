"""The Genesys Cloud gateway against the stand-in's conversations, with a budget that grants everything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relay.core.indicator import Address, Cause, Indicator, Rank, Wish
from relay.core.moments import Ms
from relay.core.outcome import Outcome
from relay.gateway.genesys import GenesysGateway
from relay.sandbox.chaos import Chaos
from relay.sandbox.conversations import Conversation
from relay.sandbox.platform import StandInPlatform
from tests.gateway.rig import CALM, now_ms, settings_for

TYPING = Wish(Indicator.TYPING, 5000, Cause.START)
WALL = 1_800_000_000_000


def agent_id(number: int = 1) -> str:
    return str(UUID(int=0xA000 + number))


@dataclass
class CloudRig:
    platform: StandInPlatform
    gateway: GenesysGateway
    permits: list[Rank]
    cooled_until: list[Ms]
    conversation: Conversation

    @property
    def statuses(self) -> list[int]:
        """Of the typing calls that reached the platform."""
        return [arrival.status for arrival in self.platform.arrivals]

    @property
    def by_leg(self) -> Address:
        return Address(self.conversation.id, None, self.conversation.legs[1].communication_id)

    @property
    def by_agent(self) -> Address:
        return Address(self.conversation.id, None, None, agent_id())

    async def show(self, address: Address, *, within_ms: Ms = 2000) -> Outcome:
        return await self.gateway.show(address, TYPING, deadline_ms=now_ms() + within_ms)


@asynccontextmanager
async def cloud_rig(
    chaos: Chaos = CALM,
    **changes: Any,  # as in `settings_for`
) -> AsyncIterator[CloudRig]:
    permits: list[Rank] = []
    cooled_until: list[Ms] = []

    async def permit(rank: Rank, _deadline_ms: Ms) -> bool:
        permits.append(rank)
        return True

    async with StandInPlatform(chaos, wall=lambda: WALL) as platform:
        tokens_url = changes.get("agent_tokens_url", "")
        if tokens_url.startswith("/"):
            changes["agent_tokens_url"] = platform.base_url + tokens_url
        settings = settings_for(platform.base_url, **{"kind": "genesys", "probe_at_start": False, **changes})
        gateway = GenesysGateway(
            "cloud", settings, permit=permit, cool_off=cooled_until.append, wall=lambda: WALL
        )
        await gateway.start()
        try:
            conversation = platform.stagehand.open(agent_id())
            yield CloudRig(platform, gateway, permits, cooled_until, conversation)
        finally:
            await gateway.close()
