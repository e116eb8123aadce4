"""Bugs planted on purpose: each is a small wrong turn somebody could take, and the proofs must not survive it.

A bug is a function that takes pytest's `MonkeyPatch` and breaks one thing; its name, with spaces, is the claim.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from relay.core import actor as acting
from relay.core import deadlines, settling
from relay.core import pacer as pacing
from relay.core import session as joining
from relay.core.activity import Activity, Kind
from relay.core.actor import REASON_OF, TABLE, Actor, Cell, State, Timer
from relay.core.engagement import Reason
from relay.core.indicator import Cause, Indicator, Wish
from relay.core.moments import NEVER, Ms
from relay.core.outcome import CoolOff, Outcome, Shown, Unreachable
from relay.core.pacer import DECISIONS, Pacer, Reach, Standing
from relay.core.session import Change, Session, Verdict
from relay.core.settling import Settled
from relay.core.timings import Timings

Patch = pytest.MonkeyPatch
Bug = Callable[[Patch], None]
BUGS: list[Bug] = []


def planted(bug: Bug) -> Bug:
    BUGS.append(bug)
    return bug


def after_settling(patch: Patch, twist: Callable[[Pacer, Wish, Outcome, Ms, Timings], None]) -> None:
    """Let `settle` do its work, then undo or add something."""
    settle = settling.settle

    def settled(
        pacer: Pacer, outcome: Outcome, now: Ms, timings: Timings, reach: Reach, *, jitter: float
    ) -> Settled:
        wish = pacer.in_flight
        assert wish is not None
        result = settle(pacer, outcome, now, timings, reach, jitter=jitter)
        twist(pacer, wish, outcome, now, timings)
        return result

    patch.setattr(settling, "settle", settled)


def decide_by(patch: Patch, wanted: Indicator, rule: pacing.Rule, *standings: Standing) -> None:
    for at in standings:
        patch.setitem(DECISIONS[wanted], at, rule)


# The actor.


@planted
def a_heartbeat_resurrects(patch: Patch) -> None:
    patch.setitem(TABLE[Kind.HEARTBEAT], State.IDLE, TABLE[Kind.KEYSTROKE][State.IDLE])


@planted
def a_heartbeat_extends_the_life(patch: Patch) -> None:
    patch.setitem(TABLE[Kind.HEARTBEAT], State.THINKING, Cell(None, acting._think))


@planted
def an_exhausted_id_is_revived(patch: Patch) -> None:
    patch.setattr(acting, "_is_exhausted", lambda *_: False)


@planted
def the_stop_timer_runs_from_the_late_pause(patch: Patch) -> None:
    def fall_silent(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
        actor.stop_at = now + timings.stop_after_ms

    patch.setitem(TABLE[Timer.PAUSE], State.TYPING, Cell(State.PAUSED, fall_silent, recomputes=True))


@planted
def a_paused_actor_is_not_recomputed(patch: Patch) -> None:
    patch.setitem(TABLE[Kind.PAUSED], State.TYPING, Cell(State.PAUSED, acting._hesitate))


@planted
def a_pause_comes_before_the_refresh(patch: Patch) -> None:
    deadline = acting.deadline
    patch.setattr(
        joining, "deadline", lambda a, t: deadline(a, replace(t, pause_after_ms=t.pause_after_ms // 3))
    )


@planted
def any_sequence_number_will_do(patch: Patch) -> None:
    patch.setattr(joining, "is_in_order", lambda *_: True)


# The session.


@planted
def timers_are_applied_at_the_late_wake(patch: Patch) -> None:
    def lapse(self: Session, now: Ms, changes: list[Change], *, is_inclusive: bool) -> None:
        while True:
            due, timer, actor = self._next_timer()
            if actor is None or due > now or (due == now and not is_inclusive):
                return
            acting.step(actor, timer, now, None, self.timings)
            self._join(REASON_OF[timer], now, changes)

    patch.setattr(Session, "_lapse", lapse)


@planted
def a_due_timer_goes_before_the_input(patch: Patch) -> None:
    lapse = Session._lapse
    patch.setattr(Session, "_lapse", lambda s, now, changes, **_: lapse(s, now, changes, is_inclusive=True))


@planted
def a_late_terminal_activity_is_ignored(patch: Patch) -> None:
    patch.setattr(pacing, "cleared_by_platform", lambda *_: None)


@planted
def a_private_activity_counts(patch: Patch) -> None:
    observe = Session.observe

    def leaking(self: Session, activity: Activity, now: Ms, changes: list[Change]) -> Verdict:
        return observe(self, replace(activity, is_public=True), now, changes)

    patch.setattr(Session, "observe", leaking)


@planted
def silence_speaks_like_a_message(patch: Patch) -> None:
    patch.setattr(joining, "_ENDS_NOTHING", frozenset())


@planted
def whoever_begins_ends_what_is_displayed(patch: Patch) -> None:
    patch.setattr(joining, "_ENDS_NOTHING", frozenset({Reason.SILENCE}))


@planted
def a_stopped_session_comes_to_rest_with_its_gate(patch: Patch) -> None:
    def rests_at(self: Session) -> Ms:
        is_idle = all(a.state is State.IDLE for a in self.actors)
        return (
            self.touched if is_idle and self.pacer.in_flight is None and not self.pacer.owes_stop else NEVER
        )

    patch.setattr(Session, "rests_at", rests_at)


@planted
def a_duration_sticks_to_the_session(patch: Patch) -> None:
    patch.setattr(joining, "_SHOWS", frozenset())


@planted
def a_clock_that_steps_back_reopens_the_gate(patch: Patch) -> None:
    standing = pacing.standing

    def confused(pacer: Pacer, now: Ms) -> Standing:
        return standing(pacer, pacer.gate_at + 1 if now < pacer.gate_at - 60_000 else now)

    patch.setattr(pacing, "standing", confused)


# What is decided.


@planted
def a_refresh_needs_no_activity(patch: Patch) -> None:
    def always(pacer: Pacer, now: Ms, timings: Timings, reach: Reach) -> Wish | None:
        pacer.is_fresh = True
        return pacing.type_if_due(pacer, now, timings, reach)

    decide_by(patch, Indicator.TYPING, always, Standing.OFF_OPEN, Standing.ON_OPEN)


@planted
def a_refresh_goes_on_while_paused(patch: Patch) -> None:
    decide_by(patch, Indicator.PAUSED, pacing.type_if_due, Standing.ON_OPEN)


@planted
def a_pause_is_shown_where_nothing_was(patch: Patch) -> None:
    def pause(pacer: Pacer, now: Ms, timings: Timings, reach: Reach) -> Wish | None:
        return None if pacer.shown is Indicator.PAUSED else Wish(Indicator.PAUSED, 3000, Cause.PAUSE)

    decide_by(patch, Indicator.PAUSED, pause, Standing.OFF_OPEN)


@planted
def a_stop_is_lost_while_it_waits(patch: Patch) -> None:
    def forget(pacer: Pacer, now: Ms, timings: Timings, reach: Reach) -> Wish | None:
        pacer.owes_stop = False
        return None

    decide_by(patch, Indicator.STOPPED, forget, Standing.OFF_WAITING, Standing.ON_WAITING)


@planted
def a_stop_is_sent_only_while_something_shows(patch: Patch) -> None:
    decide_by(patch, Indicator.STOPPED, pacing.nothing, Standing.OFF_OPEN)


@planted
def a_second_request_flies(patch: Patch) -> None:
    decide_by(patch, Indicator.STOPPED, pacing.stop_if_owed, Standing.BUSY)


@planted
def a_closed_gate_lets_a_stop_through(patch: Patch) -> None:
    decide_by(patch, Indicator.STOPPED, pacing.stop_if_owed, Standing.OFF_WAITING, Standing.ON_WAITING)


@planted
def nobody_wakes_for_the_refresh(patch: Patch) -> None:
    wake_at = pacing.wake_at
    patch.setattr(pacing, "wake_at", lambda p, now: NEVER if now >= p.gate_at else wake_at(p, now))


# What is booked.


@planted
def the_gate_counts_from_the_send(patch: Patch) -> None:
    def shift(pacer: Pacer, wish: Wish, outcome: Outcome, now: Ms, timings: Timings) -> None:
        pacer.gate_at -= outcome.latency_ms if isinstance(outcome, Shown) else 0

    after_settling(patch, shift)


@planted
def a_refused_payload_is_sent_again(patch: Patch) -> None:
    def keep(pacer: Pacer, wish: Wish, outcome: Outcome, now: Ms, timings: Timings) -> None:
        pacer.order = wish if isinstance(outcome, CoolOff) else pacer.order

    after_settling(patch, keep)


@planted
def a_retry_after_is_not_read(patch: Patch) -> None:
    def hurry(pacer: Pacer, wish: Wish, outcome: Outcome, now: Ms, timings: Timings) -> None:
        pacer.gate_at = now + timings.min_interval_ms if isinstance(outcome, CoolOff) else pacer.gate_at

    after_settling(patch, hurry)


@planted
def what_may_come_late_is_not_waited_for(patch: Patch) -> None:
    def hurry(pacer: Pacer, wish: Wish, outcome: Outcome, now: Ms, timings: Timings) -> None:
        is_unknown = isinstance(outcome, Unreachable) and outcome.is_unknown
        pacer.gate_at -= timings.late_ms if is_unknown else 0

    after_settling(patch, hurry)


@planted
def a_timeout_counts_as_accepted(patch: Patch) -> None:
    settle = settling.settle

    def optimistic(
        pacer: Pacer, outcome: Outcome, *rest: Any, **named: Any
    ) -> Settled:  # passed on as they come
        is_unknown = isinstance(outcome, Unreachable) and outcome.is_unknown
        return settle(pacer, Shown(200, 0) if is_unknown else outcome, *rest, **named)

    patch.setattr(settling, "settle", optimistic)


@planted
def a_timeout_owes_nothing(patch: Patch) -> None:
    patch.setattr(settling, "_may_be_visible", lambda *_: None)


@planted
def an_accepted_stop_stays_owed(patch: Patch) -> None:
    def keep(pacer: Pacer, wish: Wish, outcome: Outcome, now: Ms, timings: Timings) -> None:
        pacer.owes_stop |= isinstance(outcome, Shown) and wish.cause is Cause.STOP

    after_settling(patch, keep)


@planted
def an_accepted_pause_owes_nothing(patch: Patch) -> None:
    def drop(pacer: Pacer, wish: Wish, outcome: Outcome, now: Ms, timings: Timings) -> None:
        pacer.owes_stop &= not (pacer.was_cleared and wish.cause is Cause.PAUSE)

    after_settling(patch, drop)


@planted
def tries_are_never_reset(patch: Patch) -> None:
    want = pacing.want

    def stingy(pacer: Pacer, wanted: Indicator, *, is_silent: bool) -> None:
        tries, given_up_until = pacer.tries, pacer.given_up_until
        want(pacer, wanted, is_silent=is_silent)
        pacer.tries, pacer.given_up_until = tries, given_up_until

    patch.setattr(pacing, "want", stingy)


@planted
def tries_are_never_counted(patch: Patch) -> None:
    patch.setattr(settling, "MAX_TRIES", 1_000_000)


@planted
def a_refusal_mutes_nobody(patch: Patch) -> None:
    patch.setattr(pacing, "MUTE_MS", 0)


@planted
def the_back_off_never_grows(patch: Patch) -> None:
    patch.setattr(settling, "MAX_DOUBLINGS", 0)


@planted
def the_minute_is_not_counted(patch: Patch) -> None:
    patch.setattr(pacing, "MINUTE_MS", 0)


@planted
def a_refresh_waits_for_the_display_to_end(patch: Patch) -> None:
    send = settling.send

    def late(pacer: Pacer, wish: Wish, now: Ms, timings: Timings, *, jitter: float) -> None:
        send(pacer, wish, now, timings, jitter=jitter)
        pacer.next_refresh_at = now + wish.duration_ms

    patch.setattr(settling, "send", late)


# The wheel.


@planted
def the_wheel_is_early(patch: Patch) -> None:
    arm = deadlines.Wheel.arm
    patch.setattr(deadlines.Wheel, "arm", lambda w, item, due: arm(w, item, due - 100))


@planted
def the_wheel_ignores_an_earlier_deadline(patch: Patch) -> None:
    arm = deadlines.Wheel.arm

    def once(wheel: Any, item: Any, due: Ms) -> None:  # whatever the wheel is of
        if not item.armed_tick:
            arm(wheel, item, due)

    patch.setattr(deadlines.Wheel, "arm", once)
