"""Genesys Cloud: an agent's typing in a conversation, told on the agent's leg of it.

    show:  leg ─► POST /api/v2/conversations/messages/{conversation}/communications/{leg}/typing
    probe: memory ─► GET /api/v2/conversations/{conversation} ─► memory: alive? which leg is the agent's?

The platform has one word, On, and a guest's display ends by itself or with the next message: a pause or a stop cannot
be told. A call that was accepted proves its conversation alive, so one that is busy is not asked about.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

from relay import wire
from relay.core.answer import Answer, outcome_of
from relay.core.conversation import NOT_CONNECTED, OVER, Look, liveness_in, look_in
from relay.core.ids import is_uuid, path_segment
from relay.core.indicator import Address, Cause, Indicator, Rank, Wish
from relay.core.liveness import FRESH_FOR_MS, Liveness
from relay.core.moments import Ms, UnixMs
from relay.core.outcome import Failure, Held, Outcome, Refused, Shown, Unreachable
from relay.gateway.fitness import Fitness
from relay.gateway.http import HttpDoor, Lost
from relay.gateway.line import Line, Permit
from relay.gateway.oauth import LoginProblem
from relay.gateway.pace import CoolOffCall
from relay.gateway.port import Capabilities, Health, HealthState, Hold
from relay.gateway.probes import Probes
from relay.gateway.wallet import Wallet
from relay.settings.gateway import Gateway as GatewaySettings

GENESYS_CLOUD = Capabilities(shows_paused=False, can_stop=False, message_clears=True, honours_duration=False)

ENDED = frozenset({400, 404, 409, 410})
"""Which of them a leg that has ended is answered with is not documented: after each, the leg is looked up afresh."""

TRIAL_MS: Ms = 10_000.0
MOST_MESSAGE_CHARS = 220  # so that the context id behind it is not cut off

MOST_CONVERSATION_BYTES = 4_194_304
"""A conversation's answer has an entry for every message of it, some 200 bytes each: days of chat, and a bound."""

MAY_TYPE = "conversation:message:create or conversation:webmessaging:create"
MAY_LOOK = "conversation:communication:view"

ADVICE = {
    400: "the agent's leg is not connected any more, or the platform does not take this duration",
    401: "check client id and secret, or the agents' tokens, and that the OAuth client is active",
    403: f"grant {MAY_TYPE} in the conversation's division to the OAuth client, or to the agent whose token it is; "
    "if that is done, this platform wants agents' own tokens: set token_source",
    404: "no such conversation or communication here: check both ids, and region",
    409: "the conversation can take no typing in its state",
    410: "the conversation is over",
    429: "12 typing events a conversation and minute, 300 calls a client and minute are the platform's limits: "
    "lower rate_per_minute if others use this OAuth client",
}


LOOK_ADVICE = {
    401: ADVICE[401],
    403: f"grant {MAY_LOOK} to the OAuth client, or send communicationId with the event",
    429: ADVICE[429],
}

TOO_LARGE = Look(
    Liveness.UNKNOWN,
    why=Refused(
        None,
        "too_large",
        message=f"the conversation's answer is longer than {MOST_CONVERSATION_BYTES // 1_048_576} MiB",
        advice="send communicationId with the event: then there is no leg to look up",
    ),
)
LATE = Unreachable(Failure.TIMEOUT, message="the agent's leg could not be looked up in time")

SAME_ATTEMPT_MS: Ms = 500.0
"""A look that found nothing out is believed by the call it was made for; the next attempt looks again."""


class GenesysGateway:
    """One OAuth client, or the agents' own tokens, on one region. Raises SettingsError for an unusable URL."""

    def __init__(
        self,
        name: str,
        settings: GatewaySettings,
        *,
        permit: Permit,
        cool_off: CoolOffCall,
        wall: Callable[[], UnixMs],
    ) -> None:
        self._name = name
        self._permit = permit
        self._wallet = Wallet(name, settings, wall=wall)
        self._tokens = self._wallet.tokens
        api = HttpDoor(
            settings.api_url,
            name=name,
            carriers=settings.carriers,
            allow_http=settings.allow_http,
            key=settings.api_setting,
        )
        self._line = Line(
            api, self._tokens, permit=permit, cool_off=cool_off, wall=wall, advice=ADVICE, heard=with_context
        )
        self._probes: Probes[Address, Look] = Probes(name, self._ask, fresh_ms=_fresh_ms)
        self._wall = wall
        self._has_trial = settings.probe_at_start and self._tokens.is_shared
        self._fitness = Fitness(name, self._try_identity)

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return GENESYS_CLOUD

    async def start(self) -> None:
        await self._wallet.start()
        await self._line.start()
        if self._has_trial:
            self._fitness.start()

    async def close(self) -> None:
        await self._fitness.close()
        await self._probes.close()
        await self._line.close()
        await self._wallet.close()

    def validate(self, address: Address) -> str | None:
        if not is_uuid(address.session_id):
            return "sessionId must be the conversation's id, a UUID in lower case"
        if address.communication_id is None and address.agent_user_id is None:
            return "communicationId or agentUserId is missing; this gateway addresses an agent's leg"
        if address.communication_id is not None and not is_uuid(address.communication_id):
            return "communicationId must be a UUID in lower case"
        if address.agent_user_id is not None and not is_uuid(address.agent_user_id):
            return "agentUserId must be a UUID in lower case"
        if address.agent_user_id is None and not self._tokens.is_shared:
            return "agentUserId is missing; on this gateway tokens are the agents' own"
        return None

    # -- showing ---------------------------------------------------------------------------------------------

    async def show(self, address: Address, wish: Wish, *, deadline_ms: Ms) -> Outcome:
        problem = self.validate(address)
        if problem is not None:
            return Refused(None, "bad_address", advice=problem)
        if wish.indicator is not Indicator.TYPING:
            return Refused(None, "unsupported", advice="this platform knows no pause and no stop")
        leg = await self._leg(address, deadline_ms)
        if not isinstance(leg, str):
            return leg
        outcome = await self._tell(address, leg, wish, deadline_ms)
        self._learn(address, leg, outcome)
        return outcome

    async def _tell(self, address: Address, leg: str, wish: Wish, deadline_ms: Ms) -> Outcome:
        conversation = path_segment(address.session_id)
        return await self._line.tell(
            f"/api/v2/conversations/messages/{conversation}/communications/{path_segment(leg)}/typing",
            wire.dumps(payload(wish)),
            agent_user_id=address.agent_user_id,
            deadline_ms=deadline_ms,
            fields={
                "gateway": self._name,
                "session_id": address.session_id,
                "communication_id": leg,
                "duration": wish.duration_ms,
            },
        )

    def _learn(self, address: Address, leg: str, outcome: Outcome) -> None:
        if self._tokens.is_shared:  # else it is one agent's permission that is missing
            self._fitness.learn(outcome)
        if isinstance(outcome, Shown):
            self._probes.note(address, Look(Liveness.LIVE, leg))
        elif isinstance(outcome, Refused) and outcome.status in ENDED:
            self.forget(address)

    # -- the agent's leg -------------------------------------------------------------------------------------

    async def _leg(self, address: Address, deadline_ms: Ms) -> str | Outcome:
        """The communication to type on; looked up once where only the agent is named."""
        if address.communication_id is not None:
            seen = self._probes.recall(address)
            is_ringing = seen is not None and seen.why is NOT_CONNECTED
            return NOT_CONNECTED if is_ringing else address.communication_id
        known = self._probes.last(address)
        if known is not None and known.leg is not None:
            return known.leg
        self._line.begins()
        look = await self._probes.probe(address, deadline_ms=deadline_ms, patience_ms=TRIAL_MS)
        return LATE if look is None else look.leg or look.why or LATE

    async def probe(self, address: Address, *, deadline_ms: Ms) -> Liveness:
        if self._line.circuit_open or self.validate(address) is not None:
            return Liveness.UNKNOWN
        look = await self._probes.probe(address, deadline_ms=deadline_ms)
        return Liveness.UNKNOWN if look is None else look.liveness

    def forget(self, address: Address) -> None:
        self._probes.forget(address)

    async def _ask(self, address: Address, deadline_ms: Ms) -> Look:
        known = self._probes.last(address)
        answer = await self._line.ask(
            f"/api/v2/conversations/{path_segment(address.session_id)}",
            agent_user_id=address.agent_user_id,
            deadline_ms=deadline_ms,
            is_needed=address.communication_id is None and (known is None or known.leg is None),
            most_bytes=MOST_CONVERSATION_BYTES,
        )
        look, known = self._look(address, answer), self._probes.last(address)
        is_blind = look.liveness is Liveness.UNKNOWN and look.why is not NOT_CONNECTED
        # A leg that is known stays known, whatever came of looking whether it is still there.
        return replace(look, leg=known.leg) if is_blind and known is not None and known.leg else look

    def _look(self, address: Address, answer: Answer | Lost | LoginProblem | Held) -> Look:
        """A conversation that is not there is an answer, too."""
        match answer:
            case Held():
                return Look(Liveness.UNKNOWN, why=answer)
            case LoginProblem():
                return Look(Liveness.UNKNOWN, why=answer.outcome)
            case Lost():
                return Look(Liveness.UNKNOWN, why=Unreachable(answer.kind))
            case Answer() if answer.is_success:
                return look_in(answer.body, address) if answer.is_whole else TOO_LARGE
            case Answer():
                liveness = liveness_in(answer.status, answer.body, address)
                refusal = outcome_of(with_context(answer), self._wall(), advice=LOOK_ADVICE)
                return Look(liveness, why=OVER if liveness is Liveness.GONE else refusal)

    # -- being asked -----------------------------------------------------------------------------------------

    def held_by(self, wish: Wish) -> Hold | None:
        return self._line.held_by(wish)

    def health(self) -> Health:
        health = self._line.health()
        if health.state is not HealthState.DEGRADED and self._fitness.misfit is not None:
            return Health(HealthState.DEGRADED, self._fitness.misfit)
        return health

    async def _try_identity(self) -> Outcome | None:
        deadline_ms = asyncio.get_running_loop().time() * 1000 + TRIAL_MS
        if not await self._permit(Rank.START, deadline_ms):
            return None
        nowhere, wish = Address(str(uuid4())), Wish(Indicator.TYPING, 5000, Cause.DIRECT)
        return await self._tell(nowhere, str(uuid4()), wish, deadline_ms)


def payload(wish: Wish) -> dict[str, object]:
    """The typing call's body: the one word there is, and for how long."""
    return {"typing": {"type": "On", "duration": wish.duration_ms}}


CORRELATION = ("genesys-correlation-id", "inin-correlation-id")
"""The newer name first; where both are sent they are the same."""


def with_context(answer: Answer) -> Answer:
    """`answer` with the id by which the platform's support finds a refusal, behind its message."""
    named = answer.body.get("contextId") or next(filter(None, map(answer.headers.get, CORRELATION)), None)
    if answer.is_success or not isinstance(named, str) or not named:
        return answer
    said = f"{answer.message[:MOST_MESSAGE_CHARS]} (contextId {named[:64]})".strip()
    return Answer(answer.status, answer.headers, {**answer.body, "message": said}, answer.latency_ms)


def _fresh_ms(look: Look) -> Ms:
    return SAME_ATTEMPT_MS if look.liveness is Liveness.UNKNOWN else FRESH_FOR_MS[look.liveness]
