"""The Guest API contract: typing indicators shown by POST, sessions watched by GET, one OAuth client.

    show:  POST /api/v2/messaging/guests/{guestId}/typing
    probe: memory ─► GET /api/v2/messaging/sessions/{sessionId} ─► memory

Tokens, circuit and cool-off are the line's (`relay.gateway.line`).
"""

from collections.abc import Callable

from relay import wire
from relay.core.answer import Answer
from relay.core.ids import is_id, is_uuid, path_segment
from relay.core.indicator import Address, Wish
from relay.core.liveness import FRESH_FOR_MS, Liveness, liveness_of
from relay.core.moments import Ms, UnixMs
from relay.core.outcome import Outcome, Refused, Shown
from relay.gateway.fitness import denial
from relay.gateway.http import HttpDoor
from relay.gateway.line import Line, Permit
from relay.gateway.pace import CoolOffCall
from relay.gateway.port import Capabilities, Health, HealthState, Hold
from relay.gateway.probes import Probes
from relay.gateway.wallet import Wallet
from relay.settings.gateway import Gateway as GatewaySettings

GUEST_API = Capabilities(shows_paused=True, can_stop=True, message_clears=False)

ENDED = frozenset({404, 409, 410})
"""Answers after which what is known of the session is not worth keeping."""


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
    """One OAuth client on one Guest API. Raises SettingsError for an unusable base URL."""

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
        door = HttpDoor(
            settings.api_url,
            name=name,
            carriers=settings.carriers,
            allow_http=settings.allow_http,
            key=settings.api_setting,
        )
        self._wallet = Wallet(name, settings, wall=wall)
        advice = advice_for(settings.asked_scope)
        self._line = Line(
            door, self._wallet.tokens, permit=permit, cool_off=cool_off, wall=wall, advice=advice
        )
        self._denied = ""
        self._probes: Probes[str, Liveness] = Probes(name, self._ask, fresh_ms=FRESH_FOR_MS.__getitem__)

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return GUEST_API

    async def start(self) -> None:
        await self._wallet.start()
        await self._line.start()

    async def close(self) -> None:
        await self._probes.close()
        await self._line.close()
        await self._wallet.close()

    def validate(self, address: Address) -> str | None:
        if not is_uuid(address.session_id):
            return "sessionId must be a UUID (8-4-4-4-12 hexadecimal digits) in lower case"
        if address.guest_id is None:
            return "guestId is missing; this gateway addresses a guest"
        if not is_id(address.guest_id):
            return "guestId must be 1 to 128 letters, digits or . _ : ~ - and begin with a letter or digit"
        return None

    async def show(self, address: Address, wish: Wish, *, deadline_ms: Ms) -> Outcome:
        problem = self.validate(address)
        if problem is not None:
            return Refused(None, "bad_address", advice=problem)
        outcome = await self._line.tell(
            f"/api/v2/messaging/guests/{path_segment(address.guest_id or '')}/typing",
            wire.dumps(payload(address, wish)),
            deadline_ms=deadline_ms,
            fields=self._fields(address, wish),
        )
        if isinstance(outcome, Refused) and outcome.status in ENDED:
            self.forget(address)
        if isinstance(outcome, Shown):
            self._denied = ""
        elif isinstance(outcome, Refused) and outcome.status == 403:
            self._denied = denial(outcome)
        return outcome

    async def probe(self, address: Address, *, deadline_ms: Ms) -> Liveness:
        if self._line.circuit_open or self.validate(address) is not None:
            return Liveness.UNKNOWN
        return await self._probes.probe(address.session_id, deadline_ms=deadline_ms) or Liveness.UNKNOWN

    def forget(self, address: Address) -> None:
        self._probes.forget(address.session_id)

    async def _ask(self, session_id: str, deadline_ms: Ms) -> Liveness:
        path = f"/api/v2/messaging/sessions/{path_segment(session_id)}"
        answer = await self._line.ask(path, deadline_ms=deadline_ms)
        if not isinstance(answer, Answer):
            return Liveness.UNKNOWN
        return liveness_of(answer.status, answer.body.get("status"))

    def held_by(self, wish: Wish) -> Hold | None:
        return self._line.held_by(wish)

    @property
    def circuit_open(self) -> bool:
        return self._line.circuit_open

    def health(self) -> Health:
        """The last 403 is told until something is shown again. It degrades nothing: it may be about its session alone."""
        health = self._line.health()
        is_well = health.state is HealthState.OK and not health.reason
        return Health(health.state, self._denied) if is_well else health

    def _fields(self, address: Address, wish: Wish) -> dict[str, object]:
        return {
            "gateway": self._name,
            "session_id": address.session_id,
            "guest_id": address.guest_id,
            "type": wish.indicator.value,
            "duration": wish.duration_ms,
        }


def payload(address: Address, wish: Wish) -> dict[str, object]:
    """The typing call's body: these four fields and no other."""
    return {
        "sessionId": address.session_id,
        "guestId": address.guest_id,
        "type": wish.indicator.value,
        "duration": wish.duration_ms,
    }
