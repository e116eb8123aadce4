"""Is the session still there? Asked once for all who want to know, and remembered (`relay.core.liveness`).

probe ─► memory ──fresh──► answer
           └─stale─► the question under way, or a new one ──≤ 500 ms──► answer, else None
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from relay.core.liveness import KnownSessions
from relay.core.moments import Ms

PATIENCE_MS: Ms = 500.0
"""How long an indicator waits to learn whether its session is there; then it is sent without knowing."""

LIFE_MS: Ms = 2000.0
"""A question nobody waits for any more is still worth its answer, if that comes within this."""


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Probes(Generic[K, V]):
    """`ask(session, deadline_ms)` puts one question to the platform, must not raise; `fresh_ms(answer)` is how long
    an answer is believed.

    A session is whatever names one here: its id, or its address where that says more.
    """

    def __init__(
        self, name: str, ask: Callable[[K, Ms], Awaitable[V]], *, fresh_ms: Callable[[V], Ms]
    ) -> None:
        self._name = name
        self._ask = ask
        self._fresh_ms = fresh_ms
        self._known: KnownSessions[K, V] = KnownSessions()
        self._under_way: dict[K, asyncio.Task[V]] = {}

    async def probe(self, session: K, *, deadline_ms: Ms, patience_ms: Ms = PATIENCE_MS) -> V | None:
        """What is known of it, else the platform's answer if that comes within `patience_ms`, else None."""
        now = _now()
        known = self._known.recall(session, now)
        if known is not None:
            return known
        question = self._under_way.get(session) or self._put(session, now + LIFE_MS)
        # Waited for, not awaited: an impatient caller's end is not the question's.
        await asyncio.wait({question}, timeout=max(0.0, min(patience_ms, deadline_ms - now) / 1000))
        return question.result() if question.done() and not question.cancelled() else None

    def recall(self, session: K) -> V | None:
        """What is known of it, without asking."""
        return self._known.recall(session, _now())

    def last(self, session: K) -> V | None:
        """What was known of it last, whatever its age."""
        return self._known.last(session)

    def note(self, session: K, answer: V) -> None:
        """What another call has shown, as good as an answer."""
        self._known.note(session, answer, _now(), for_ms=self._fresh_ms(answer))

    def forget(self, session: K) -> None:
        """Ask afresh next time; an answer under way is not remembered either."""
        self._known.forget(session)
        self._under_way.pop(session, None)

    async def close(self) -> None:
        questions = list(self._under_way.values())
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)

    def _put(self, session: K, deadline_ms: Ms) -> asyncio.Task[V]:
        question = asyncio.create_task(
            self._answer(session, deadline_ms), name=f"gateway {self._name}: probe"
        )
        self._under_way[session] = question
        return question

    async def _answer(self, session: K, deadline_ms: Ms) -> V:
        try:
            answer = await self._ask(session, deadline_ms)
            if self._under_way.get(session) is asyncio.current_task():
                self.note(session, answer)
            return answer
        finally:
            if self._under_way.get(session) is asyncio.current_task():
                del self._under_way[session]


def _now() -> Ms:
    return asyncio.get_running_loop().time() * 1000
