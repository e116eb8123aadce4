"""One chat session: its actors joined into one wanted indicator, and the pacer that brings it to the platform.

The session's state is the strongest of its public actors': typing, else paused, else stopped. Every change of
it is a `Change` for the trackers, made whether or not the platform is told.

Timers that are due before an input are applied before it, each at its own deadline and in their order: so a
late timer leaves the session where a punctual one would have. Ties go to the input.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from relay.core import pacer as pacing
from relay.core.activity import Activity, Kind
from relay.core.actor import REASON_OF, STALE, Actor, Cell, Input, State, Timer, deadline, observe, step
from relay.core.engagement import Reason
from relay.core.indicator import Address, Indicator, SessionKey, Wish, stronger
from relay.core.moments import NEVER, Ms
from relay.core.order import TERMINAL, is_in_order, remember_order
from relay.core.pacer import Pacer, Reach
from relay.core.timings import TICK_MS, Timings

MAX_ACTORS = 32
"""Actors of one session at once; further ones are dropped and counted until an idle one is forgotten."""

_ENDS_NOTHING = frozenset({Reason.SILENCE, Reason.KEYSTROKE, Reason.THINKING})
"""Reasons that ask for no stop of their own: whoever starts to think does not end what is displayed."""

_SHOWS = frozenset({Kind.KEYSTROKE, Kind.THINKING, Kind.PAUSED})
"""Activities that say what to show and for how long; one without a duration means the gateway's."""


class Change(NamedTuple):
    """The session became `state` at `at`; `actors` counts its public ones that are not stopped."""

    state: Indicator
    reason: Reason
    actors: int
    at: Ms


class Verdict(StrEnum):
    """What became of an activity; a metric label."""

    APPLIED = "applied"
    STALE = "stale"
    ORPHAN = "orphan"
    FOREIGN_ID = "foreign_id"
    EXHAUSTED_ID = "exhausted_id"
    TOO_MANY_ACTORS = "too_many_actors"


# Looked up once: through its class a member costs 95 ns a time (Python 3.11), and these are met at every step.
_TYPING, _PAUSED, _STOPPED = Indicator
_IDLE, _IS_TYPING, _IS_THINKING = State.IDLE, State.TYPING, State.THINKING
_KEYSTROKE, _SENT, _ENDED = Kind.KEYSTROKE, Kind.MESSAGE_SENT, Kind.SESSION_ENDED
_APPLIED = Verdict.APPLIED
_NO_TIMER: tuple[Ms, Timer, Actor | None] = (NEVER, Timer.STOP, None)


@dataclass(slots=True)
class Session:
    """`stated` is the last state told to trackers. `touched` is its last sign of life, `changed_at` its last
    change of state. Until `absorb_until` a keystroke of `absorb_typist` is absorbed (see `absorb`). `armed_tick` belongs
    to the wheel.
    """

    key: SessionKey
    address: Address
    source: str
    timings: Timings
    reach: Reach
    pacer: Pacer
    actors: tuple[
        Actor, ...
    ] = ()  # replaced and not changed: of a list there is twice as much to fetch at each look
    stated: Indicator = _STOPPED
    touched: Ms = -NEVER
    # Named alike because they are read together, at every key: Python lays slots out by their names, and of two hundred
    # thousand sessions each line of cache that need not be fetched is a twentieth of a keystroke.
    absorb_until: Ms = field(default=-NEVER, compare=False)
    absorb_typist: str = field(default="", compare=False)
    absorbed_at: Ms = -NEVER
    changed_at: Ms = -NEVER
    armed_tick: int = 0
    traceparent: str | None = None
    suppressed: frozenset[str] = frozenset()  # reasons already told in this episode

    # Inputs.

    def absorb(self, activity: Activity, now: Ms) -> bool:
        """True if this was one more keystroke of a lone typist whose indicator is shown: then it is taken.

        The table would say the same (typing stays typing); this is its one cell that is met many times a second. It
        writes one number, which the actor and the pacer are told at the next step of any other kind (`catch_up`).
        """
        if now >= self.absorb_until:
            return False
        if activity.kind is not _KEYSTROKE or activity.actor != self.absorb_typist:
            return False
        if not activity.is_public or activity.duration_ms is not None:
            return False
        if activity.seq is not None:  # as `order` has it, in two calls less
            actor, order = self.actors[0], (activity.epoch, activity.seq)
            if order <= (actor.epoch, actor.seq):
                return False
            actor.epoch, actor.seq = order
        elif activity.at is not None and not is_in_order(self.actors[0], activity):
            return False
        self.absorbed_at = now
        return True

    def catch_up(self) -> None:
        """Tell the lone typist and the pacer of the keystrokes absorbed since the last step."""
        if self.absorbed_at > -NEVER:
            self.actors[0].last = self.touched = self.absorbed_at
            self.pacer.is_fresh = True
            self.absorbed_at = -NEVER

    def observe(self, activity: Activity, now: Ms, changes: list[Change]) -> Verdict:
        """Apply one activity; state changes it (or timers due before it) made are appended to `changes`."""
        self.catch_up()
        self._lapse(now, changes, is_inclusive=False)
        # Also by a message that comes late, or from an actor too many.
        if activity.kind is _SENT and activity.is_public and self.reach.message_clears:
            pacing.cleared_by_platform(self.pacer, now)
        actor = self._actor(activity.actor, now)
        if actor is None:
            return Verdict.TOO_MANY_ACTORS
        if not is_in_order(actor, activity):
            return Verdict.STALE
        return self._apply(actor, activity, now, changes)

    def lapse(self, now: Ms, changes: list[Change]) -> None:
        """Apply every timer that is due."""
        if now < self.absorb_until:
            return  # none is: what was absorbed can only have moved one later
        self.catch_up()
        self._lapse(now, changes, is_inclusive=True)

    def end(self, reason: Reason, now: Ms, changes: list[Change]) -> None:
        """Everybody is gone (shutdown): the session is stopped, and the platform owed or asked a stop."""
        self.catch_up()
        self._lapse(now, changes, is_inclusive=False)
        for actor in self.actors:
            actor.state = _IDLE
        self._join(reason, now, changes)

    # Questions.

    def may_move(self, now: Ms) -> bool:
        """True where nobody acts and the platform is owed nothing, or where it refused the address."""
        is_idle = self.stated is _STOPPED and not pacing.is_unsettled(self.pacer, now, self.reach)
        return is_idle or now < self.pacer.muted_until

    def wish(self, now: Ms) -> Wish | None:
        """What the platform should be told at this instant, if anything."""
        self.catch_up()
        return pacing.decide(self.pacer, now, self.timings, self.reach)

    def next_deadline(self, now: Ms) -> Ms:
        """When to call `lapse` and ask `wish` again; NEVER once there is nothing left but to lay it to rest.

        Call it after every input: it also sees how long keystrokes may be absorbed.
        """
        self.catch_up()
        timer_at, pacer_at = self._next_timer()[0], pacing.wake_at(self.pacer, now)
        self.absorb_until = self._absorb_until(timer_at, pacer_at)
        if self.stated is _STOPPED and timer_at == NEVER:
            return min(pacer_at, self.rests_at())
        return min(timer_at, pacer_at)

    def _absorb_until(self, timer_at: Ms, pacer_at: Ms) -> Ms:
        """A key can only move its timer later; while the wheel is armed for the refresh, keys leave it to the wheel."""
        if len(self.actors) != 1 or self.pacer.duration_ms:
            return -NEVER
        actor, pacer = self.actors[0], self.pacer
        if actor.state is not _IS_TYPING or not actor.is_public:
            return -NEVER
        if pacer.in_flight is None and (pacer_at == NEVER or pacer.shown is not _TYPING):
            return -NEVER
        self.absorb_typist = actor.id
        return min(timer_at, pacer_at + TICK_MS)

    def rests_at(self) -> Ms:
        """From when on only orders have to be remembered (`relay.core.rest`): idle, and the pacer at rest.

        Whoever was about to tell the platform something has given up by then; failures are remembered longer.
        """
        if self.stated is not _STOPPED:
            return NEVER
        for actor in self.actors:
            if actor.state is not _IDLE:
                return NEVER
        timings = self.timings
        left_ms = timings.tombstone_ms if self.pacer.fails else timings.request_timeout_ms
        return max(pacing.rests_at(self.pacer), self.touched + left_ms)

    # Steps.

    def _actor(self, actor_id: str, now: Ms) -> Actor | None:
        for actor in self.actors:
            if actor.id == actor_id:
                return actor
        if len(self.actors) >= MAX_ACTORS and not self._forget_an_idle_actor(now):
            return None
        self.actors += (Actor(actor_id),)
        return self.actors[-1]

    def _forget_an_idle_actor(self, now: Ms) -> bool:
        for actor in self.actors:
            if actor.state is _IDLE and actor.last + self.timings.tombstone_ms <= now:
                self.actors = tuple(one for one in self.actors if one is not actor)
                return True
        return False

    def _apply(self, actor: Actor, activity: Activity, now: Ms, changes: list[Change]) -> Verdict:
        remember_order(actor, activity)
        self.touched = now
        self.traceparent = activity.traceparent or self.traceparent
        if activity.is_public and (activity.duration_ms or activity.kind in _SHOWS):
            self.pacer.duration_ms = self.reach.kept_ms(activity.duration_ms or 0)
        has_flipped = actor.is_public is not activity.is_public and actor.state is not _IDLE
        actor.is_public = activity.is_public
        cell = self._move(actor, activity, now)
        if activity.is_public and actor.indicator() is _TYPING:
            self.pacer.is_fresh = True
        is_seen = activity.is_public or has_flipped or activity.kind is _ENDED
        if is_seen and (cell.recomputes or has_flipped):
            self._join(_reason(activity, has_flipped=has_flipped), now, changes)
        return Verdict(cell.counted) if cell.counted else _APPLIED

    def _move(self, actor: Actor, activity: Activity, now: Ms) -> Cell:
        if activity.kind is not _ENDED:
            cell = observe(actor, activity, now, self.timings)
            _remember_end(actor, now)
            return cell
        cell = STALE
        for one in self.actors:
            cell = step(one, _ENDED, now, activity, self.timings)
            _remember_end(one, now)
        return cell

    def _lapse(self, now: Ms, changes: list[Change], *, is_inclusive: bool) -> None:
        while True:
            due, timer, actor = self._next_timer()
            if actor is None or due > now or (due == now and not is_inclusive):
                return
            cell = step(actor, timer, due, None, self.timings)
            _remember_end(actor, due)
            self.touched = max(self.touched, due)
            if cell.recomputes and actor.is_public:
                self._join(REASON_OF[timer], due, changes)

    def _next_timer(self) -> tuple[Ms, Timer, Actor | None]:
        """Of two at one instant the one whose actor's name comes first: who came to the session first is nobody's affair."""
        first = _NO_TIMER
        for actor in self.actors:
            due, timer = deadline(actor, self.timings)
            if due < first[0] or (due == first[0] and first[2] is not None and actor.id < first[2].id):
                first = (due, timer, actor)
        return first

    def _join(self, reason: Reason, now: Ms, changes: list[Change]) -> None:
        wanted, active = _STOPPED, 0
        self.pacer.is_thinking = False
        for actor in self.actors:
            indicator = actor.indicator() if actor.is_public else _STOPPED
            if indicator is _STOPPED:
                continue
            active += 1
            wanted = stronger(wanted, indicator)
            if actor.state is _IS_THINKING:
                self.pacer.is_thinking = True
        pacing.want(self.pacer, wanted, is_silent=reason in _ENDS_NOTHING)
        if wanted is not self.stated:
            self.stated, self.changed_at = wanted, now
            changes.append(Change(wanted, reason, active, now))


def _remember_end(actor: Actor, now: Ms) -> None:
    """From here on an idle actor's order is remembered for the tombstone."""
    if actor.state is _IDLE:
        actor.last = now


def _reason(activity: Activity, *, has_flipped: bool) -> Reason:
    """An agent who turns to an internal note has, for the guest, cleared the box."""
    kind: Input = activity.kind
    if has_flipped and not activity.is_public and activity.kind not in TERMINAL:
        return Reason.CLEARED
    return REASON_OF[kind]
