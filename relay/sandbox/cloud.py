"""Conversations on the stand-in platform, as Genesys Cloud has them: typing by communication, limits, two shapes.

    GET  /api/v2/conversations/{id}                        with every leg's communication
    GET  /api/v2/conversations/messages/{id}               without
    POST /api/v2/conversations/messages/{id}/communications/{communicationId}/typing
                                                           {"typing": {"type": "On", "duration"?}, "dateSent"?}

Who may call is `relay.sandbox.callers`' to say. The doors by which an operator or a test makes conversations, and moves
people in and out of them, are `relay.sandbox.stagehand`'s.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from math import ceil
from typing import Any

from aiohttp import web

from relay.core.indicator import Indicator
from relay.core.moments import Ms, UnixMs
from relay.sandbox.arrivals import Arrival
from relay.sandbox.callers import CLIENT, READING, TYPING, Answering, Callers
from relay.sandbox.chaos import Forced, Mischief
from relay.sandbox.conversations import (
    Conversation,
    Conversations,
    Leg,
    Message,
    full_shape,
    messages_shape,
)
from relay.sandbox.faults import Fault, Limit, forced_answer, json_answer, json_body, stall, too_many
from relay.sandbox.rates import Rolling

USUAL_DURATION_MS = 5000
"""Of a typing call that names none: what every example of the real platform shows."""

Heard = Callable[[Conversation, Leg, int], None]


class Cloud:
    """`on_typing(conversation, leg, duration_ms)` is told of each typing that reaches the guest, at that instant;
    `on_message` of what an agent sends, `on_end(conversation, message)` of the conversation's end, `on_guest_typing` of
    each typing of a guest's.
    """

    def __init__(
        self,
        callers: Callers,
        mischief: Mischief,
        *,
        note: Callable[[Arrival], None],
        wall: Callable[[], UnixMs],
    ) -> None:
        self.conversations = Conversations()
        self.on_typing: list[Heard] = []
        self.on_message: list[Callable[[Conversation, Message], None]] = []
        self.on_end: list[Callable[[Conversation, Message], None]] = []
        self.on_guest_typing: list[Callable[[Conversation], None]] = []
        self.reads = 0
        self.callers = callers
        self._mischief = mischief
        self._note = note
        self._wall = wall
        self._typings = Rolling()

    def add_routes(self, app: web.Application) -> None:
        base = "/api/v2/conversations"
        typing = f"{base}/messages/{{conversation_id}}/communications/{{communication_id}}/typing"
        app.router.add_post(typing, self._typing)
        app.router.add_get(f"{base}/messages/{{conversation_id}}", self._reading(messages_shape))
        app.router.add_get(f"{base}/{{conversation_id}}", self._reading(full_shape, READING))

    def say(self, conversation: Conversation, text: str) -> None:
        """An agent sends a message; with it a guest's display of typing ends."""
        message = self.conversations.note(conversation, Message("Outbound", self._wall(), text))
        for heard in self.on_message:
            heard(conversation, message)

    def end(self, conversation: Conversation) -> None:
        """Everybody has gone."""
        conversation.end(self._wall())
        gone = Message("Outbound", self._wall(), presence="Disconnect")
        self.conversations.note(conversation, gone)
        for heard in self.on_end:
            heard(conversation, gone)

    def guest_types(self, conversation: Conversation) -> None:
        """Its guest does, by whichever way it came in."""
        for heard in self.on_guest_typing:
            heard(conversation)

    def _found(self, request: web.Request) -> Conversation:
        conversation = self.conversations.get(request.match_info["conversation_id"])
        if conversation is None:
            raise _not_found()
        return conversation

    # -- reading ---------------------------------------------------------------------------------------------

    def _reading(
        self, shape: Callable[[Conversation], dict[str, object]], needed: str | None = None
    ) -> Answering:
        """The messages' shape needs no permission, says the SDK's documentation."""

        async def read(request: web.Request) -> web.Response:
            self.reads += 1
            forced = self._mischief.next_forced("session")
            await stall(request, forced, 0.0 if forced else self._mischief.delay_ms())
            if forced is not None and forced.status is not None:
                return forced_answer(forced)
            caller = self.callers.check(request)
            if needed is not None:
                self.callers.check_permission(caller, needed)
            return json_answer(shape(self._found(request)))

        return read

    # -- typing ----------------------------------------------------------------------------------------------

    async def _typing(self, request: web.Request) -> web.Response:
        """Applied on arrival, or `applies_after_ms` later; only the answer is slow."""
        body = await json_body(request)
        forced = self._mischief.next_forced("typing")
        if forced is not None and forced.applies_after_ms:
            await asyncio.sleep(forced.applies_after_ms / 1000)
        answer = self._arrive(request, body, forced)
        await stall(request, forced, 0.0 if forced else self._mischief.delay_ms())
        return answer

    def _arrive(self, request: web.Request, body: dict[str, Any], forced: Forced | None) -> web.Response:
        at = _now()
        try:
            answer = self._judged(request, body, forced)
        except Fault as fault:
            answer = fault.answer()
        is_applied = answer.status < 300
        if forced is not None and forced.is_applied is not None:
            is_applied = forced.is_applied
        duration_ms = self._shown_ms(body)
        self._note(
            Arrival(
                at=at,
                wall=self._wall(),
                session_id=request.match_info["conversation_id"],
                guest_id=request.match_info["communication_id"],
                indicator=Indicator.TYPING,
                duration_ms=duration_ms,
                status=answer.status,
                is_applied=is_applied,
            )
        )
        if is_applied:
            self._tell(request, duration_ms)
        return answer

    def _tell(self, request: web.Request, duration_ms: int) -> None:
        conversation = self.conversations.get(request.match_info["conversation_id"])
        if conversation is None:
            return
        leg = conversation.leg(request.match_info["communication_id"])
        if leg is not None:
            for heard in self.on_typing:
                heard(conversation, leg, duration_ms)

    def _shown_ms(self, body: dict[str, Any]) -> int:
        typing = body.get("typing")
        asked = typing.get("duration") if isinstance(typing, dict) else None
        asked = asked if isinstance(asked, int) and asked > 0 else USUAL_DURATION_MS
        return min(asked, self._mischief.chaos.longest_duration_ms)

    def _judged(self, request: web.Request, body: dict[str, Any], forced: Forced | None) -> web.Response:
        """Raises Fault."""
        if forced is not None and forced.status is not None:
            return forced_answer(forced)
        caller = self.callers.check(request)
        self.callers.check_permission(caller, TYPING)
        check_typing(body)
        self._check_leg(self._found(request), request.match_info["communication_id"], caller)
        self._check_rate(request.match_info["conversation_id"])
        if forced is None:
            self._misbehave()
        return web.Response(status=200)

    def _check_leg(self, conversation: Conversation, communication_id: str, caller: str) -> None:
        leg = conversation.leg(communication_id)
        if leg is None or leg.purpose != "agent":
            raise _not_found()
        if leg.state != "connected":
            status = self._mischief.chaos.ended_status
            code = {400: "bad.request", 404: "not.found", 409: "conflict"}[status]
            raise Fault(status, code, "The communication is not connected.")
        if caller not in {CLIENT, leg.user_id}:
            raise Fault(403, "not.authorized", "This communication is another user's.")

    def _check_rate(self, conversation_id: str) -> None:
        most = self._mischief.chaos.conversation_per_minute
        wait_ms = self._typings.admit(conversation_id, _now(), most=most)
        if wait_ms > 0:
            limit = Limit("agent.typing.rate.per.minute", "conversation", most)
            raise too_many(str(ceil(wait_ms / 1000)), limit=limit)

    def _misbehave(self) -> None:
        fault = self._mischief.fault()
        if fault == 429:
            raise too_many(self._mischief.chaos.retry_after_s)
        if fault is not None:
            raise Fault(fault, "service.unavailable", "The service is unavailable.")


def check_typing(body: dict[str, Any]) -> None:
    """Raises Fault (400) for a body that is not exactly what the endpoint's model says."""
    typing = body.get("typing")
    if not isinstance(typing, dict) or not body.keys() <= {"typing", "dateSent"}:
        raise Fault(400, "bad.request", "The body must be {typing, dateSent?}.")
    if typing.get("type") != "On" or not typing.keys() <= {"type", "duration"}:
        raise Fault(400, "invalid.value", "typing.type must be On: there is no other value.")
    duration = typing.get("duration")
    if duration is not None and (isinstance(duration, bool) or not isinstance(duration, int) or duration < 0):
        raise Fault(400, "invalid.value", "typing.duration must be an integer number of milliseconds.")
    if body.get("dateSent") is not None and not _is_date(body["dateSent"]):
        raise Fault(400, "invalid.value", "dateSent must be an ISO-8601 date and time.")


def _is_date(value: object) -> bool:
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


def _not_found() -> Fault:
    return Fault(404, "not.found", "The requested resource was not found.")


def _now() -> Ms:
    return asyncio.get_running_loop().time() * 1000
