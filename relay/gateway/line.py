"""One identity's line to its platform: a bearer on every call, a circuit, a cool-off gate, one word on its health.

    tell: token ─► POST ─► Outcome ─┬─► circuit, pace
                                    └─► token source (401)
    ask:  token ─► permit ─► GET ─► Answer

What is posted and where is the platform's contract, and a gateway's to know; a gateway holds one line. The line knows
nothing of budgets: whoever calls `tell` holds a permit already, and for what it asks by itself it takes the `permit`
it was given.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from relay.core.answer import Answer, outcome_of
from relay.core.breaker import Breaker
from relay.core.indicator import Indicator, Rank, Wish
from relay.core.moments import Ms, UnixMs
from relay.core.outcome import (
    CoolOff,
    Expired,
    Held,
    Outcome,
    Refused,
    Shown,
    Unauthorised,
    Unreachable,
)
from relay.core.token import Token
from relay.gateway.http import MOST_BODY_BYTES, HttpDoor, Lost
from relay.gateway.oauth import LoginProblem, Tokens, TokenSource
from relay.gateway.pace import CoolOffCall, Pace
from relay.gateway.port import Health, HealthState, Hold

logger = logging.getLogger("relay.gateway")

PROBE_PERMIT_MS: Ms = 20
"""A probe takes a permit that is free. Where the budget is short, it is the indicators that are worth it."""

LEAST_CALL_MS: Ms = 500
"""A permit that comes later before a call's deadline buys nothing: there is no time left for an answer."""

COOLING = "not sent: the platform asked to wait"
NO_PERMIT = Held(1000, "not sent: no request was left of rate_per_minute to look the session up")

Permit = Callable[[Rank, Ms], Awaitable[bool]]
"""`permit(rank, deadline_ms)` takes one request from the identity's budget, or says there was none in time."""


class Line:
    """`advice` says per status of a typing call what the operator can do. `heard(answer)` is what to read of it."""

    def __init__(
        self,
        door: HttpDoor,
        tokens: Tokens,
        *,
        permit: Permit,
        cool_off: CoolOffCall,
        wall: Callable[[], UnixMs],
        advice: Mapping[int, str],
        heard: Callable[[Answer], Answer] = lambda answer: answer,
    ) -> None:
        self._door = door
        self._tokens = tokens
        self._permit = permit
        self._wall = wall
        self._advice = advice
        self._heard = heard
        self._breaker = Breaker()
        self._pace = Pace(is_shared=tokens.is_shared, cool_off=cool_off, wall=wall)
        self._rejected: tuple[TokenSource, Token, str] | None = None

    async def start(self) -> None:
        await self._door.start()
        self._tokens.start()

    async def close(self) -> None:
        await self._tokens.close()
        await self._door.close()

    # -- telling ---------------------------------------------------------------------------------------------

    async def tell(
        self,
        path: str,
        body: bytes,
        *,
        agent_user_id: str | None = None,
        deadline_ms: Ms,
        fields: Mapping[str, object],
    ) -> Outcome:
        """One typing call in this agent's name, or the client's; never repeated. `fields` are for the debug log."""
        held = await self._bearer(agent_user_id, deadline_ms)
        if isinstance(held, LoginProblem):
            return held.outcome
        source, token = held
        cooling_ms = self._pace.wait_ms(agent_user_id)
        if cooling_ms > 0:  # closed by another call's answer, since `held_by` was asked
            return Held(cooling_ms, COOLING)
        if logger.isEnabledFor(logging.DEBUG):
            age_s = round((self._now() - token.fetched_at) / 1000, 1)
            logger.debug("typing call", extra={"fields": {**fields, "token_age_s": age_s}})
        self._breaker.called(self._now())
        answer = await self._exchange(
            "POST", path, token, body=body, agent_user_id=agent_user_id, deadline_ms=deadline_ms
        )
        if isinstance(answer, Lost):
            self._breaker.failed(self._now())
            return Unreachable(answer.kind, is_unknown=answer.was_sent)
        outcome = outcome_of(self._heard(answer), self._wall(), advice=self._advice)
        self._learn(outcome, source, token)
        if answer.status == 401 and await self._is_cured(answer, source, token, deadline_ms):
            return Expired()
        return outcome

    async def _exchange(
        self,
        method: str,
        path: str,
        token: Token,
        *,
        body: bytes = b"",
        agent_user_id: str | None,
        deadline_ms: Ms,
        most_bytes: int = MOST_BODY_BYTES,
    ) -> Answer | Lost:
        """One request and what every answer has in common: no token in its words, and its wish for a slower pace."""
        answer = await self._door.call(
            method, path, headers=_headers(token), body=body, deadline_ms=deadline_ms, most_bytes=most_bytes
        )
        if isinstance(answer, Lost):
            return answer
        self._pace.heed(answer, agent_user_id)
        return _without(token, answer)

    async def _bearer(
        self, agent_user_id: str | None, deadline_ms: Ms
    ) -> tuple[TokenSource, Token] | LoginProblem:
        source = self._tokens.of(agent_user_id)
        if isinstance(source, LoginProblem):
            return source
        token = await source.bearer(deadline_ms=deadline_ms)
        return token if isinstance(token, LoginProblem) else (source, token)

    async def _is_cured(self, answer: Answer, source: TokenSource, token: Token, deadline_ms: Ms) -> bool:
        """True if a 401 has led to a newer token; else it is the health's to tell of."""
        if await source.renewed(token, deadline_ms=deadline_ms):
            return True
        self._rejected = source, token, answer.message
        return False

    def _learn(self, outcome: Outcome, source: TokenSource, token: Token) -> None:
        match outcome:
            case Shown():
                self._breaker.succeeded()
                source.accepted(token)
            case CoolOff(status=503):
                pass  # neither a failure of the way there nor a proof of it
            case Unreachable():
                self._breaker.failed(self._now())
            case CoolOff() | Held() | Refused() | Expired() | Unauthorised():
                self._breaker.succeeded()

    # -- asking ----------------------------------------------------------------------------------------------

    def begins(self) -> None:
        """An indicator is on its way whose call needs a look-up first: while the circuit is open, the period's trial."""
        self._breaker.called(self._now())

    async def ask(
        self,
        path: str,
        *,
        agent_user_id: str | None = None,
        deadline_ms: Ms,
        is_needed: bool = False,
        most_bytes: int = MOST_BODY_BYTES,
    ) -> Answer | Lost | LoginProblem | Held:
        """The platform's answer; Held if there was no permit for it. A 401 is cured once.

        `is_needed`: nothing can be told without it. It waits for a permit as an indicator does, and its failure is one
        of the circuit's; its success is not, since a working GET must not hide the fall of the typing call.
        """
        is_second = False
        while True:
            held = await self._bearer(agent_user_id, deadline_ms)
            if isinstance(held, LoginProblem):
                return held
            cooling_ms = self._pace.wait_ms(agent_user_id)
            if cooling_ms > 0:
                return Held(cooling_ms, COOLING)
            if not await self._may_ask(deadline_ms, is_needed=is_needed):
                return NO_PERMIT
            source, token = held
            answer = await self._exchange(
                "GET",
                path,
                token,
                agent_user_id=agent_user_id,
                deadline_ms=deadline_ms,
                most_bytes=most_bytes,
            )
            if isinstance(answer, Lost) or answer.status != 401:
                break
            if not await self._is_cured(answer, source, token, deadline_ms) or is_second:
                break
            is_second = True
        if is_needed and self._is_failure(answer):
            self._breaker.failed(self._now())
        return answer

    async def _may_ask(self, deadline_ms: Ms, *, is_needed: bool) -> bool:
        if is_needed:
            return await self._permit(Rank.START, deadline_ms - LEAST_CALL_MS)
        return await self._permit(Rank.PAUSE, min(deadline_ms, self._now() + PROBE_PERMIT_MS))

    def _is_failure(self, answer: Answer | Lost) -> bool:
        return isinstance(answer, Lost) or isinstance(
            outcome_of(answer, self._wall(), advice={}), Unreachable
        )

    # -- being asked -----------------------------------------------------------------------------------------

    @property
    def circuit_open(self) -> bool:
        return self._breaker.is_open

    def held_by(self, wish: Wish) -> Hold | None:
        now = self._now()
        if self._pace.wait_ms() > 0:
            return Hold.COOLING
        is_stop = wish.indicator is Indicator.STOPPED
        return None if is_stop or self._breaker.admits(now) else Hold.CIRCUIT_OPEN

    def health(self) -> Health:
        if self._tokens.problem is not None:
            return Health(HealthState.DEGRADED, self._tokens.problem.reason)
        rejected = self._rejection()
        if rejected is not None:
            return Health(HealthState.DEGRADED, rejected)
        if self._breaker.is_open:
            seen = f"{self._breaker.failures} calls in a row failed; one is tried every 10 s"
            reason = f"{seen}: look at the platform's status page, and check {self._door.key}"
            return Health(HealthState.CIRCUIT_OPEN, reason)
        waits = self._pace.reason()
        return Health(HealthState.COOLING if waits else HealthState.OK, waits)

    def _rejection(self) -> str | None:
        """Of the token everybody uses; one agent's rejected token is that agent's trouble."""
        if self._rejected is None or not self._tokens.is_shared:
            return None
        source, token, message = self._rejected
        said = f' ("{message}")' if message else ""
        reason = f"401 with a fresh token{said}: {self._advice[401]}"
        return reason if source.has_given_up(token) else None

    def _now(self) -> Ms:
        return asyncio.get_running_loop().time() * 1000


def _headers(token: Token) -> dict[str, str]:
    return {
        "authorization": f"Bearer {token.secret}",
        "content-type": "application/json",
        "accept": "application/json",
    }


def _without(token: Token, answer: Answer) -> Answer:
    """`answer` with the token struck from the platform's words: some platforms quote what they reject."""
    quoting = {
        name: said.replace(token.secret, "…")
        for name, said in answer.body.items()
        if isinstance(said, str) and token.secret in said
    }
    return replace(answer, body={**answer.body, **quoting}) if quoting else answer
