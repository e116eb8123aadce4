"""Is the session still there? Asked once for all who want to know, and remembered (`relay.core.liveness`).

probe ─► memory ──fresh──► answer
           └─stale─► the question under way, or a new one ──≤ 500 ms──► answer, else UNKNOWN
"""

import asyncio
from collections.abc import Awaitable, Callable

from relay.core.liveness import KnownSessions, Liveness
from relay.core.moments import Ms

PATIENCE_MS: Ms = 500.0
"""How long an indicator waits to learn whether its session is there; then it is sent without knowing."""

LIFE_MS: Ms = 2000.0
"""A question nobody waits for any more is still worth its answer, if that comes within this."""


class Probes:
    """`ask(session_id, deadline_ms)` puts one question to the platform; it must not raise."""

    def __init__(self, name: str, ask: Callable[[str, Ms], Awaitable[Liveness]]) -> None:
        self._name = name
        self._ask = ask
        self._known = KnownSessions()
        self._under_way: dict[str, asyncio.Task[Liveness]] = {}

    async def probe(self, session_id: str, *, deadline_ms: Ms) -> Liveness:
        now = _now()
        known = self._known.recall(session_id, now)
        if known is not None:
            return known
        question = self._under_way.get(session_id) or self._put(session_id, now + LIFE_MS)
        # Waited for, not awaited: an impatient caller's end is not the question's.
        await asyncio.wait({question}, timeout=max(0.0, min(PATIENCE_MS, deadline_ms - now) / 1000))
        return question.result() if question.done() and not question.cancelled() else Liveness.UNKNOWN

    def forget(self, session_id: str) -> None:
        """Ask afresh next time; an answer under way is not remembered either."""
        self._known.forget(session_id)
        self._under_way.pop(session_id, None)

    async def close(self) -> None:
        questions = list(self._under_way.values())
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)

    def _put(self, session_id: str, deadline_ms: Ms) -> asyncio.Task[Liveness]:
        question = asyncio.create_task(
            self._answer(session_id, deadline_ms), name=f"gateway {self._name}: probe"
        )
        self._under_way[session_id] = question
        return question

    async def _answer(self, session_id: str, deadline_ms: Ms) -> Liveness:
        try:
            liveness = await self._ask(session_id, deadline_ms)
            if self._under_way.get(session_id) is asyncio.current_task():
                self._known.note(session_id, liveness, _now())
            return liveness
        finally:
            if self._under_way.get(session_id) is asyncio.current_task():
                del self._under_way[session_id]


def _now() -> Ms:
    return asyncio.get_running_loop().time() * 1000
