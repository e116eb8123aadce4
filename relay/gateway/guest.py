"""The Guest API contract: typing indicators shown by POST, sessions watched by GET, one OAuth client.

    show:  token ─► POST /api/v2/messaging/guests/{guestId}/typing ─► Outcome ─┬─► circuit, cool-off gate
                                                                                └─► token source (401)
    probe: memory ─► permit ─► GET /api/v2/messaging/sessions/{sessionId} ─► memory

The gateway knows nothing of budgets: whoever calls `show` holds a permit already, and for its own probes it
asks the `permit` it was given.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from relay import wire
from relay.core.answer import Answer, outcome_of
from relay.core.breaker import Breaker
from relay.core.cooloff import CoolOffGate
from relay.core.ids import is_id, is_uuid, path_segment
from relay.core.indicator import Address, Rank, Wish, rank_of
from relay.core.liveness import Liveness, liveness_of
from relay.core.moments import Ms, UnixMs
from relay.core.outcome import CoolOff, Expired, Failure, Outcome, Refused, Shown, Unauthorised, Unreachable
from relay.core.token import Token
from relay.gateway.http import HttpDoor, Lost
from relay.gateway.oauth import LoginProblem, TokenSource
from relay.gateway.port import Capabilities, Health, HealthState, Hold
from relay.gateway.probes import Probes
from relay.settings.models import Gateway as GatewaySettings

logger = logging.getLogger("relay.gateway")

PROBE_PERMIT_MS: Ms = 20
"""A probe takes a permit that is free. Where the budget is short, it is the indicators that are worth it."""

GUEST_API = Capabilities(shows_paused=True, can_stop=True, message_clears=False)


def advice_for(scope: str) -> dict[int, str]:
    """Per status of the typing call, what the operator can do about it."""
    return {
        400: "check that the session id is a live session's, the duration 100..10000 ms and the type a known one",
        401: f"check client id and secret, and that the client has the scope {scope}",
        403: f"grant the scope {scope} to the OAuth client, and enable web messaging for the organisation",
        404: "the session or guest is unknown here; check that both belong to this platform",
        409: "the session can take no indicator in its state",
        410: "the session is over",
        429: "lower rate_per_minute, or raise min_interval_ms if single sessions are limited",
    }


class GuestGateway:
    """One OAuth client on one Guest API. Raises SettingsError for an unusable base URL.

    `permit(rank, deadline_ms)` takes one request from the identity's budget, or says there was none in time.
    `cool_off(until_ms)` closes the identity's gate; it is called for every wait that is not one session's own.
    """

    def __init__(
        self,
        name: str,
        settings: GatewaySettings,
        *,
        permit: Callable[[Rank, Ms], Awaitable[bool]],
        cool_off: Callable[[Ms], None],
        wall: Callable[[], UnixMs],
    ) -> None:
        self._name = name
        self._permit = permit
        self._cool_off = cool_off
        self._wall = wall
        self._advice = advice_for(settings.scope)
        self._door = HttpDoor(
            settings.base_url, name=name, carriers=settings.carriers, allow_http=settings.allow_http
        )
        self._tokens = TokenSource(
            self._door,
            name=name,
            client_id=settings.client_id,
            client_secret=settings.client_secret.get_secret_value(),
            scope=settings.scope,
            is_basic=settings.token_auth == "basic",  # noqa: S105 - names a method, holds no secret
            wall=wall,
        )
        self._probes = Probes(name, self._ask)
        self._breaker = Breaker()
        self._gate = CoolOffGate()
        self._rejected: tuple[Token, str] | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return GUEST_API

    async def start(self) -> None:
        await self._door.start()
        self._tokens.start()

    async def close(self) -> None:
        await self._probes.close()
        await self._tokens.close()
        await self._door.close()

    def validate(self, address: Address) -> str | None:
        if not is_uuid(address.session_id):
            return "sessionId must be a UUID (8-4-4-4-12 hexadecimal digits)"
        if address.guest_id is None:
            return "guestId is missing; this gateway addresses a guest"
        if not is_id(address.guest_id):
            return "guestId must be 1 to 128 letters, digits or . _ : ~ - and begin with a letter or digit"
        return None

    # -- showing ---------------------------------------------------------------------------------------------

    async def show(self, address: Address, wish: Wish, *, deadline_ms: Ms) -> Outcome:
        problem = self.validate(address)
        if problem is not None:
            return Refused(None, "bad_address", advice=problem)
        token = await self._tokens.bearer(deadline_ms=deadline_ms)
        if isinstance(token, LoginProblem):
            return Unreachable(Failure.LOGIN, token.status, message=token.message, advice=token.reason)
        cooling_ms = self._gate.wait_ms(self._now())
        if cooling_ms > 0:  # closed by another call's answer, since `held_by` was asked
            return CoolOff(None, cooling_ms, message="not sent: the platform asked to wait")
        return await self._post(address, wish, token=token, deadline_ms=deadline_ms)

    async def _post(self, address: Address, wish: Wish, *, token: Token, deadline_ms: Ms) -> Outcome:
        self._log_payload(address, wish, token)
        self._breaker.called(self._now())
        answer = await self._door.call(
            "POST",
            f"/api/v2/messaging/guests/{path_segment(address.guest_id or '')}/typing",
            headers=_headers(token),
            body=wire.dumps(payload(address, wish)),
            deadline_ms=deadline_ms,
        )
        if isinstance(answer, Lost):
            self._breaker.failed(self._now())
            return Unreachable(answer.kind, is_unknown=answer.was_sent)
        outcome = outcome_of(_without(token, answer), self._wall(), advice=self._advice)
        if isinstance(outcome, Unauthorised):
            return await self._after_401(outcome, token, deadline_ms)
        self._learn(outcome, address, token)
        return outcome

    async def _after_401(self, outcome: Unauthorised, token: Token, deadline_ms: Ms) -> Outcome:
        self._breaker.succeeded()
        if await self._tokens.renewed(token, deadline_ms=deadline_ms):
            return Expired()
        self._rejected = token, outcome.message
        return outcome

    def _learn(self, outcome: Outcome, address: Address, token: Token) -> None:
        match outcome:
            case Shown():
                self._breaker.succeeded()
                self._tokens.accepted(token)
            case CoolOff():
                self._wait(outcome)
            case Unreachable():
                self._breaker.failed(self._now())
            case Refused(status=status):
                self._breaker.succeeded()
                if status in {404, 409, 410}:
                    self.forget(address)
            case Expired() | Unauthorised():
                self._breaker.succeeded()

    def _wait(self, outcome: CoolOff) -> None:
        if outcome.status == 429:
            self._breaker.succeeded()
        if outcome.for_session or outcome.wait_ms is None:
            return
        until = self._now() + outcome.wait_ms
        self._gate.close(until)
        self._cool_off(until)

    # -- probing ---------------------------------------------------------------------------------------------

    async def probe(self, address: Address, *, deadline_ms: Ms) -> Liveness:
        if self._breaker.is_open or self.validate(address) is not None:
            return Liveness.UNKNOWN
        return await self._probes.probe(address.session_id, deadline_ms=deadline_ms)

    def forget(self, address: Address) -> None:
        self._probes.forget(address.session_id)

    async def _ask(self, session_id: str, deadline_ms: Ms) -> Liveness:
        answer = await self._get_session(session_id, deadline_ms)
        if not isinstance(answer, Answer):
            return (
                Liveness.UNKNOWN
            )  # the circuit is the typing call's alone: a working GET must not hide its fall
        outcome = outcome_of(answer, self._wall(), advice={})
        if isinstance(outcome, CoolOff):
            self._wait(outcome)
        return liveness_of(answer.status, answer.body.get("status"))

    async def _get_session(self, session_id: str, deadline_ms: Ms) -> Answer | Lost | None:
        """The platform's answer; None if there was no permit or token to ask it with. A 401 is cured once."""
        path = f"/api/v2/messaging/sessions/{path_segment(session_id)}"
        for _ in range(2):
            token = await self._tokens.bearer(deadline_ms=deadline_ms)
            permit_by_ms = min(deadline_ms, self._now() + PROBE_PERMIT_MS)
            if isinstance(token, LoginProblem) or not await self._permit(Rank.START, permit_by_ms):
                return None
            answer = await self._door.call("GET", path, headers=_headers(token), deadline_ms=deadline_ms)
            is_rejected = isinstance(answer, Answer) and answer.status == 401
            if not is_rejected or not await self._tokens.renewed(token, deadline_ms=deadline_ms):
                return answer
        return None

    # -- being asked -----------------------------------------------------------------------------------------

    @property
    def circuit_open(self) -> bool:
        return self._breaker.is_open

    def held_by(self, wish: Wish) -> Hold | None:
        now = self._now()
        if self._gate.wait_ms(now) > 0:
            return Hold.COOLING
        is_stop = rank_of(wish) is Rank.STOP
        return None if is_stop or self._breaker.admits(now) else Hold.CIRCUIT_OPEN

    def health(self) -> Health:
        cooling_ms = self._gate.wait_ms(self._now())
        if self._tokens.problem is not None:
            return Health(HealthState.DEGRADED, self._tokens.problem.reason)
        if self._rejected is not None and self._tokens.has_given_up(self._rejected[0]):
            said = f' ("{self._rejected[1]}")' if self._rejected[1] else ""
            return Health(HealthState.DEGRADED, f"401 with a fresh token{said}: {self._advice[401]}")
        if self._breaker.is_open:
            reason = (
                f"{self._breaker.failures} calls in a row failed; one is tried every 10 s: check base_url"
            )
            return Health(HealthState.CIRCUIT_OPEN, reason)
        if cooling_ms > 0:
            return Health(HealthState.COOLING, f"the platform asked to wait {cooling_ms / 1000:.1f} s more")
        return Health(HealthState.OK)

    def _now(self) -> Ms:
        return asyncio.get_running_loop().time() * 1000

    def _log_payload(self, address: Address, wish: Wish, token: Token) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            fields = {
                "gateway": self._name,
                "session_id": address.session_id,
                "guest_id": address.guest_id,
                "type": wish.indicator.value,
                "duration": wish.duration_ms,
                "token_age_s": round(self._tokens.age_s(token), 1),
            }
            logger.debug("typing call", extra={"fields": fields})


def payload(address: Address, wish: Wish) -> dict[str, object]:
    """The typing call's body: these four fields and no other."""
    return {
        "sessionId": address.session_id,
        "guestId": address.guest_id,
        "type": wish.indicator.value,
        "duration": wish.duration_ms,
    }


def _headers(token: Token) -> dict[str, str]:
    return {
        "authorization": f"Bearer {token.secret}",
        "content-type": "application/json",
        "accept": "application/json",
    }


def _without(token: Token, answer: Answer) -> Answer:
    """`answer` with the token struck from the platform's message: some platforms quote what they reject."""
    message = answer.body.get("message")
    if not isinstance(message, str) or token.secret not in message:
        return answer
    body = {**answer.body, "message": message.replace(token.secret, "…")}
    return Answer(answer.status, answer.headers, body, answer.latency_ms)
