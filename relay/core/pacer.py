"""What the platform was told about one session, and what it may be told next.

The pacer is level-triggered: it keeps the indicator that is *wanted* and the one that is *shown*, and compares
them whenever the gate is open. There is one pending level and never a queue, and the payload is made at the
moment of sending: so a stop cannot be lost while throttled, and nothing stale is ever sent.

    want(...) ─► decide(now) ─► Wish or None ─► send(wish, now) ─ in flight ─► settle(outcome, now) ─► decide …
                     ▲ again at wake_at(now)

`DECISIONS` says for every wanted indicator in every standing what may be sent; the rules it names are below
it. An *episode* opens when a typing is accepted, or may have been; in `explicit` mode it owes the platform one
accepted stop.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from relay.core.indicator import Cause, Indicator, Wish
from relay.core.moments import NEVER, Ms
from relay.core.timings import MUTE_MS, StopMode, Timings

MINUTE_MS: Ms = 60_000


class Standing(StrEnum):
    """OFF/ON: nothing/maybe something visible; OPEN/WAITING: the gate; BUSY: in flight; MUTE: refused."""

    OFF_OPEN = "OFF.o"
    OFF_WAITING = "OFF.w"
    ON_OPEN = "ON.o"
    ON_WAITING = "ON.w"
    BUSY = "BUSY"
    MUTE = "MUTE"


@dataclass(frozen=True, slots=True)
class Reach:
    """What the platform can be told (a gateway's capabilities), with the mode the operator chose.

    `longest_ms`: it displays nothing for longer, whatever it is told; None where it does as it is told.
    """

    shows_paused: bool = True
    can_stop: bool = True
    message_clears: bool = False
    is_explicit: bool = True
    longest_ms: int | None = None

    def kept_ms(self, duration_ms: int) -> int:
        """How long a display that is asked for this long lasts."""
        return duration_ms if self.longest_ms is None else min(duration_ms, self.longest_ms)

    @property
    def owes_stops(self) -> bool:
        return self.is_explicit and self.can_stop


def reach_of(
    mode: StopMode, *, shows_paused: bool, can_stop: bool, message_clears: bool, longest_ms: int | None = None
) -> Reach:
    return Reach(shows_paused, can_stop, message_clears, mode is StopMode.EXPLICIT, longest_ms)


@dataclass(slots=True)
class Pacer:
    """`shown` was accepted and ends at `shown_until`; `visible_until` also bounds what may have been applied.

    `given_up_until`: three tries of what is wanted have failed, and until then there is no further one.
    `is_fresh`: somebody acted since the last accepted typing. `is_thinking`: somebody counts without acting.
    `is_spoken`: the wanted stop has a reason other than silence. `has_begun`: a typing was accepted since typing became
    wanted. `gate_at` is when the next send is allowed.
    """

    gate_at: Ms = -NEVER
    wanted: Indicator = Indicator.STOPPED
    is_fresh: bool = False
    is_thinking: bool = False
    is_spoken: bool = False
    has_begun: bool = False
    shown: Indicator | None = None
    shown_until: Ms = -NEVER
    visible_until: Ms = -NEVER
    refresh_at: Ms = -NEVER
    owes_stop: bool = False
    tries: int = 0
    fails: int = 0
    given_up_until: Ms = -NEVER
    in_flight: Wish | None = None
    next_refresh_at: Ms = -NEVER
    was_cleared: bool = False
    muted_until: Ms = -NEVER
    mute_code: str = ""
    mute_status: int | None = None
    order: Wish | None = None
    duration_ms: int = 0
    sent_at: deque[Ms] | None = None


# Looked up once: through its class a member costs 95 ns a time (Python 3.11), and these are met at every step.
_TYPING, _PAUSED, _STOPPED = Indicator
_START, _REFRESH, _PAUSE, _STOP, _ = Cause
_OFF_OPEN, _OFF_WAITING, _ON_OPEN, _ON_WAITING, _BUSY, _MUTE = Standing
_OPEN = (_OFF_OPEN, _ON_OPEN)


def standing(pacer: Pacer, now: Ms) -> Standing:
    if pacer.in_flight is not None:
        return _BUSY
    if now < pacer.muted_until:
        return _MUTE
    is_open = now >= pacer.gate_at
    if now < pacer.visible_until:
        return _ON_OPEN if is_open else _ON_WAITING
    return _OFF_OPEN if is_open else _OFF_WAITING


# Rules: what an open gate lets through.

Rule = Callable[[Pacer, Ms, Timings, Reach], Wish | None]


def shows_typing(pacer: Pacer, now: Ms) -> bool:
    return pacer.shown is _TYPING and now < pacer.shown_until


def nothing(pacer: Pacer, now: Ms, timings: Timings, reach: Reach) -> Wish | None:
    """There is nothing to tell, or nobody to tell it to."""
    return None


def wait(pacer: Pacer, now: Ms, timings: Timings, reach: Reach) -> Wish | None:
    """The gate or the completion reconciles; what is wanted then is decided then."""
    return None


def type_if_due(pacer: Pacer, now: Ms, timings: Timings, reach: Reach) -> Wish | None:
    """Typing, if it is not shown or its refresh is due, and somebody acted since the last, or is thinking."""
    is_shown = shows_typing(pacer, now)
    if (
        now < pacer.given_up_until
        or not (pacer.is_fresh or pacer.is_thinking)
        or (is_shown and now < pacer.refresh_at)
    ):
        return None
    cause = _REFRESH if is_shown else _START
    return Wish(_TYPING, pacer.duration_ms or timings.duration_ms, cause)


def pause_if_typing_shows(pacer: Pacer, now: Ms, timings: Timings, reach: Reach) -> Wish | None:
    """Paused, where the mode and the platform know it and an accepted typing is still visible."""
    if now < pacer.given_up_until or not (
        reach.is_explicit and reach.shows_paused and shows_typing(pacer, now)
    ):
        return None
    return Wish(_PAUSED, pacer.duration_ms or timings.duration_ms, _PAUSE)


def stop_if_owed(pacer: Pacer, now: Ms, timings: Timings, reach: Reach) -> Wish | None:
    """The episode's one stop, also when its display has long lapsed."""
    if now < pacer.given_up_until or not pacer.owes_stop:
        return None
    return Wish(_STOPPED, pacer.duration_ms or timings.duration_ms, _STOP)


def stop_if_it_gains(pacer: Pacer, now: Ms, timings: Timings, reach: Reach) -> Wish | None:
    """A stop that is owed, or in `terminal` mode one that somebody asked for and that spares enough display."""
    gains = not reach.is_explicit and pacer.is_spoken and pacer.visible_until - now > timings.min_gain_ms
    if now < pacer.given_up_until or not (pacer.owes_stop or (reach.can_stop and gains)):
        return None
    return Wish(_STOPPED, pacer.duration_ms or timings.duration_ms, _STOP)


DECISIONS: dict[Indicator, dict[Standing, Rule]] = {
    Indicator.TYPING: {
        Standing.OFF_OPEN: type_if_due,
        Standing.OFF_WAITING: wait,
        Standing.ON_OPEN: type_if_due,
        Standing.ON_WAITING: wait,
        Standing.BUSY: wait,
        Standing.MUTE: nothing,
    },
    Indicator.PAUSED: {
        Standing.OFF_OPEN: nothing,
        Standing.OFF_WAITING: nothing,
        Standing.ON_OPEN: pause_if_typing_shows,
        Standing.ON_WAITING: wait,
        Standing.BUSY: wait,
        Standing.MUTE: nothing,
    },
    Indicator.STOPPED: {
        Standing.OFF_OPEN: stop_if_owed,
        Standing.OFF_WAITING: wait,
        Standing.ON_OPEN: stop_if_it_gains,
        Standing.ON_WAITING: wait,
        Standing.BUSY: wait,
        Standing.MUTE: nothing,
    },
}


def decide(pacer: Pacer, now: Ms, timings: Timings, reach: Reach) -> Wish | None:
    """What to tell the platform at this instant; a direct order goes before what the actors want."""
    at = standing(pacer, now)
    if pacer.order is not None and at in _OPEN:
        return pacer.order
    return DECISIONS[pacer.wanted][at](pacer, now, timings, reach)


def wake_at(pacer: Pacer, now: Ms) -> Ms:
    """When `decide` may answer differently without any input; a wake too many is harmless, one too few is not."""
    if pacer.in_flight is not None:
        return NEVER  # its completion reconciles
    if now < pacer.muted_until:
        return pacer.muted_until
    due = pacer.gate_at if pacer.order is not None else _due_at(pacer, now)
    return due if due > now else NEVER  # what is due by now was decided now


def _due_at(pacer: Pacer, now: Ms) -> Ms:
    """When what is wanted and not yet shown may be told."""
    if pacer.wanted is _TYPING:
        if shows_typing(pacer, now):
            return max(pacer.gate_at, pacer.given_up_until, min(pacer.refresh_at, pacer.shown_until))
        return max(pacer.gate_at, pacer.given_up_until)
    if pacer.wanted is _PAUSED:
        return pacer.gate_at if shows_typing(pacer, now) else NEVER
    is_due = pacer.owes_stop or (pacer.is_spoken and now < pacer.visible_until)
    return pacer.gate_at if is_due else NEVER


# Inputs.


def want(pacer: Pacer, wanted: Indicator, *, is_silent: bool) -> None:
    """What the actors now add up to. A new wanted state has its own three tries."""
    if wanted is not pacer.wanted:
        pacer.wanted, pacer.tries, pacer.given_up_until = wanted, 0, -NEVER
        pacer.is_spoken = pacer.has_begun = False
    if wanted is _STOPPED and not is_silent:
        pacer.is_spoken = True  # a terminal reason upgrades a silent stop


def cleared_by_platform(pacer: Pacer, now: Ms) -> None:
    """A message of the agent's has removed the indicator from the guest's screen; re-assert if still wanted."""
    pacer.shown, pacer.shown_until, pacer.visible_until, pacer.owes_stop = None, now, now, False
    pacer.was_cleared = pacer.in_flight is not None
    pacer.is_fresh = pacer.is_fresh or pacer.wanted is _TYPING


def refusal_of_order(pacer: Pacer, now: Ms, timings: Timings) -> Ms | str | None:
    """None if a direct order may go now, else how long to wait, or the code with which the platform refused."""
    match standing(pacer, now):
        case Standing.MUTE:
            return pacer.mute_code
        case Standing.OFF_WAITING | Standing.ON_WAITING:
            return pacer.gate_at - now
        case Standing.BUSY:
            return float(timings.min_interval_ms)
        case _:
            return None if pacer.order is None else float(timings.min_interval_ms)


def mute(pacer: Pacer, code: str, now: Ms, *, status: int | None = None) -> None:
    """The platform will not have this session: it is left alone for a minute, and owes nothing."""
    pacer.muted_until, pacer.mute_code, pacer.mute_status = now + MUTE_MS, code, status
    pacer.shown, pacer.shown_until, pacer.visible_until = None, now, now
    pacer.owes_stop, pacer.tries, pacer.order = False, 0, None


def unmute(pacer: Pacer) -> None:
    """The platform may be asked again; the gate stays as it is."""
    pacer.muted_until, pacer.mute_code, pacer.mute_status = -NEVER, "", None
    pacer.tries, pacer.given_up_until = 0, -NEVER


def hold(pacer: Pacer, now: Ms, timings: Timings) -> None:
    """The gateway lets nothing through now: ask again an interval from now, with what is wanted then."""
    pacer.gate_at = max(pacer.gate_at, now + timings.min_interval_ms)


def is_unsettled(pacer: Pacer, now: Ms, reach: Reach) -> bool:
    """True while the platform has still to be told, or to answer, something about this session."""
    is_busy = pacer.in_flight is not None or pacer.order is not None or pacer.owes_stop
    is_worth_a_stop = reach.can_stop and not reach.is_explicit and pacer.is_spoken
    return is_busy or (is_worth_a_stop and now < pacer.visible_until)


def rests_at(pacer: Pacer) -> Ms:
    """From when on nothing of this pacer matters any more; NEVER while it still has something to do."""
    is_busy = pacer.in_flight is not None or pacer.order is not None or pacer.owes_stop
    if is_busy or pacer.wanted is not _STOPPED:
        return NEVER
    counted_until = pacer.sent_at[-1] + MINUTE_MS if pacer.sent_at else -NEVER
    return max(pacer.gate_at, pacer.visible_until, pacer.muted_until, counted_until)
