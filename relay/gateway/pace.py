"""How slow a platform wants us: what it asks everybody to wait, or one agent, and its own count of our calls.

    answer ─► heed ─┬─ Retry-After on a 429 ──► whose calls it counts: everybody's, or (agents' own tokens) that agent's
                    ├─ Retry-After on a 503 ──► everybody
                    └─ inin-ratelimit-* ──────► whose calls it counts: slower from here on

Everybody's wait also closes the budget's gate (`cool_off`), so that nothing is even begun; one agent's is asked for by
each call in that agent's name.
"""

import asyncio
from collections.abc import Callable

from relay.core.allowance import pause_ms
from relay.core.answer import Answer, outcome_of
from relay.core.cooloff import CoolOffGate, CoolOffGates
from relay.core.moments import Ms, UnixMs
from relay.core.outcome import CoolOff

CoolOffCall = Callable[[Ms], None]
"""`cool_off(until_ms)` closes the gate of the identity's budget."""


class Pace:
    """`is_shared`: one token for all calls, so that its limit is everybody's."""

    def __init__(self, *, is_shared: bool, cool_off: CoolOffCall, wall: Callable[[], UnixMs]) -> None:
        self._is_shared = is_shared
        self._cool_off = cool_off
        self._wall = wall
        self._gate = CoolOffGate()
        self._slower = CoolOffGate()
        self._agents = CoolOffGates()

    def heed(self, answer: Answer, agent_user_id: str | None) -> None:
        """Wait as the platform asks, or go slower before it has to; what is under way goes on."""
        now, asked = self._now(), outcome_of(answer, self._wall(), advice={})
        counted = None if self._is_shared or agent_user_id is None else agent_user_id.lower()
        if isinstance(asked, CoolOff) and not asked.for_session and asked.wait_ms is not None:
            self._close(now + asked.wait_ms, counted if asked.status == 429 else None)
        slower_ms = pause_ms(answer.headers)
        if slower_ms > 0:
            self._slow_down(now + slower_ms, counted)

    def wait_ms(self, agent_user_id: str | None = None) -> Ms:
        """How long to make no call in this agent's name, or the client's."""
        now, own_ms = self._now(), 0.0
        if agent_user_id is not None:
            own_ms = self._agents.wait_ms(agent_user_id.lower(), now)
        return max(self._gate.wait_ms(now), own_ms)

    def reason(self) -> str:
        """Why everybody is kept waiting now, for the operator; empty if nobody is."""
        now, asked_ms = self._now(), self.wait_ms()
        if asked_ms > 0:
            return f"the platform asked to wait {asked_ms / 1000:.1f} s more"
        slower_ms = self._slower.wait_ms(now)
        if slower_ms > 0:
            return f"the platform counts our calls near their limit: the next is made in {slower_ms / 1000:.1f} s"
        return ""

    def _close(self, until: Ms, agent: str | None) -> None:
        if agent is not None:
            self._agents.close(agent, until)
            return
        self._gate.close(until)
        self._cool_off(until)

    def _slow_down(self, until: Ms, agent: str | None) -> None:
        if agent is not None:
            self._agents.close(agent, until)
            return
        self._slower.close(until)
        self._cool_off(until)

    def _now(self) -> Ms:
        return asyncio.get_running_loop().time() * 1000
