"""Who calls the stand-in, how often and with which leave; and what each of its answers carries.

Every path under `/api/v2` of the real platform wants a bearer that is known and fresh, whether or not there is anything
at that path; every answer, of whatever contract, says how much of the client's limit is used and whom to quote.
"""

import asyncio
from collections.abc import Awaitable, Callable
from math import ceil
from uuid import uuid4

from aiohttp import web

from relay.core.moments import Ms
from relay.sandbox.chaos import Mischief
from relay.sandbox.faults import Fault, Limit, too_many
from relay.sandbox.identity import Identity
from relay.sandbox.rates import Rolling

CLIENT = "client"

TYPING = "conversation:message:create, conversation:webmessaging:create"
READING = "conversation:communication:view"
RECEIVING = "conversation:message:receive"

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Callers:
    """Calls about conversations count against who makes them; the Guest API knows no limit of that kind."""

    def __init__(self, identity: Identity, mischief: Mischief) -> None:
        self.refused_429 = 0
        self._identity = identity
        self._mischief = mischief
        self._calls = Rolling()

    def watch(self, app: web.Application) -> None:
        """Faults become answers, and each answer gets its headers, a socket's handshake too."""
        app.middlewares.append(self._answered)
        app.on_response_prepare.append(self._sign)

    def calls_of(self, user_id: str | None = None) -> int:
        """Calls in the last minute that counted against this agent's limit, or the client's."""
        return self._calls.count(user_id or CLIENT, _now())

    def check(self, request: web.Request) -> str:
        """Who calls: an agent's user id, or CLIENT. Raises Fault (401, 429)."""
        now, most = _now(), self._mischief.chaos.client_per_minute
        authorization = request.headers.get("authorization")
        problem = self._identity.bearer_problem(authorization, now)
        if problem is not None:
            raise Fault(401, *problem)
        if self._identity.guest_of(authorization) is not None:
            raise Fault(401, "bad.credentials", "Invalid login credentials.")
        caller = self._caller(request)
        wait_ms = self._calls.admit(caller, now, most=most)
        if wait_ms > 0:
            key = "client.credentials.token.rate.per.minute"
            key = key if caller == CLIENT else "org.app.user.rate.per.minute"
            raise too_many(str(ceil(wait_ms / 1000)), limit=Limit(key, "platform.api", most))
        return caller

    def check_permission(self, caller: str, needed: str) -> None:
        """Raises Fault (403)."""
        chaos = self._mischief.chaos
        is_granted = chaos.may_read if needed == READING else chaos.is_permitted
        is_refused = chaos.wants_users and caller == CLIENT and needed == TYPING
        if not is_granted or is_refused:
            raise Fault(
                403,
                "missing.any.permissions",
                f"Unable to perform the requested action. You are missing the following permission(s): {needed}",
            )

    def _caller(self, request: web.Request) -> str:
        return self._identity.user_of(request.headers.get("authorization")) or CLIENT

    @web.middleware
    async def _answered(self, request: web.Request, handler: Answering) -> web.StreamResponse:
        """`handler` is aiohttp's name."""
        try:
            answer = await handler(request)
        except Fault as fault:
            answer = fault.answer()
        except web.HTTPException as why:
            if not request.path.startswith("/api/v2/"):
                raise
            answer = self._missed(request, why).answer()
        self.refused_429 += answer.status == 429
        return answer

    def _missed(self, request: web.Request, why: web.HTTPException) -> Fault:
        """What a path of the platform's that is not here deserves: first of all a good bearer."""
        try:
            self.check(request)
        except Fault as fault:
            return fault
        code = why.reason.lower().replace(" ", ".")
        return Fault(why.status, code, "The requested resource was not found.")

    async def _sign(self, request: web.Request, answer: web.StreamResponse) -> None:
        caller, now = self._caller(request), _now()
        answer.headers["inin-ratelimit-count"] = str(self._calls.count(caller, now))
        answer.headers["inin-ratelimit-allowed"] = str(self._mischief.chaos.client_per_minute)
        answer.headers["inin-ratelimit-reset"] = str(ceil(self._calls.frees_in(caller, now) / 1000))
        answer.headers["ININ-Correlation-Id"] = str(uuid4())


def _now() -> Ms:
    return asyncio.get_running_loop().time() * 1000
