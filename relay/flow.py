"""The river: an activity comes in, an indicator goes out, an engagement event is recorded.

    ingest ─ Activity ─► accept ─► Session.observe ─► Change ─► record (outbox)
                            │            │
                            │            └ Session.wish ─► throttle.mark(key, rank)
                            ▼                                   │ a permit and a slot
                     sessions.arm ◄── settle ◄── outcome ── gateway.show ◄── carry
                            │                                   ▲
                            └ due ── Session.lapse ─────────────┘ (marked again)

Nothing waits in here: a session that has something to tell is one mark in the throttle, and what it tells is
chosen when the permit is in hand. If a fact cannot be recorded, that is counted and said; indicators go on.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from relay.core import pacer as pacing
from relay.core.activity import Accepted, Activity, Kind
from relay.core.engagement import Broadcast, Fact, Reason
from relay.core.indicator import Address, Indicator, Rank, SessionKey
from relay.core.moments import NEVER, Ms, UnixMs
from relay.core.outcome import Outcome
from relay.core.pacer import Pacer, Standing
from relay.core.rank import rank_of
from relay.core.report import suppressed_of, transition_of
from relay.core.rest import Rest, actors_of
from relay.core.session import Change, Session, Verdict
from relay.core.timings import Timings
from relay.errors import Unavailable
from relay.gateway.port import Gateway
from relay.sessions.addresses import check_move, check_usable, places_of, refuse_two
from relay.sessions.live import LiveSessions

_APPLIED, _STALE = Verdict.APPLIED, Verdict.STALE

DRAIN_S = 3.0
"""How long a shutdown waits for the platform to be told the last stops."""

DRAIN_LOOK_S = 0.02
DRAIN_SLICE = 500
"""Sessions ended at shutdown between two turns of the loop."""

Recording = asyncio.Future[Any]  # Any: what the outbox knows of a record is its own business


class Throttle(Protocol):
    """What the river needs of a gateway's throttle: relay.gateway.throttle, or none in a replay."""

    def mark(self, key: SessionKey, rank: Rank) -> None: ...
    def unmark(self, key: SessionKey) -> None: ...
    async def permit(self, rank: Rank, deadline_ms: Ms) -> bool: ...


@dataclass(frozen=True, slots=True)
class Platform:
    """One configured gateway and the throttle of its identity. `timings` None: the river's own."""

    gateway: Gateway
    throttle: Throttle
    timings: Timings | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The world as the river sees it: `now` is the loop's clock in ms, `wall` Unix time in ms, `jitter` in [0, 1)."""

    now: Callable[[], Ms]
    wall: Callable[[], UnixMs]
    jitter: Callable[[], float]
    audit_id: Callable[[], str]


class Watch(Protocol):
    """Who is told what happened, for figures and logs; never asked anything."""

    def observed(self, verdict: Verdict, count: int) -> None: ...
    def carried(self, session: Session, fact: Broadcast, outcome: Outcome, waited_ms: Ms) -> None: ...
    def suppressed(self, session: Session, why: str) -> None: ...
    def unrecorded(self, fact: Fact, why: BaseException) -> None: ...
    def lagged(self, late_ms: Ms) -> None: ...


class Flow:
    """`record(fact)` answers a future that is done once the fact is committed, or raises Unavailable.

    `gate_at` is from when on the platform may be called again after a restart.
    """

    def __init__(
        self,
        platforms: Mapping[str, Platform],
        timings: Timings,
        *,
        record: Callable[[Fact], Recording],
        world: Surroundings,
        watch: Watch,
        max_sessions: int = 200_000,
        source_caps: Mapping[str, int] | None = None,
        gate_at: Ms = -NEVER,
        trusted_clocks: frozenset[str] = frozenset(),
    ) -> None:
        self.platforms = platforms
        self.timings = timings
        self.world = world
        self.sessions = LiveSessions(
            most=max_sessions, of_source=source_caps, on_due=self._due, on_lag=watch.lagged
        )
        self.refusal: str | None = None
        self._record = record
        self.watch = watch
        self._gate_at = gate_at
        self.trusted_clocks = trusted_clocks
        """Sources whose `at` orders their events; may be replaced at any time."""
        self._reaches = {
            name: one.gateway.capabilities.reach(self.timings_of(name)) for name, one in platforms.items()
        }

    # Accept.

    def accept(self, activities: Sequence[Activity]) -> Accepted:
        """Apply a batch, whole or not at all.

        Raises Rejected: 422 for an address that is unusable, or another than that at which its session is busy, 429 at
        the cap on sessions; Unavailable while draining.
        """
        self.refuse_if_draining()
        sessions, now = self._found(activities), self.world.now()
        absorbed = stale = 0
        for activity, session in zip(activities, sessions, strict=True):
            # Nothing is absorbed for a key pressed long ago: the short way knows nothing of a trusted clock.
            is_late = activity.at is not None and self._is_too_old(activity)
            if session is not None and not is_late and session.absorb(activity, now):
                absorbed += 1
            else:
                stale += self._observe(activity, now) is _STALE
        self.watch.observed(_APPLIED, absorbed)
        return Accepted(len(activities) - stale, stale)

    def refuse_if_draining(self) -> None:
        if self.refusal is not None:
            raise Unavailable(self.refusal, retry_after_s=5.0)

    def open(self, key: SessionKey, address: Address, source: str) -> Session:
        """The live session of that key at `address`, which was checked. Raises Rejected (429) at the cap."""
        session = self.sessions.get(key)
        if session is None:
            return self._opened(key, address, source)
        if session.address != address:
            self.platforms[key[0]].gateway.forget(session.address)
            session.address = address
            pacing.unmute(session.pacer)  # what the platform said was said of the other one
        return session

    def _opened(self, key: SessionKey, address: Address, source: str) -> Session:
        rest = self.sessions.resting.get(key) or Rest(address, source)
        if rest.address != address:
            self.platforms[key[0]].gateway.forget(rest.address)
        timings, reach, pacer = self.timings_of(key[0]), self._reaches[key[0]], Pacer(gate_at=self._gate_at)
        session = Session(key, address, rest.source, timings, reach, pacer, actors_of(rest))
        session.touched = session.changed_at = self.world.now()
        return self.sessions.add(session)

    def timings_of(self, gateway: str) -> Timings:
        """Those of sessions on this gateway."""
        return self.platforms[gateway].timings or self.timings

    def check_address(self, key: SessionKey, address: Address, where: str = "") -> None:
        """Raises Rejected (422) where the session can be neither opened at `address` nor moved to it."""
        session = self.sessions.get(key)
        known = session or self.sessions.resting.get(key)
        if known is None or known.address != address:
            check_usable(self.platforms[key[0]].gateway.validate(address), where)
            check_move(session, self.world.now(), where)

    def _found(self, activities: Sequence[Activity]) -> list[Session | None]:
        """The session of each, None where it has yet to be opened, woken or moved. Raises Rejected (422, 429)."""
        live = self.sessions.by_gateway
        found: list[Session | None] = []
        unopened: dict[SessionKey, Address] = {}
        for activity in activities:
            address = activity.address
            session = live[activity.gateway].get(address.session_id)
            if session is None or (session.address is not address and session.address != address):
                key = (activity.gateway, address.session_id)
                self.check_address(key, address, f"{len(found)}")
                unopened[key], session = address, None
            found.append(session)
        if unopened:
            refuse_two(activities, unopened)
            new = {key for key in unopened if key not in self.sessions}
            self.sessions.refuse_beyond(activities[0].source, len(new), lambda: places_of(activities, new))
        return found

    def _observe(self, activity: Activity, now: Ms) -> Verdict:
        verdict = _STALE
        if not self._is_too_old(activity):  # before it opens a session that nothing would ever close
            key = (activity.gateway, activity.address.session_id)
            verdict = self._step(self.open(key, activity.address, activity.source), activity, now)
        self.watch.observed(verdict, 1)
        return verdict

    def _step(self, session: Session, activity: Activity, now: Ms) -> Verdict:
        before = session.stated
        changes: list[Change] = []
        verdict = session.observe(activity, now, changes)
        if activity.kind is Kind.SESSION_ENDED:
            self.platforms[session.key[0]].gateway.forget(session.address)
        self._follow_up(session, now, before, changes)
        return verdict

    def _is_too_old(self, activity: Activity) -> bool:
        if activity.at is None or activity.source not in self.trusted_clocks:
            return False
        stop_after_ms = self.timings_of(activity.gateway).stop_after_ms
        return self.world.wall() - activity.at > stop_after_ms

    def _due(self, session: Session, now: Ms) -> None:
        before = session.stated
        changes: list[Change] = []
        session.lapse(now, changes)
        self._follow_up(session, now, before, changes)

    def _follow_up(self, session: Session, now: Ms, before: Indicator, changes: Sequence[Change]) -> None:
        if changes:
            self.sessions.restated(before, session.stated)  # first, so that a fault below finds it right
            for change in changes:
                at = self.world.wall() - round(now - change.at)
                self.record(transition_of(session, change, at))
            self._tell_of_silence(session, now)
        self.look_at(session, now)

    def look_at(self, session: Session, now: Ms) -> None:
        """Mark what the platform should be told now, and see to the next deadline."""
        throttle = self.platforms[session.key[0]].throttle
        wish = session.wish(now)
        if wish is None:
            throttle.unmark(session.key)
        else:
            throttle.mark(session.key, rank_of(session.pacer, wish))
        self.sessions.arm(session, now)

    # Record.

    def record(self, fact: Fact) -> Recording | None:
        """Hand the fact to the outbox; None if it could not be taken (counted and said, never raised)."""
        try:
            recording = self._record(fact)
        except Unavailable as why:
            self.watch.unrecorded(fact, why)
            return None
        recording.add_done_callback(lambda done: self._notice(fact, done))
        return recording

    def _notice(self, fact: Fact, done: Recording) -> None:
        if not done.cancelled() and (why := done.exception()) is not None:
            self.watch.unrecorded(fact, why)

    def _tell_of_silence(self, session: Session, now: Ms) -> None:
        """A muted session's typing is not told to the platform; its trackers learn why."""
        if session.stated is Indicator.STOPPED:
            session.suppressed = frozenset()
        elif pacing.standing(session.pacer, now) is Standing.MUTE:
            self.suppress(session, session.stated, "muted")

    def suppress(self, session: Session, indicator: Indicator, why: str) -> None:
        """Nothing is sent, and the trackers learn why, once per reason and episode."""
        if why not in session.suppressed:
            session.suppressed |= {why}
            self.watch.suppressed(session, why)
            self.record(suppressed_of(session, indicator, why, self.world.wall()))

    # Drain.

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Refuse what comes, stop every open session (recorded), and give the platform its last stops in time."""
        self.refusal = "the relay is shutting down; send to its successor"
        leaving = self.sessions.awake()
        for number, session in enumerate(leaving, start=1):
            if self.sessions.is_awake(session):
                self._end(session)
            if number % DRAIN_SLICE == 0:
                await asyncio.sleep(0)
        until = self.world.now() + timeout_s * 1000
        # A look now and then, once in a process's life, is simpler than a count kept on the hot path.
        while (leaving := self._unsettled(leaving)) and self.world.now() < until:  # noqa: ASYNC110 - see above
            await asyncio.sleep(DRAIN_LOOK_S)
        self.sessions.close()

    def _end(self, session: Session) -> None:
        now, before, changes = self.world.now(), session.stated, list[Change]()
        session.end(Reason.SHUTDOWN, now, changes)
        self._follow_up(session, now, before, changes)

    def _unsettled(self, sessions: Sequence[Session]) -> list[Session]:
        now = self.world.now()
        return [session for session in sessions if pacing.is_unsettled(session.pacer, now, session.reach)]
