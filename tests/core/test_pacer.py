"""The pacer's decisions, cell by cell from the design's table. What comes of a broadcast: `test_settling`."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from relay.core.indicator import Cause, Indicator, Wish
from relay.core.moments import NEVER, Ms
from relay.core.pacer import (
    DECISIONS,
    Pacer,
    Reach,
    Standing,
    cleared_by_platform,
    decide,
    hold,
    mute,
    reach_of,
    refusal_of_order,
    rests_at,
    standing,
    wake_at,
    want,
)
from relay.core.settling import send
from relay.core.timings import MUTE_MS, StopMode, Timings

T = Timings()
Fields = dict[str, Any]  # of a Pacer, by name; dataclasses.replace checks them
NOW: Ms = 100_000.0
GATE: Ms = NOW + 1000
TYPING, PAUSED, STOPPED = Indicator.TYPING, Indicator.PAUSED, Indicator.STOPPED
EXPLICIT, TERMINAL = Reach(is_explicit=True), Reach(is_explicit=False)
MODES = pytest.mark.parametrize("reach", [EXPLICIT, TERMINAL], ids=["explicit", "terminal"])


def off(*, gate_at: Ms = NOW, **fields: Any) -> Pacer:
    """Nothing is visible."""
    return replace(Pacer(gate_at=gate_at), **fields)


def on(shown: Indicator | None = TYPING, *, gate_at: Ms = NOW, visible_ms: Ms = 1000, **fields: Any) -> Pacer:
    """An accepted `shown` is visible for `visible_ms` more; with None, only something of unknown fate is."""
    until = NOW + visible_ms
    made = Pacer(gate_at=gate_at, shown=shown, shown_until=until, visible_until=until, refresh_at=NOW)
    return replace(made, **fields)


def busy(**fields: Any) -> Pacer:
    return replace(on(), in_flight=Wish(TYPING, 3000, Cause.START), **fields)


def muted(**fields: Any) -> Pacer:
    return replace(off(), muted_until=NOW + 40_000, mute_code="not_found", **fields)


@pytest.mark.parametrize(
    ("pacer", "named"),
    [
        (off(), Standing.OFF_OPEN),
        (off(gate_at=GATE), Standing.OFF_WAITING),
        (on(), Standing.ON_OPEN),
        (on(None), Standing.ON_OPEN),
        (on(gate_at=GATE), Standing.ON_WAITING),
        (busy(), Standing.BUSY),
        (muted(), Standing.MUTE),
        (replace(muted(), muted_until=NOW), Standing.OFF_OPEN),
        (on(visible_ms=0), Standing.OFF_OPEN),
    ],
)
def test_where_a_pacer_stands(pacer: Pacer, named: Standing) -> None:
    assert standing(pacer, NOW) is named


def test_typing_that_becomes_wanted_anew_has_not_begun() -> None:
    pacer = on(wanted=TYPING, has_begun=True)
    want(pacer, TYPING, is_silent=True)
    assert pacer.has_begun
    want(pacer, PAUSED, is_silent=True)
    assert not pacer.has_begun


def test_every_wanted_indicator_has_a_rule_in_every_standing() -> None:
    assert set(DECISIONS) == set(Indicator)
    assert all(set(row) == set(Standing) for row in DECISIONS.values())


@dataclass(frozen=True)
class Row:
    """In this pacer, with this wanted: what is sent at once (None: nothing), and when to look again."""

    pacer: Pacer
    sends: Cause | None
    wakes: Ms = NEVER
    reach: Reach = EXPLICIT


FRESH: Fields = {"wanted": TYPING, "is_fresh": True}
STALE: Fields = {"wanted": TYPING, "is_fresh": False}
THINKS: Fields = {"wanted": TYPING, "is_thinking": True}
WANT_TYPING = {
    "OFF.o, somebody acted: send now": Row(off(**FRESH), Cause.START),
    "OFF.o, somebody thinks: send now": Row(off(**THINKS), Cause.START),
    "OFF.o, nobody acted since the last: nothing": Row(off(**STALE), None),
    "OFF.w: pend": Row(off(gate_at=GATE, **FRESH), None, GATE),
    "ON.o, refresh due, somebody acted: send": Row(on(**FRESH), Cause.REFRESH),
    "ON.o, refresh due, somebody thinks: send": Row(on(**THINKS), Cause.REFRESH),
    "ON.o, refresh due, nobody acted: lapse": Row(on(**STALE), None),
    "ON.o, before R: wait for R": Row(on(refresh_at=NOW + 1, **FRESH), None, NOW + 1),
    "ON.o, before R, nobody acted yet: look at R": Row(on(refresh_at=NOW + 1, **STALE), None, NOW + 1),
    "ON.o, paused shows: typing is not shown, send": Row(on(PAUSED, **FRESH), Cause.START),
    "ON.o, only maybe visible: typing is not shown, send": Row(on(None, **FRESH), Cause.START),
    "ON.w: pend": Row(on(gate_at=GATE, **FRESH), None, GATE),
    "BUSY: the completion reconciles": Row(busy(**FRESH), None),
    "MUTE: ignore for the minute": Row(muted(**FRESH), None, NOW + 40_000),
    "given up: ignore for the minute": Row(off(given_up_until=GATE, **FRESH), None, GATE),
    "given up while it shows: the same": Row(on(given_up_until=GATE, **FRESH), None, GATE),
    "the minute is over: send": Row(off(given_up_until=NOW, **FRESH), Cause.START),
}
PAUSE: Fields = {"wanted": PAUSED}
NO_PAUSES = Reach(shows_paused=False)
WANT_PAUSED = {
    "OFF.o: nothing": Row(off(**PAUSE), None),
    "OFF.o, owed: nothing before the stop": Row(off(owes_stop=True, **PAUSE), None),
    "OFF.w: a pending start is dropped": Row(off(gate_at=GATE, is_fresh=True, **PAUSE), None),
    "ON.o, explicit, pauses shown, typing visible: send": Row(on(**PAUSE), Cause.PAUSE),
    "ON.o, before R too": Row(on(refresh_at=NOW + 500, **PAUSE), Cause.PAUSE),
    "ON.o, terminal: stop refreshing": Row(on(**PAUSE), None, reach=TERMINAL),
    "ON.o, no pauses there: stop refreshing": Row(on(**PAUSE), None, reach=NO_PAUSES),
    "ON.o, paused shows already": Row(on(PAUSED, **PAUSE), None),
    "ON.o, no typing was accepted": Row(on(None, **PAUSE), None),
    "ON.w: pend": Row(on(gate_at=GATE, **PAUSE), None, GATE),
    "BUSY": Row(busy(**PAUSE), None),
    "MUTE": Row(muted(**PAUSE), None, NOW + 40_000),
    "given up": Row(on(given_up_until=GATE, **PAUSE), None),
}
STOP: Fields = {"wanted": STOPPED}
OWED: Fields = {"wanted": STOPPED, "owes_stop": True}
SPOKEN: Fields = {"wanted": STOPPED, "is_spoken": True}
NO_STOPS = Reach(can_stop=False)
NO_STOPS_TERMINAL = Reach(can_stop=False, is_explicit=False)
WANT_STOPPED = {
    "OFF.o, owed: send, however long the display is over": Row(off(**OWED), Cause.STOP),
    "OFF.o, not owed: nothing": Row(off(**STOP), None),
    "OFF.o, terminal: nothing is visible": Row(off(**SPOKEN), None, reach=TERMINAL),
    "OFF.w, owed: pend": Row(off(gate_at=GATE, **OWED), None, GATE),
    "OFF.w: a pending start is dropped": Row(off(gate_at=GATE, is_fresh=True, **STOP), None),
    "ON.o, owed: send": Row(on(**OWED), Cause.STOP),
    "ON.o, explicit, not owed: let it lapse": Row(on(**STOP), None),
    "ON.o, terminal, asked for, 1 s to gain: send": Row(on(**SPOKEN), Cause.STOP, reach=TERMINAL),
    "ON.o, terminal, 501 ms: send": Row(on(visible_ms=501, **SPOKEN), Cause.STOP, reach=TERMINAL),
    "ON.o, terminal, 500 ms: let it lapse": Row(on(visible_ms=500, **SPOKEN), None, reach=TERMINAL),
    "ON.o, terminal, paused of another mode shows": Row(on(PAUSED, **SPOKEN), Cause.STOP, reach=TERMINAL),
    "ON.o, terminal, only maybe visible": Row(on(None, **SPOKEN), Cause.STOP, reach=TERMINAL),
    "ON.o, terminal, silence: let it lapse": Row(on(**STOP), None, reach=TERMINAL),
    "ON.o, the platform has no stop": Row(on(**SPOKEN), None, reach=NO_STOPS),
    "ON.o, the platform has no stop, terminal": Row(on(**SPOKEN), None, reach=NO_STOPS_TERMINAL),
    "ON.w, owed: at the gate": Row(on(gate_at=GATE, **OWED), None, GATE),
    "ON.w, visible beyond the gate: at the gate": Row(
        on(gate_at=GATE, visible_ms=2000, **SPOKEN), None, GATE, TERMINAL
    ),
    "BUSY": Row(busy(**OWED), None),
    "MUTE": Row(muted(**STOP), None, NOW + 40_000),
    "given up": Row(on(given_up_until=GATE, **SPOKEN), None, reach=TERMINAL),
}


@pytest.mark.parametrize("row", WANT_TYPING.values(), ids=WANT_TYPING)
@MODES
def test_want_typing(row: Row, reach: Reach) -> None:
    expect(replace(row, reach=reach), TYPING)


@pytest.mark.parametrize("row", WANT_PAUSED.values(), ids=WANT_PAUSED)
def test_want_paused(row: Row) -> None:
    expect(row, PAUSED)


@pytest.mark.parametrize("row", WANT_STOPPED.values(), ids=WANT_STOPPED)
def test_want_stopped(row: Row) -> None:
    expect(row, STOPPED)


def expect(row: Row, indicator: Indicator) -> None:
    pacer = replace(row.pacer)
    wish = decide(pacer, NOW, T, row.reach)
    assert wish == (Wish(indicator, 3000, row.sends) if row.sends else None)
    if row.sends is None:
        assert wake_at(pacer, NOW) == row.wakes


def test_a_stop_waiting_for_the_gate_is_not_sent_to_an_empty_screen() -> None:
    pacer = on(gate_at=GATE, visible_ms=500, **SPOKEN)
    assert decide(pacer, GATE, T, TERMINAL) is None


def test_an_order_that_met_a_refusal_is_not_sent_when_the_minute_is_over() -> None:
    pacer = off(order=Wish(TYPING, 3000, Cause.DIRECT))
    mute(pacer, "gone", NOW)
    assert decide(pacer, NOW + MUTE_MS, T, EXPLICIT) is None


def test_a_gate_does_not_open_for_a_clock_that_steps_back() -> None:
    assert decide(off(gate_at=GATE, **FRESH), NOW - 90_000, T, EXPLICIT) is None


# What is wanted.


def test_a_new_wanted_state_has_its_own_tries() -> None:
    pacer = off(wanted=TYPING, tries=2, given_up_until=NOW + 1)
    want(pacer, PAUSED, is_silent=True)
    assert (pacer.tries, pacer.given_up_until) == (0, -NEVER)


def test_wanting_the_same_again_gives_no_new_tries() -> None:
    pacer = off(wanted=TYPING, tries=2, given_up_until=NOW + 1)
    want(pacer, TYPING, is_silent=False)
    assert (pacer.tries, pacer.given_up_until) == (2, NOW + 1)


def test_a_terminal_reason_upgrades_a_silent_stop() -> None:
    pacer = on(wanted=PAUSED)
    want(pacer, STOPPED, is_silent=True)
    assert decide(pacer, NOW, T, TERMINAL) is None
    want(pacer, STOPPED, is_silent=False)
    assert decide(pacer, NOW, T, TERMINAL) == Wish(STOPPED, 3000, Cause.STOP)


def test_a_silence_does_not_take_the_reason_back() -> None:
    pacer = on(wanted=PAUSED)
    want(pacer, STOPPED, is_silent=False)
    want(pacer, STOPPED, is_silent=True)
    assert decide(pacer, NOW, T, TERMINAL) is not None


def test_the_reason_of_an_old_stop_is_forgotten_by_typing() -> None:
    pacer = on(wanted=PAUSED)
    want(pacer, STOPPED, is_silent=False)
    want(pacer, TYPING, is_silent=False)
    want(pacer, STOPPED, is_silent=True)
    assert decide(pacer, NOW, T, TERMINAL) is None


def test_an_event_may_carry_its_own_duration() -> None:
    assert decide(off(duration_ms=5000, **FRESH), NOW, T, EXPLICIT) == Wish(TYPING, 5000, Cause.START)


# platform_cleared.


def test_a_cleared_screen_owes_nothing() -> None:
    pacer = on(**OWED)
    cleared_by_platform(pacer, NOW)
    assert decide(pacer, NOW, T, EXPLICIT) is None
    assert rests_at(pacer) == NOW


def test_a_cleared_screen_is_told_again_while_somebody_types() -> None:
    pacer = on(refresh_at=NOW + 2000, **STALE)
    cleared_by_platform(pacer, NOW)
    assert decide(pacer, NOW, T, EXPLICIT) == Wish(TYPING, 3000, Cause.START)


def test_a_cleared_screen_is_told_again_at_the_gate_and_not_before() -> None:
    pacer = on(gate_at=GATE, **STALE)
    cleared_by_platform(pacer, NOW)
    assert decide(pacer, NOW, T, EXPLICIT) is None
    assert wake_at(pacer, NOW) == GATE
    assert decide(pacer, GATE, T, EXPLICIT) is not None


# Direct orders.


@pytest.mark.parametrize(
    ("pacer", "refusal"),
    [
        (off(), None),
        (on(), None),
        (off(gate_at=GATE), 1000.0),
        (on(gate_at=GATE), 1000.0),
        (busy(), 2000.0),
        (muted(), "not_found"),
        (off(order=Wish(TYPING, 3000, Cause.DIRECT)), 2000.0),
    ],
)
def test_a_direct_order_goes_through_an_open_gate_only(pacer: Pacer, refusal: Ms | str | None) -> None:
    assert refusal_of_order(pacer, NOW, T) == refusal


@pytest.mark.parametrize("pacer", [off(**FRESH), on(**OWED)])
def test_a_direct_order_goes_before_what_the_actors_want(pacer: Pacer) -> None:
    pacer.order = Wish(PAUSED, 700, Cause.DIRECT)
    assert decide(pacer, NOW, T, EXPLICIT) is pacer.order


@pytest.mark.parametrize("pacer", [off(gate_at=GATE), busy(), muted()])
def test_a_direct_order_never_passes_a_closed_gate(pacer: Pacer) -> None:
    pacer.order = Wish(PAUSED, 700, Cause.DIRECT)
    assert decide(pacer, NOW, T, EXPLICIT) is None


# Refresh.


@pytest.mark.parametrize(
    ("jitter", "duration_ms", "refresh_ms"),
    [
        (0.0, 3000, 2300),  # R = D - m
        (0.5, 3000, 2242.5),  # 2.5 % early
        (1.0, 3000, 2185),  # 5 % early
        (1.0, 2750, 2000),  # R = 2050; 5 % early would be under I
        (0.0, 2000, 2000),  # a pulse: D - m = 1300 < I, so R = I
        (1.0, 100, 2000),
        (0.0, 10_000, 9300),
    ],
)
def test_the_refresh_comes_up_to_5_percent_early_and_never_under_the_interval(
    jitter: float, duration_ms: int, refresh_ms: Ms
) -> None:
    pacer = off(**FRESH)
    send(pacer, Wish(TYPING, duration_ms, Cause.START), NOW, T, jitter=jitter)
    assert pacer.next_refresh_at - NOW == pytest.approx(refresh_ms)


# The circuit, and rest.


def test_an_open_circuit_asks_again_an_interval_later() -> None:
    pacer = off(**FRESH)
    hold(pacer, NOW, T)
    assert wake_at(pacer, NOW) == NOW + 2000


def test_an_open_circuit_never_shortens_a_wait() -> None:
    pacer = off(gate_at=NOW + 30_000)
    hold(pacer, NOW, T)
    assert pacer.gate_at == NOW + 30_000


@pytest.mark.parametrize(
    ("pacer", "rests"),
    [
        (off(gate_at=GATE), GATE),
        (on(visible_ms=3000), NOW + 3000),
        (muted(), NOW + 40_000),
        (on(**OWED), NEVER),
        (busy(), NEVER),
        (off(wanted=PAUSED), NEVER),
        (off(order=Wish(TYPING, 3000, Cause.DIRECT)), NEVER),
    ],
)
def test_a_pacer_rests_when_gate_display_and_refusal_are_over(pacer: Pacer, rests: Ms) -> None:
    assert rests_at(pacer) == rests


@pytest.mark.parametrize(("mode", "is_explicit"), [(StopMode.EXPLICIT, True), (StopMode.TERMINAL, False)])
def test_a_stop_is_owed_only_in_explicit_mode_where_it_can_be_told(mode: StopMode, is_explicit: bool) -> None:  # noqa: FBT001 - a parameter of the table
    reach = reach_of(mode, shows_paused=True, can_stop=True, message_clears=False)
    assert reach.owes_stops is is_explicit
    assert not reach_of(mode, shows_paused=True, can_stop=False, message_clears=False).owes_stops
