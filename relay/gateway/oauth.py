"""One bearer token for everybody who calls in its name, renewed before its end.

    start ─► fetch ─► token ─► timer at renew_at ─► fetch …
                ▲                     bearer()      the token in hand, else the fetch under way
                └──────────────────── renewed()     after a 401: at most one fetch for any number of callers

There is never more than one fetch under way, and none is started by counting callers: `TokenCache` decides. Where a
token comes from is `relay.gateway.login`'s and `relay.gateway.agents`' to know.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from relay.core.moments import Ms
from relay.core.outcome import Failure, Unreachable
from relay.core.token import Remedy, Token, TokenCache

logger = logging.getLogger("relay.gateway")


@dataclass(frozen=True, slots=True)
class Granted:
    """A new token; its life counts from the asking."""

    secret: str = field(repr=False)
    life_ms: Ms


@dataclass(frozen=True, slots=True)
class LoginProblem:
    """Why there is no token. `advice` is the fix; `status` None where nobody answered.

    `is_refusal`: asking again soon would change nothing. `wait_ms` is how long we were asked to wait.
    """

    advice: str
    status: int | None = None
    message: str = ""
    is_refusal: bool = False
    wait_ms: Ms | None = None

    @property
    def reason(self) -> str:
        """One line for the operator: what was seen, what the platform said, what to do."""
        seen = "log-in got no answer" if self.status is None else f"log-in was answered {self.status}"
        said = f' ("{self.message}")' if self.message else ""
        return f"{seen}{said}: {self.advice}"

    @property
    def outcome(self) -> Unreachable:
        """Of a call that was not made for want of a token. The platform's words stand in the reason, once."""
        return Unreachable(Failure.LOGIN, self.status, advice=self.reason)


Fetch = Callable[[], Awaitable[Granted | LoginProblem]]
"""Asks for a token once, within its own deadline. Never raises for the network."""


class Tokens(Protocol):
    """Whose token a call is made with: the client's own for all calls, or one for each agent."""

    @property
    def is_shared(self) -> bool: ...

    @property
    def problem(self) -> LoginProblem | None:
        """What keeps everybody from having a token; None if nothing does."""
        ...

    def start(self) -> None: ...

    async def close(self) -> None: ...

    def of(self, agent_user_id: str | None) -> "TokenSource | LoginProblem": ...


class TokenSource:
    """One token, cached and renewed. `start` must be called inside the loop it will live on.

    `is_eager`: renewed in the background, whether or not anybody calls; else by the first call in its last minute.
    """

    is_shared = True

    def __init__(self, name: str, fetch: Fetch, *, is_eager: bool = True) -> None:
        self._name = name
        self._fetch = fetch
        self._is_eager = is_eager
        self._cache = TokenCache()
        self._login: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.problem: LoginProblem | None = None
        self.logins = 0

    def of(self, agent_user_id: str | None) -> "TokenSource | LoginProblem":  # noqa: ARG002 - one for all of them
        return self

    def start(self) -> None:
        """Begin the first log-in; does not wait for it."""
        self._log_in_if_due()

    async def close(self) -> None:
        self.cancel()
        if self._login is not None:
            await asyncio.wait({self._login})

    def cancel(self) -> None:
        """Ask for no token any more; `close` also waits until that is so."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._login is not None:
            self._login.cancel()

    async def bearer(self, *, deadline_ms: Ms) -> Token | LoginProblem:
        """A token that has not expired, else why there is none by `deadline_ms`."""
        token = self._cache.usable(self._now())
        if token is None:
            self._log_in_if_due()
            await self._login_over(deadline_ms)
            token = self._cache.usable(self._now())
        elif self._now() >= self._cache.next_at():
            self._log_in_if_due()  # the old one serves meanwhile
        return token or self.problem or LoginProblem("the log-in takes longer than the indicator can wait")

    async def renewed(self, rejected: Token, *, deadline_ms: Ms) -> bool:
        """True if there is now a newer token than the one the platform just answered 401 to."""
        match self._cache.rejected(rejected, self._now()):
            case Remedy.USE_NEWER:
                return True
            case Remedy.GIVE_UP:
                return False
            case Remedy.RENEW:
                logger.info("token rejected, logging in", extra={"fields": {"gateway": self._name}})
                self._log_in_if_due()
                await self._login_over(deadline_ms)
                return self._cache.usable(self._now()) is not None

    def has_given_up(self, token: Token) -> bool:
        """True while a 401 on a call made with `token` would not be cured by a log-in."""
        return self._cache.has_given_up(token, self._now())

    def accepted(self, token: Token) -> None:
        """The platform took an indicator sent with `token`."""
        self._cache.proven(token)

    def _now(self) -> Ms:
        return asyncio.get_running_loop().time() * 1000

    async def _login_over(self, deadline_ms: Ms) -> None:
        if self._login is not None:
            await asyncio.wait({self._login}, timeout=max(0.0, (deadline_ms - self._now()) / 1000))

    def _log_in_if_due(self) -> None:
        if self._is_closed or not self._cache.may_ask(self._now()):
            return
        self._cache.asked()
        self.logins += 1
        self._login = asyncio.create_task(self._log_in(), name=f"gateway {self._name}: log-in")

    async def _log_in(self) -> None:
        asked_at = self._now()
        self._settle(await self._fetched(), asked_at)
        if self._is_eager:
            self._arm()

    async def _fetched(self) -> Granted | LoginProblem:
        try:
            return await self._fetch()
        except Exception as why:  # were it left under way, nobody would ever ask again
            logger.exception("log-in broke", extra={"fields": {"gateway": self._name}})
            return LoginProblem(
                f"a fault of the relay ({type(why).__name__}): see the log; it is tried again"
            )

    def _arm(self) -> None:
        """One timer: a log-in that it did not start would else leave it running beside the next."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._cache.next_at() / 1000, self._log_in_if_due)

    def _settle(self, answer: Granted | LoginProblem, asked_at: Ms) -> None:
        if isinstance(answer, Granted):
            self._cache.granted(answer.secret, life_ms=answer.life_ms, asked_at=asked_at)
            self.problem = None
            return
        self.problem = answer
        if answer.is_refusal:
            self._cache.refused(self._now())
        else:
            self._cache.failed(self._now(), wait_ms=answer.wait_ms)
        logger.warning("%s", answer.reason, extra={"fields": {"gateway": self._name}})
