from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relay.core.indicator import Address
from relay.core.moments import Ms
from relay.sandbox.chaos import Forced
from tests.conformance.gateway import Call, GatewayConformance, Stage
from tests.gateway.rig import CALM, Rig, address, rig

LIVE, GONE = address(1), address(99)
BAD = (
    Address(LIVE.session_id, None),
    Address(LIVE.session_id, "../../hook"),
    Address("not-a-uuid", "guest-1"),
)


class GuestStage(Stage):
    address = LIVE
    gone_address = GONE
    bad_addresses = BAD

    def __init__(self, it: Rig) -> None:
        self.gateway = it.gateway
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
        return {"typing": len(self._platform.arrivals), "session": self._platform.probes, "token": tokens}[on]


class TestGuestGateway(GatewayConformance):
    @asynccontextmanager
    async def stage(self) -> AsyncIterator[Stage]:
        async with rig(CALM.changed(sessions={GONE.session_id: ""})) as it:
            yield GuestStage(it)
