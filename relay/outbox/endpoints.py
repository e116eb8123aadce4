"""What an operator sees of endpoints and may do to them: hold one, take it back, try it now."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from relay.core.endpoint import Circuit, Failing, Standing
from relay.core.moments import UnixMs
from relay.core.why import Holding
from relay.errors import Rejected
from relay.outbox.dispatcher import Dispatcher
from relay.outbox.letters import MOST, SLICE
from relay.outbox.probe import probe_of
from relay.outbox.rows import Attempt, EndpointRow
from relay.outbox.store import OutboxStore


@dataclass(frozen=True, slots=True)
class Resumed:
    """What it was, and how many of its deliveries are due now that waited for a later attempt.

    `is_more`: others still wait for theirs, since one call hurries `MOST`.
    """

    before: Standing
    hurried: int
    is_more: bool = False


class Endpoints:
    """All of one outbox. What changes one raises Rejected for a name that is not configured."""

    def __init__(
        self,
        store: OutboxStore,
        dispatcher: Dispatcher,
        *,
        wall: Callable[[], UnixMs],
        new_id: Callable[[UnixMs], str],
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._wall = wall
        self._new_id = new_id

    @property
    def standings(self) -> dict[str, Standing]:
        """Whether each configured one is sent anything, once the outbox has started. Costs no query."""
        return self._dispatcher.standings

    @property
    def circuits(self) -> dict[str, Circuit]:
        """Each configured one's circuit. Costs no query."""
        return self._dispatcher.circuits

    @property
    def failing(self) -> dict[str, Failing]:
        """Those whose last attempt since the relay's start failed. Costs no query."""
        return self._dispatcher.failing

    async def rows(self) -> list[EndpointRow]:
        """Every one that anything was ever sent to, those no longer configured among them."""
        return await self._store.endpoints()

    async def waiting(self) -> dict[str, int]:
        """How many deliveries wait, by endpoint."""
        return await self._store.waiting()

    async def holdings(self) -> dict[str, Holding]:
        """What keeps each one's deliveries back now, as far as anything does."""
        held = self._dispatcher.holdings
        for row in await self._store.endpoints():
            now = held.get(row.name, Holding())
            if row.standing is Standing.DISABLED:
                held[row.name] = replace(now, disabled_since=row.since, reason=row.reason)
            elif row.standing is Standing.PAUSED:
                held[row.name] = replace(now, paused_since=row.since, reason=row.reason)
        return held

    async def pause(self, endpoint: str) -> bool:
        """Sends it nothing until `resume`, restarts included; what is recorded for it waits. False where it is not active."""
        self._check_known(endpoint)
        is_paused = await self._store.pause(endpoint)
        if is_paused:
            self._dispatcher.halt(endpoint, Standing.PAUSED, "paused by its operator")
        return is_paused

    async def resume(self, endpoint: str) -> Resumed:
        """Takes it for mended, whatever it was: what waits is due at once, an open circuit is tried now.

        Nobody else can tell the schedule, which may be hours from its next attempt. What a disabled one missed was
        recorded as cancelled and can be replayed.
        """
        self._check_known(endpoint)
        before = await self._store.resume(endpoint)
        self._dispatcher.resume(endpoint)
        return await self._hurried(endpoint, before)

    async def _hurried(self, endpoint: str, before: Standing) -> Resumed:
        """In commits of `SLICE`, as all that an operator does to many: an append waits for one of them at most."""
        hurried = 0
        while hurried < MOST:
            part = await self._store.hurry(endpoint, most=SLICE)
            hurried += part
            if part < SLICE:
                return Resumed(before, hurried)
        return Resumed(before, hurried, is_more=True)

    async def test(self, endpoint: str) -> Attempt:
        """One signed `endpoint.test`, sent now whatever its standing, and recorded nowhere.

        Raises Rejected where one is on its way already.
        """
        self._check_known(endpoint)
        at = self._wall()
        return await self._dispatcher.test(endpoint, probe_of(endpoint, self._new_id(at), at))

    def _check_known(self, endpoint: str) -> None:
        known = self._dispatcher.standings
        if endpoint not in known:
            names = ", ".join(sorted(known)) or "none"
            raise Rejected(
                404, "Unknown endpoint", f"no endpoint of this name is configured; configured: {names}"
            )
