"""Sending a wish, and booking what came of it: the pacer's other half.

    send(wish, now) ─ in flight ─► settle(outcome, now): shown or not, gate, tries, what is owed

Every outcome leaves the pacer so that `decide` can be asked again; nothing is ever re-sent, it is decided afresh.
"""

from collections import deque
from dataclasses import dataclass

from relay.core.indicator import Cause, Indicator, Wish
from relay.core.moments import Ms
from relay.core.outcome import CoolOff, Expired, Held, Outcome, Refused, Shown, Unauthorised, Unreachable
from relay.core.pacer import MINUTE_MS, Pacer, Reach, mute
from relay.core.timings import MUTE_MS, Timings

MAX_TRIES = 3
"""Tries of one wanted state before it is given up, for a minute."""

MAX_DOUBLINGS = 3
"""After this many the back-off of a session stays at eight intervals."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a settled broadcast amounted to. `is_given_up`: no further try of this wanted state
    for a minute.

    `is_exhausted`: because its tries are used up.
    """

    attempts: int
    is_given_up: bool
    is_exhausted: bool = False


# Looked up once: through its class a member costs 95 ns a time (Python 3.11), and these are met at every step.
_TYPING, _, _STOPPED = Indicator
_DIRECT = Cause.DIRECT


def send(pacer: Pacer, wish: Wish, now: Ms, timings: Timings, *, jitter: float) -> None:
    """The wish is on its way. `jitter` in [0, 1) draws the next refresh up to 5 % early."""
    pacer.in_flight, pacer.was_cleared = wish, False
    if wish is pacer.order:
        pacer.order = None
    if wish.indicator is _TYPING:
        pacer.is_fresh = pacer.is_fresh and wish.cause is _DIRECT
        refresh = timings.refresh_ms(wish.duration_ms) * (1 - timings.refresh_jitter * jitter)
        pacer.next_refresh_at = now + max(timings.min_interval_ms, refresh)


def settle(
    pacer: Pacer, outcome: Outcome, now: Ms, timings: Timings, reach: Reach, *, jitter: float
) -> Settled:
    """Book what came of the broadcast in flight. `jitter` in [0, 1) spreads a back-off by up to 10 %."""
    wish, pacer.in_flight = pacer.in_flight, None
    assert wish is not None, "settled twice"
    match outcome:
        case Shown():
            return _accepted(pacer, wish, now, timings, reach)
        case Refused():
            mute(pacer, outcome.code, now, status=outcome.status)
            return Settled(pacer.tries + 1, is_given_up=True)
        case Expired():  # nothing was shown and no try was spent: choose again at once
            _restore_freshness(pacer, wish)
            if wish.cause is _DIRECT:
                pacer.order = wish
            return Settled(pacer.tries, is_given_up=False)
        case Held():
            _restore_freshness(pacer, wish)
            pacer.gate_at = max(pacer.gate_at, now + outcome.wait_ms)
            return Settled(pacer.tries, is_given_up=False)
        case CoolOff() | Unauthorised() | Unreachable():
            _restore_freshness(pacer, wish)
            gate = now + _wait_ms(pacer, outcome, timings, jitter)
            if isinstance(outcome, Unreachable) and outcome.is_unknown:
                gate += timings.late_ms
                _may_be_visible(pacer, wish, now + timings.late_ms, reach)
            _close_gate(pacer, gate, now, timings)
            return _count_try(pacer, wish, now)


def _wait_ms(
    pacer: Pacer, outcome: CoolOff | Unauthorised | Unreachable, timings: Timings, jitter: float
) -> Ms:
    if isinstance(outcome, CoolOff):
        return max(float(timings.min_interval_ms), outcome.wait_ms or 0.0)
    pacer.fails += 1
    return float(timings.min_interval_ms * 2 ** min(pacer.fails - 1, MAX_DOUBLINGS) * (1 + jitter / 10))


def _accepted(pacer: Pacer, wish: Wish, now: Ms, timings: Timings, reach: Reach) -> Settled:
    is_order = wish.cause is _DIRECT
    attempts = 1 if is_order else pacer.tries + 1
    pacer.tries, pacer.fails = pacer.tries if is_order else 0, 0
    _close_gate(pacer, now + timings.min_interval_ms, now, timings)
    if wish.indicator is _STOPPED:
        pacer.shown, pacer.shown_until, pacer.visible_until, pacer.owes_stop = None, now, now, False
        return Settled(attempts, is_given_up=False)
    pacer.is_spoken = pacer.is_spoken and not is_order  # an ordered display may lapse
    pacer.owes_stop = pacer.owes_stop or (reach.owes_stops and not is_order)
    pacer.shown, pacer.shown_until = wish.indicator, now + wish.duration_ms
    pacer.visible_until = max(pacer.visible_until, pacer.shown_until)
    if wish.indicator is _TYPING:
        pacer.refresh_at = pacer.next_refresh_at
        pacer.has_begun = pacer.has_begun or (pacer.wanted is _TYPING and not is_order)
        if pacer.was_cleared and pacer.wanted is _TYPING:
            pacer.refresh_at, pacer.is_fresh = pacer.gate_at, True  # the message may have wiped it: again
    return Settled(attempts, is_given_up=False)


def _may_be_visible(pacer: Pacer, wish: Wish, latest: Ms, reach: Reach) -> None:
    if wish.indicator is _STOPPED:
        pacer.shown = None  # it may be gone: whoever types on is told afresh
        return
    pacer.visible_until = max(pacer.visible_until, latest + wish.duration_ms)
    if wish.indicator is _TYPING and wish.cause is not _DIRECT:
        pacer.owes_stop = pacer.owes_stop or reach.owes_stops


def _restore_freshness(pacer: Pacer, wish: Wish) -> None:
    """What a typing that was not accepted had used up."""
    if wish.indicator is _TYPING and wish.cause is not _DIRECT:
        pacer.is_fresh = True


def _close_gate(pacer: Pacer, until: Ms, now: Ms, timings: Timings) -> None:
    pacer.gate_at = until
    if timings.max_per_minute is None:
        return
    if pacer.sent_at is None:
        pacer.sent_at = deque(maxlen=timings.max_per_minute)
    pacer.sent_at.append(now)
    if len(pacer.sent_at) == timings.max_per_minute:
        pacer.gate_at = max(until, pacer.sent_at[0] + MINUTE_MS)


def _count_try(pacer: Pacer, wish: Wish, now: Ms) -> Settled:
    """A try counts for the wanted state it served; one that is no longer wanted spends nothing.

    Who is still wanted a minute after the last try gets another three, as after a refusal: a platform that was away for
    a moment must not leave a guest in the dark for as long as somebody writes.
    """
    if wish.cause is _DIRECT:
        return Settled(1, is_given_up=True)
    if wish.indicator is not pacer.wanted:
        return Settled(1, is_given_up=False)
    pacer.tries += 1
    if pacer.tries < MAX_TRIES:
        return Settled(pacer.tries, is_given_up=False)
    pacer.tries, pacer.given_up_until = 0, now + MUTE_MS
    if wish.indicator is _STOPPED:
        pacer.owes_stop = False
    return Settled(MAX_TRIES, is_given_up=True, is_exhausted=True)
