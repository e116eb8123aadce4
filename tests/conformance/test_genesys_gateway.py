from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from relay.core.indicator import Address
from relay.core.moments import Ms
from relay.sandbox.chaos import Forced
from tests.conformance.gateway import Call, GatewayConformance, Stage
from tests.gateway.cloud_rig import CloudRig, cloud_rig

NOWHERE = str(UUID(int=99))
BAD = (
    Address(NOWHERE),
    Address("conversation-1", None, NOWHERE),
    Address(NOWHERE, None, "../../hook"),
    Address(NOWHERE, None, None, "agent-1"),
)


class CloudStage(Stage):
    bad_addresses = BAD

    def __init__(self, it: CloudRig, address: Address) -> None:
        self.gateway = it.gateway
        self.address = address
        self.gone_address = address._replace(session_id=NOWHERE)
        self._platform = it.platform

    def answer_next(
        self,
        on: Call,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        delay_ms: Ms = 0,
        is_reset: bool = False,
    ) -> None:
        forced = Forced(on=on, status=status, headers=headers or {}, delay_ms=delay_ms, reset=is_reset)
        self._platform.mischief.force(forced)

    def revoke_tokens(self) -> None:
        self._platform.identity.revoke_all()

    def calls(self, on: Call) -> int:
        identity = self._platform.identity
        tokens = identity.granted + identity.refused
        return {
            "typing": len(self._platform.arrivals),
            "session": self._platform.cloud.reads,
            "token": tokens,
        }[on]


class TestAddressedByCommunication(GatewayConformance):
    @asynccontextmanager
    async def stage(self) -> AsyncIterator[Stage]:
        async with cloud_rig() as it:
            yield CloudStage(it, it.by_leg)


class TestAddressedByAgent(GatewayConformance):
    @asynccontextmanager
    async def stage(self) -> AsyncIterator[Stage]:
        async with cloud_rig() as it:
            yield CloudStage(it, it.by_agent)
