"""Direct broadcasts: the caller names the indicator and waits for the platform's answer.

An order goes through the same pacer, throttle and gateway as everything else, so it keeps the session's
interval; but no actor, no transition and no refresh comes of it. It is answered once its audit row is
committed. One order per session at a time: a second is told how long to wait.
"""

import asyncio
from dataclasses import dataclass
from math import ceil

from relay.carrier import INACTIVE, Carrier
from relay.core import pacer as pacing
from relay.core.engagement import Broadcast
from relay.core.indicator import Address, Cause, Indicator, SessionKey, Wish
from relay.core.outcome import CoolOff, Failure, Outcome, Refused, Shown, Unreachable
from relay.core.report import said
from relay.core.session import Session
from relay.errors import Rejected, TooSoon, Unavailable
from relay.flow import Flow, Recording
from relay.gateway.port import Hold

ORDER_S = 5.0
"""How long a caller waits in all: for a permit, the platform and the audit row."""


@dataclass(frozen=True, slots=True)
class Result:
    """An accepted order; `latency_ms` is the platform's, the same as in its audit row."""

    latency_ms: int
    audit_id: str
    status: int


@dataclass(frozen=True, slots=True)
class _Answer:
    outcome: Outcome
    fact: Broadcast
    recording: Recording | None


class Orders:
    """The tutorial's `broadcastTyping`, for the HTTP door, the command line and the broadcaster."""

    def __init__(self, flow: Flow, carrier: Carrier) -> None:
        self._flow = flow
        self._waiting: dict[SessionKey, asyncio.Future[_Answer]] = {}
        carrier.on_settled = self._settled

    async def broadcast(
        self, key: SessionKey, address: Address, *, indicator: Indicator, duration_ms: int | None, source: str
    ) -> Result:
        """The platform's acceptance, recorded. `duration_ms` None: the gateway's own.

        Raises TooSoon inside the session's interval; Rejected: 422 for an unusable address or an indicator that the
        platform does not know, 409 session not active,
        429, 502 or 504 as the platform answered; Unavailable when draining, or when it could not be recorded.
        """
        self._flow.refuse_if_draining()
        self._flow.check_address(key, address)
        self._refuse_if_unknown(key[0], indicator)
        session = self._flow.open(key, address, source)
        kept_ms = session.reach.kept_ms(duration_ms or session.timings.duration_ms)
        wish = Wish(indicator, kept_ms, Cause.DIRECT)
        self._refuse_if_closed(session)
        self._refuse_if_held(key[0], wish)
        answer = await self._carried(session, wish)
        await _committed(answer)
        if isinstance(answer.outcome, Shown):
            return Result(answer.fact.latency_ms, answer.fact.audit_id, answer.outcome.status)
        raise _rejection(answer.outcome, session.pacer.gate_at - self._flow.world.now())

    def _refuse_if_unknown(self, gateway: str, indicator: Indicator) -> None:
        can = self._flow.platforms[gateway].gateway.capabilities
        is_known = {Indicator.PAUSED: can.shows_paused, Indicator.STOPPED: can.can_stop}.get(indicator, True)
        if not is_known:
            words = "this platform can only be told `typing`; a display ends by itself"
            raise Rejected(422, "Unknown to this platform", words, problems=(("type", words),))

    def _refuse_if_closed(self, session: Session) -> None:
        now = self._flow.world.now()
        refusal = pacing.refusal_of_order(session.pacer, now, session.timings)
        self._flow.sessions.arm(session, now)  # opened for this order: it must come to rest again
        if isinstance(refusal, str):
            message = "the platform refused this session a moment ago; it is tried again within a minute"
            raise _rejection(Refused(session.pacer.mute_status, refusal, message), 0.0)
        if refusal is not None:
            raise TooSoon(ceil(refusal))

    def _refuse_if_held(self, gateway: str, wish: Wish) -> None:
        """At once, where waiting would only end in the same word."""
        if self._flow.platforms[gateway].gateway.held_by(wish) is Hold.CIRCUIT_OPEN:
            raise Unavailable("the platform does not answer; one call every 10 s tries whether it does again")

    async def _carried(self, session: Session, wish: Wish) -> _Answer:
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting[session.key] = answer
        session.pacer.order = wish
        self._flow.look_at(session, self._flow.world.now())
        try:
            async with asyncio.timeout(ORDER_S):
                return await answer
        except TimeoutError:
            raise _overdue(is_sent=session.pacer.order is not wish) from None
        finally:
            del self._waiting[session.key]
            if session.pacer.order is wish:  # nobody waits for it any more
                session.pacer.order = None
                self._flow.look_at(session, self._flow.world.now())

    def _settled(
        self, session: Session, wish: Wish, outcome: Outcome, fact: Broadcast, recording: Recording | None
    ) -> None:
        waiting = self._waiting.get(session.key)
        if waiting is not None and not waiting.done() and wish.cause is Cause.DIRECT:
            waiting.set_result(_Answer(outcome, fact, recording))


async def _committed(answer: _Answer) -> None:
    """Raises Unavailable, with what became of the broadcast first: who takes it for undone would make it twice."""
    went = "was made" if isinstance(answer.outcome, Shown) else "was not taken by the platform"
    if answer.recording is None:
        raise Unavailable(f"the broadcast {went}, but its audit row could not be queued: the outbox is full")
    try:
        async with asyncio.timeout(ORDER_S):
            await asyncio.shield(answer.recording)
    except TimeoutError:
        raise Unavailable(f"the broadcast {went}, but its audit row was not committed in time") from None
    except Unavailable as why:
        words = f"the broadcast {went}, but its audit row was not committed: {why.detail}"
        raise Unavailable(words, retry_after_s=why.retry_after_s) from why


def _overdue(*, is_sent: bool) -> Rejected | Unavailable:
    if is_sent:
        return Rejected(504, "Upstream timeout", "the platform did not answer in time")
    return Unavailable(
        "the platform could not be asked in time: its budget is spent or it does not answer; see /readyz"
    )


def _rejection(outcome: Outcome, wait_ms: float) -> Rejected:
    detail = said(outcome) or "the platform gave no reason"
    match outcome:
        case CoolOff():
            wait_s = max(0.0, wait_ms) / 1000
            return Rejected(429, "The platform asks to wait", detail, retry_after_s=wait_s)
        case Refused(status=404 | 409 | 410) | Refused(code=INACTIVE.code):
            return Rejected(409, "Session not active", detail)
        case Unreachable(kind=Failure.TIMEOUT):
            return Rejected(504, "Upstream timeout", detail)
        case _:
            return Rejected(502, "Upstream refused", detail)
