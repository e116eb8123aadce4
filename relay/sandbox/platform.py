"""A stand-in for the messaging platform: strict about what it takes, and as unreliable as the real one.

Here is the Guest API's contract; conversations, as the real platform has them, are `relay.sandbox.cloud`'s, and what
their guests see is `relay.sandbox.guests`'.

    POST /oauth/token                                     form or Basic; checks client, grant and scope
    GET  /api/v2/messaging/sessions/{sessionId}           {"status": …}
    POST /api/v2/messaging/guests/{guestId}/typing        exactly {sessionId, guestId, type, duration}

    POST /sandbox/chaos                 change the misbehaviour, revoke tokens, force the next answers
    GET  /sandbox/arrivals              every typing call, with its times and answer
    GET  /sandbox/visible/{sessionId}   what the guest sees now; /guest/{sessionId} shows it in a browser

The last three are the operator's. Nothing here imports the relay's own gateway, so neither can hide the other's
mistake.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

from relay.core.ids import is_uuid
from relay.core.indicator import Indicator
from relay.core.moments import Ms, UnixMs
from relay.sandbox import guest_page
from relay.sandbox.arrivals import Arrival, Cleared, visible_at
from relay.sandbox.callers import Callers
from relay.sandbox.chaos import Chaos, Forced, Mischief
from relay.sandbox.cloud import Cloud
from relay.sandbox.conversations import Conversation
from relay.sandbox.faults import Fault, Limit, forced_answer, json_answer, json_body, stall, too_many
from relay.sandbox.guests import Guests
from relay.sandbox.history import History
from relay.sandbox.identity import Identity, Refusal
from relay.sandbox.notifications import Notifications
from relay.sandbox.open_messaging import OpenMessaging
from relay.sandbox.serving import Listener, unix_ms
from relay.sandbox.stagehand import Stagehand
from relay.sandbox.switches import switchboard

KEPT_ARRIVALS = 100_000
FIELDS = {"sessionId", "guestId", "type", "duration"}
LIVE = {"active", "connected", "routed"}


class StandInPlatform:
    """`async with StandInPlatform() as platform:` serves on a free loopback port until the block ends.

    `on_arrival` is told of each typing call, before it is answered; it returns at once.
    """

    def __init__(
        self,
        chaos: Chaos | None = None,
        *,
        identity: Identity | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        wall: Callable[[], UnixMs] = unix_ms,
        on_arrival: Callable[[Arrival], None] = lambda _: None,
    ) -> None:
        self.identity = identity or Identity()
        self.mischief = Mischief(chaos or Chaos())
        self.arrivals: deque[Arrival] = deque(maxlen=KEPT_ARRIVALS)
        self.seen: deque[Arrival | Cleared] = deque(maxlen=KEPT_ARRIVALS)
        self.probes = 0
        self.open_calls = 0
        self.most_open_calls = 0
        self._wall = wall
        self._on_arrival = on_arrival
        self._answered_at: dict[str, Ms] = {}
        app = web.Application()
        app.router.add_post("/oauth/token", self._token)
        app.router.add_get("/api/v2/messaging/sessions/{session_id}", self._session)
        app.router.add_post("/api/v2/messaging/guests/{guest_id}/typing", self._typing)
        self.callers = Callers(self.identity, self.mischief)
        self.callers.watch(app)
        self.cloud = Cloud(self.callers, self.mischief, note=self._note, wall=wall)
        self.cloud.on_message.append(self._note_cleared)
        self.cloud.on_end.append(self._note_cleared)
        self.cloud.add_routes(app)
        self.guests = Guests(self.cloud, self.identity, self.mischief, wall=wall)
        self.guests.add_routes(app)
        self.open_messaging = OpenMessaging(self.cloud, wall=wall)
        self.open_messaging.add_routes(app)
        History(self.cloud, self.guests, self.identity).add_routes(app)
        Notifications(self.cloud, self.callers, self.mischief, wall=wall).add_routes(app)
        guest_page.add_routes(app)
        self.stagehand = Stagehand(
            self.cloud,
            self.guests,
            self.identity,
            wall=wall,
            life_s=lambda: self.mischief.chaos.token_life_s,
        )
        self.stagehand.add_routes(app)
        app.router.add_post("/sandbox/chaos", switchboard(self.mischief, self.identity))
        app.router.add_get("/sandbox/arrivals", self._list_arrivals)
        app.router.add_get("/sandbox/visible/{session_id}", self._visible)
        self._listener = Listener(app, host=host, port=port)

    async def __aenter__(self) -> Self:
        await self._listener.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.close()

    @property
    def base_url(self) -> str:
        return self._listener.base_url

    def visible(self, session_id: str) -> Indicator | None:
        """What the guest of `session_id` sees now."""
        return visible_at(self.seen, session_id, _now())

    # -- the platform's own API ------------------------------------------------------------------------------

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        forced = self.mischief.next_forced("token")
        if forced is not None and forced.status is not None:
            answer = forced_answer(forced)
        else:
            answer = self._grant(form, request.headers.get("authorization"))
        await self._delay(request, forced)
        return answer

    def _grant(self, form: dict[str, str], authorization: str | None) -> web.Response:
        granted = self.identity.grant(
            form, authorization, now=_now(), life_s=self.mischief.chaos.token_life_s
        )
        if isinstance(granted, Refusal):
            return json_answer(granted.body, status=granted.status)
        return json_answer(granted)

    async def _session(self, request: web.Request) -> web.Response:
        self.probes += 1
        forced = self.mischief.next_forced("session")
        await self._delay(request, forced)
        if forced is not None and forced.status is not None:
            return forced_answer(forced)
        self._check_bearer(request)
        session_id = request.match_info["session_id"]
        return json_answer({"id": session_id, "status": self._status_of(session_id)})

    async def _typing(self, request: web.Request) -> web.Response:
        """Applied on arrival, or `applies_after_ms` later; only the answer is slow."""
        body = await json_body(request)
        forced = self.mischief.next_forced("typing")
        self.open_calls += 1
        self.most_open_calls = max(self.most_open_calls, self.open_calls)
        try:
            if forced is not None and forced.applies_after_ms:
                await asyncio.sleep(forced.applies_after_ms / 1000)
            arrival, answer = self._arrive(request, body, forced)
            await self._delay(request, forced)
        finally:
            self.open_calls -= 1
        if arrival.is_applied:
            self._note_answered(arrival.session_id)
        return answer

    def _arrive(
        self, request: web.Request, body: dict[str, Any], forced: Forced | None
    ) -> tuple[Arrival, web.Response]:
        at = _now()
        answer, is_applied = self._answer(request, body, forced, at=at)
        if forced is not None and forced.is_applied is not None:
            is_applied = forced.is_applied
        arrival = Arrival(
            at=at,
            wall=self._wall(),
            session_id=_text(body.get("sessionId")),
            guest_id=request.match_info["guest_id"],
            indicator=_indicator(body.get("type")),
            duration_ms=body["duration"] if isinstance(body.get("duration"), int) else 0,
            status=answer.status,
            is_applied=is_applied,
        )
        self._note(arrival)
        return arrival, answer

    def _note(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        self.seen.append(arrival)
        self._on_arrival(arrival)

    def _note_cleared(self, conversation: Conversation, *_: object) -> None:
        self.seen.append(Cleared(_now(), conversation.id))

    def _note_answered(self, session_id: str) -> None:
        self._answered_at.pop(session_id, None)
        self._answered_at[session_id] = _now()
        if len(self._answered_at) > KEPT_ARRIVALS:
            del self._answered_at[next(iter(self._answered_at))]

    def _answer(
        self, request: web.Request, body: dict[str, Any], forced: Forced | None, *, at: Ms
    ) -> tuple[web.Response, bool]:
        if forced is not None and forced.status is not None:
            return forced_answer(forced), 200 <= forced.status < 300
        try:
            self._check_bearer(request)
            self._check_body(request.match_info["guest_id"], body)
            self._check_session(_text(body.get("sessionId")), at)
            if forced is None:
                self._misbehave()
        except Fault as fault:
            return fault.answer(), False
        return web.Response(status=200), True

    # -- checks ----------------------------------------------------------------------------------------------

    def _check_bearer(self, request: web.Request) -> None:
        problem = self.identity.bearer_problem(request.headers.get("authorization"), _now())
        if problem is not None:
            raise Fault(401, *problem)

    def _check_body(self, guest_id: str, body: dict[str, Any]) -> None:
        duration = body.get("duration")
        if body.keys() != FIELDS:
            raise Fault(400, "bad.request", f"The body must have exactly the fields {sorted(FIELDS)}.")
        if not is_uuid(_text(body["sessionId"])):
            raise Fault(400, "invalid.value", "sessionId must be a UUID.")
        if body["guestId"] != guest_id:
            raise Fault(400, "invalid.value", "guestId must be the guest of the path.")
        if _indicator(body["type"]) is None:
            raise Fault(400, "invalid.value", f"type must be one of {[each.value for each in Indicator]}.")
        if isinstance(duration, bool) or not isinstance(duration, int) or not 100 <= duration <= 10_000:
            raise Fault(400, "invalid.value", "duration must be an integer of 100 to 10000 milliseconds.")

    def _check_session(self, session_id: str, at: Ms) -> None:
        if self._status_of(session_id).lower() not in LIVE:
            raise Fault(409, "conflict", "The session is not active.")
        interval_ms = self.mischief.chaos.min_interval_ms
        if at < self._answered_at.get(session_id, float("-inf")) + interval_ms:
            raise too_many(f"{interval_ms / 1000:g}", limit=Limit("session.typing.rate", "session", 1))

    def _status_of(self, session_id: str) -> str:
        chaos = self.mischief.chaos
        status = chaos.sessions.get(session_id, chaos.session_status)
        if not status:
            raise Fault(404, "not.found", "The requested resource was not found.")
        return status

    def _misbehave(self) -> None:
        fault = self.mischief.fault()
        if fault == 429:
            raise too_many(self.mischief.chaos.retry_after_s)
        if fault is not None:
            raise Fault(fault, "service.unavailable", "The service is unavailable.")

    async def _delay(self, request: web.Request, forced: Forced | None) -> None:
        await stall(request, forced, self.mischief.delay_ms() if forced is None else 0.0)

    # -- the operator's view -----------------------------------------------------------------------------

    async def _list_arrivals(self, _request: web.Request) -> web.Response:
        return json_answer(
            {
                "now": _now(),
                "tokens": {"granted": self.identity.granted, "refused": self.identity.refused},
                "probes": self.probes,
                "conversations_read": self.cloud.reads,
                "most_open_calls": self.most_open_calls,
                "arrivals": list(self.arrivals),
            }
        )

    async def _visible(self, request: web.Request) -> web.Response:
        indicator = self.visible(request.match_info["session_id"])
        return json_answer({"visible": None if indicator is None else indicator.value})


def _now() -> Ms:
    return asyncio.get_running_loop().time() * 1000


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _indicator(value: object) -> Indicator | None:
    return next((each for each in Indicator if each.value == value), None)
