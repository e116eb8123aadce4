"""Each gateway's platform, asked what can be asked without a guest noticing.

    no token     GET   a session nobody is in       is it there, is it the platform, what time is it there?
    log-in       POST  /oauth/token                 are the credentials taken?
    the token    GET   a session nobody is in       may it look?
                 POST  typing, to nobody            may it type?
    no token     GET   a deployment's configuration is typing shown at all? (where a deployment is named)

Every question has its deadline, and none is repeated.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

from relay import wire
from relay.core.answer import Answer
from relay.core.ids import path_segment
from relay.core.indicator import Address, Cause, Indicator, Wish
from relay.core.moments import Ms, UnixMs
from relay.core.token import Token
from relay.doctor import verdicts
from relay.doctor.finding import Finding, fail, ok, warn
from relay.gateway import genesys, guest
from relay.gateway.http import HttpDoor, Lost
from relay.gateway.login import LOGIN_TIMEOUT_MS
from relay.gateway.oauth import LoginProblem
from relay.gateway.wallet import Wallet
from relay.settings.gateway import Gateway as GatewaySettings

QUESTION_MS: Ms = 5_000.0


@dataclass(frozen=True, slots=True)
class Contract:
    """What is asked of one kind of platform, about nobody."""

    look_path: str
    look_advice: Mapping[int, str]
    needs_look: bool
    type_path: str
    type_body: bytes
    type_advice: Mapping[int, str]


def contract_of(settings: GatewaySettings) -> Contract:
    """With ids drawn now: no session, guest or conversation has them."""
    session, other = str(uuid4()), str(uuid4())
    if settings.kind == "guest":
        advice = guest.advice_for(settings.asked_scope)
        stop = Wish(Indicator.STOPPED, 100, Cause.DIRECT)  # were anybody there, it would still show nothing
        return Contract(
            look_path=f"/api/v2/messaging/sessions/{session}",
            look_advice=advice,
            needs_look=True,
            type_path=f"/api/v2/messaging/guests/{other}/typing",
            type_body=wire.dumps(guest.payload(Address(session, other), stop)),
            type_advice=advice,
        )
    return Contract(
        look_path=f"/api/v2/conversations/{session}",
        look_advice=genesys.LOOK_ADVICE,
        needs_look=False,  # events may bring communicationId
        type_path=f"/api/v2/conversations/messages/{session}/communications/{other}/typing",
        type_body=wire.dumps(genesys.payload(Wish(Indicator.TYPING, 5000, Cause.DIRECT))),
        type_advice=genesys.ADVICE,
    )


async def look_at(
    name: str,
    settings: GatewaySettings,
    *,
    wall: Callable[[], UnixMs],
    agent_user_id: str | None = None,
    deployment_id: str | None = None,
) -> list[Finding]:
    """What one gateway would meet. `agent_user_id`: in whose name to ask where tokens are the agents' own."""
    visit = Visit(name, settings, wall=wall)
    try:
        await visit.start()
        return await visit.findings(agent_user_id, deployment_id)
    finally:
        await visit.close()


class Visit:
    """One gateway's doors, open for the questions."""

    def __init__(self, name: str, settings: GatewaySettings, *, wall: Callable[[], UnixMs]) -> None:
        self._name = name
        self._settings = settings
        self._wall = wall
        self._contract = contract_of(settings)
        self._wallet = Wallet(name, settings, wall=wall)
        self._api = self._door(settings.api_url)

    async def start(self) -> None:
        await self._wallet.start()
        await self._api.start()

    async def close(self) -> None:
        await self._api.close()
        await self._wallet.tokens.close()
        await self._wallet.close()

    async def findings(self, agent_user_id: str | None, deployment_id: str | None) -> list[Finding]:
        found = await self._reach()
        token = await self._bearer(agent_user_id)
        if isinstance(token, Finding):
            found.append(token)
        else:
            found += await self._identity(token)
        if deployment_id is not None and self._settings.kind == "genesys":
            found.append(await self._deployment(deployment_id))
        return found

    async def _reach(self) -> list[Finding]:
        asked_at = self._wall()
        answer = await self._ask("GET", self._contract.look_path)
        found = [verdicts.reached(self._about("platform"), answer)]
        if isinstance(answer, Answer):
            date, answered_at = answer.headers.get("date"), self._wall()
            found.append(
                verdicts.clock(self._about("clock"), date, asked_at=asked_at, answered_at=answered_at)
            )
        return found

    async def _bearer(self, agent_user_id: str | None) -> Token | Finding:
        about, tokens = self._about("log-in"), self._wallet.tokens
        agent = agent_user_id or next(iter(self._settings.agent_tokens), None)
        if not tokens.is_shared and agent is None:
            return warn(about, "not tried: tokens are the agents' own", "name an agent with --agent")
        source = tokens.of(agent)
        held = (
            source
            if isinstance(source, LoginProblem)
            else await source.bearer(deadline_ms=_in(LOGIN_TIMEOUT_MS))
        )
        if isinstance(held, LoginProblem):
            return fail(about, held.reason.removesuffix(f": {held.advice}"), held.advice)
        return held

    async def _identity(self, token: Token) -> list[Finding]:
        ours = "the client's" if self._wallet.tokens.is_shared else "an agent's"
        look = await self._ask("GET", self._contract.look_path, token)
        typed = await self._ask("POST", self._contract.type_path, token, self._contract.type_body)
        found = [
            ok(self._about("log-in"), f"{ours} token was obtained"),
            verdicts.permitted(
                self._about("looking"),
                look,
                advice=self._contract.look_advice,
                secret=token.secret,
                is_vital=self._contract.needs_look,
            ),
            verdicts.permitted(
                self._about(f"typing with {ours} token"),
                typed,
                advice=self._contract.type_advice,
                secret=token.secret,
            ),
        ]
        headers = typed.headers if isinstance(typed, Answer) else {}
        limit = verdicts.budget(self._about("limit"), headers, rate_per_minute=self._settings.rate_per_minute)
        return found if limit is None else [*found, limit]

    async def _deployment(self, deployment_id: str) -> Finding:
        """Asked of the host that guests' clients ask; it wants no token and gets none."""
        door = self._door(self._settings.base_url or f"https://api-cdn.{self._settings.region}")
        await door.start()
        try:
            path = f"/webdeployments/v1/deployments/{path_segment(deployment_id)}/config.json"
            answer = await door.call(
                "GET", path, headers={"accept": "application/json"}, deadline_ms=_in(QUESTION_MS)
            )
        finally:
            await door.close()
        return verdicts.switched_on(self._about("deployment"), answer)

    async def _ask(
        self, method: str, path: str, token: Token | None = None, body: bytes = b""
    ) -> Answer | Lost:
        headers = {"accept": "application/json", "content-type": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token.secret}"
        return await self._api.call(method, path, headers=headers, body=body, deadline_ms=_in(QUESTION_MS))

    def _door(self, url: str) -> HttpDoor:
        return HttpDoor(url, name=self._name, carriers=1, allow_http=self._settings.allow_http)

    def _about(self, what: str) -> str:
        return f"gateway {self._name}, {what}"


def _in(span_ms: Ms) -> Ms:
    return asyncio.get_running_loop().time() * 1000 + span_ms
