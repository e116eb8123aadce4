"""From a permit to an outcome: what a session wants at this instant is told to its platform, once.

    permit, slot ─► carry ─► probe (cached) ─► decide ─► show ─► settle ─► record ─► look at the session again

The payload is chosen after everything that may take time but the call itself. A token that had expired is
the one case of a second call, and that one is chosen afresh too.
"""

import logging
from collections.abc import Callable

from relay.core import pacer as pacing
from relay.core import settling
from relay.core.engagement import Broadcast
from relay.core.indicator import Address, Cause, Indicator, Rank, SessionKey, Wish
from relay.core.moments import Ms
from relay.core.outcome import CoolOff, Expired, Failure, Held, Outcome, Refused, Unauthorised, Unreachable
from relay.core.report import broadcast_of
from relay.core.session import Session
from relay.core.settling import Settled
from relay.flow import Flow, Platform, Recording
from relay.gateway.port import Gateway, Hold, Liveness

log = logging.getLogger("relay.carrier")

INACTIVE = Refused(None, "inactive", message="the platform says that this session is not active")
"""A probe's negative answer, booked like a refusal: nothing is sent, and the session is left alone for a while."""

OnSettled = Callable[[Session, Wish, Outcome, Broadcast, Recording | None], None]


class Carrier:
    """`on_settled` hears of every broadcast that was booked, with the recording of its fact."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.on_settled: OnSettled = lambda *_: None

    async def carry(self, key: SessionKey) -> None:
        """Tell the platform what the session wants now, if anything; call with a permit and a slot in hand."""
        session = self._flow.sessions.get(key)
        if session is None:
            return
        wish = session.wish(self._flow.world.now())
        if wish is not None:
            await self._tell(session, wish)
        # Also where there was nothing to tell: a mark that came to nothing must not be the session's last look. One that
        # came to rest meanwhile is not looked at: the marks of its key are those of whoever woke it.
        if self._flow.sessions.is_awake(session):
            self._flow.look_at(session, self._flow.world.now())

    async def _tell(self, session: Session, wish: Wish) -> None:
        platform = self._flow.platforms[session.key[0]]
        deadline_ms = self._flow.world.now() + session.timings.request_timeout_ms
        liveness = Liveness.UNKNOWN
        if wish.indicator is Indicator.TYPING:
            # A stop is sent in any case: its own answer says whether it was late.
            liveness = await platform.gateway.probe(session.address, deadline_ms=deadline_ms)
        is_expired = await self._attempt(session, platform, liveness, deadline_ms, is_second=False)
        if is_expired and await platform.throttle.permit(Rank.STOP, deadline_ms):
            await self._attempt(session, platform, liveness, deadline_ms, is_second=True)

    async def _attempt(
        self, session: Session, platform: Platform, liveness: Liveness, deadline_ms: Ms, *, is_second: bool
    ) -> bool:
        """One call, decided afresh; True if the token had expired and the call may be made once more."""
        sent_at = self._flow.world.now()
        wish = session.wish(sent_at)
        if wish is None or self._is_held(session, platform.gateway, wish, sent_at):
            return False
        settling.send(session.pacer, wish, sent_at, session.timings, jitter=self._flow.world.jitter())
        outcome: Outcome = INACTIVE
        if liveness is not Liveness.GONE:
            outcome = await self._show(platform.gateway, session.address, wish, deadline_ms)
        if isinstance(outcome, Expired) and is_second:
            outcome = Unauthorised(message="the platform rejected a token it had issued a moment before")
        if isinstance(outcome, Held) and wish.cause is Cause.DIRECT:
            # Somebody waits for an answer: they are told how long, rather than made to.
            outcome = CoolOff(None, outcome.wait_ms, message=outcome.message)
        self._settle(session, wish, outcome, sent_at)
        return isinstance(outcome, Expired)

    def _is_held(self, session: Session, gateway: Gateway, wish: Wish, now: Ms) -> bool:
        hold = gateway.held_by(wish)
        if hold is None:
            return False
        pacing.hold(session.pacer, now, session.timings)
        if hold is Hold.CIRCUIT_OPEN:
            self._flow.suppress(session, wish.indicator, hold.value)
        return True

    async def _show(self, gateway: Gateway, address: Address, wish: Wish, deadline_ms: Ms) -> Outcome:
        try:
            return await gateway.show(address, wish, deadline_ms=deadline_ms)
        except Exception:  # a fault of ours must not leave the session busy for ever; the river goes on
            log.exception("a gateway broke its promise to answer with a value")
            return Unreachable(Failure.RESET, is_unknown=True, message="internal fault, see the log")

    def _settle(self, session: Session, wish: Wish, outcome: Outcome, sent_at: Ms) -> None:
        now = self._flow.world.now()
        reach, jitter = session.reach, self._flow.world.jitter()
        settled = settling.settle(session.pacer, outcome, now, session.timings, reach, jitter=jitter)
        if isinstance(outcome, Held):
            log.debug(
                "held",
                extra={
                    "fields": {
                        "gateway": session.key[0],
                        "session_id": session.key[1],
                        "why": outcome.message,
                        "wait_ms": round(outcome.wait_ms),
                    }
                },
            )
        if isinstance(outcome, Expired | Held):
            return
        fact = self._fact(session, wish, outcome, settled, now - sent_at)
        self._flow.watch.carried(session, fact, outcome, now - session.changed_at)
        self.on_settled(session, wish, outcome, fact, self._flow.record(fact))

    def _fact(
        self, session: Session, wish: Wish, outcome: Outcome, settled: Settled, latency_ms: Ms
    ) -> Broadcast:
        return broadcast_of(
            session,
            wish,
            outcome,
            settled,
            audit_id=self._flow.world.audit_id(),
            latency_ms=latency_ms,
            at=self._flow.world.wall(),
        )
