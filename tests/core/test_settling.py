"""What comes of a broadcast, told as small lives: who typed, what the platform answered, what was sent when."""

import pytest

from relay.core.activity import Kind
from relay.core.indicator import Cause, Indicator
from relay.core.moments import Ms
from relay.core.pacer import Reach
from relay.core.timings import MUTE_MS, Timings
from tests.core.answers import (
    Answer,
    accepted,
    cool_off,
    expired,
    held,
    refused,
    script,
    server_error,
    timed_out,
    unauthorised,
)
from tests.core.invariants import calls_within, hold_everywhere, visible
from tests.core.machine import GUEST, TERMINAL, Machine, typed

TYPING, PAUSED, STOPPED = Indicator.TYPING, Indicator.PAUSED, Indicator.STOPPED
T = Timings()


def exact(*answers: Answer, reach: Reach = GUEST, timings: Timings = T, jitter: float = 0.0) -> Machine:
    """Woken at its deadlines to the millisecond, so that figures are the table's."""
    return Machine(timings, reach, script(*answers), ticks=False, jitter=lambda: jitter)


def thinking(machine: Machine) -> Machine:
    """Somebody thinks from 0 on, and counts from 300."""
    machine.think(at=0)
    return machine


# One key, one hesitation.


def test_one_key_in_explicit_mode_is_typing_a_refresh_paused_and_one_stop() -> None:
    """At R = 2300 nobody acted since: no refresh. P = 2500: paused. S = 6000, and nothing to wait for."""
    machine = exact()
    machine.keystroke(at=0)
    machine.finish()
    assert machine.told() == ["0 typing", "2500 paused", "6000 typing_stopped"]
    assert machine.states() == ["0 typing keystroke", "2500 paused silence", "6000 typing_stopped silence"]


def test_one_key_in_terminal_mode_is_one_call() -> None:
    machine = exact(reach=TERMINAL)
    machine.keystroke(at=0)
    machine.finish()
    assert machine.told() == ["0 typing"]


def test_two_keys_are_refreshed_once_at_r() -> None:
    machine = exact(reach=TERMINAL)
    machine.keystroke(at=0)
    machine.keystroke(at=100)
    machine.finish()
    assert machine.told() == ["0 typing", "2300 typing"]


@pytest.mark.parametrize("reach", [GUEST, TERMINAL])
def test_a_message_is_followed_by_a_stop_at_the_gate(reach: Reach) -> None:
    machine = exact(reach=reach)
    machine.keystroke(at=0)
    machine.message(at=100)
    machine.finish()
    assert machine.told() == ["0 typing", "2000 typing_stopped"]


def test_a_message_after_the_display_still_gets_the_owed_stop() -> None:
    machine = exact(reach=Reach(shows_paused=False))
    machine.keystroke(at=0)
    machine.message(at=5500)
    machine.finish()
    assert machine.told() == ["0 typing", "5500 typing_stopped"]


def test_resuming_before_the_stop_is_sent_continues_the_episode() -> None:
    machine = exact()
    machine.keystroke(at=0)
    machine.message(at=100)
    machine.keystroke(at=1900)
    machine.finish()
    assert machine.told() == ["0 typing", "2300 typing", "4400 paused", "7900 typing_stopped"]


def test_terminal_mode_never_stops_for_silence() -> None:
    machine = typed([0, 100, 900, 2600, 7000, 7100, 30_000], T, reach=TERMINAL)
    assert {sent.indicator for sent in machine.sent} == {TYPING}


def test_a_platform_without_stops_is_never_told_one() -> None:
    machine = typed([0, 100, 900, 2600], T, reach=Reach(can_stop=False))
    assert STOPPED not in {sent.indicator for sent in machine.sent}


# 2xx: the gate is done + I.


def test_the_gate_counts_from_the_answer_and_the_refresh_from_the_send() -> None:
    machine = thinking(exact(accepted(600), accepted(600)))
    machine.run_until(6000)
    assert machine.told() == ["300 typing", "2900 typing", "5500 typing"]  # done 900 + I; then the same again


def test_a_prompt_platform_is_refreshed_at_r() -> None:
    machine = thinking(exact(accepted(100), accepted(100)))
    machine.run_until(6000)
    assert machine.told() == ["300 typing", "2600 typing", "4900 typing"]


# 429 and 503 with Retry-After.


@pytest.mark.parametrize(
    ("wait_ms", "again_at"),
    [(None, 2300), (0, 2300), (1000, 2300), (2500, 2800), (30_000, 30_300)],
)
def test_a_cool_off_waits_as_long_as_asked_and_never_less_than_the_interval(
    wait_ms: Ms | None, again_at: Ms
) -> None:
    machine = thinking(exact(cool_off(wait_ms)))
    for at in range(10_000, 41_000, 10_000):
        machine.act(Kind.HEARTBEAT, at=at, actor="bot", thinking_id="t1")
    assert [sent.at for sent in machine.sent][:2] == [300, again_at]


def test_the_payload_of_a_refused_call_is_discarded() -> None:
    machine = exact(cool_off(5000))
    machine.keystroke(at=0)
    machine.message(at=100)
    machine.keystroke(at=4900, actor="ben")
    machine.finish()
    assert machine.told()[:2] == ["0 typing", "5000 typing"]
    assert machine.sent[1].desired is TYPING


def test_nothing_is_owed_for_a_typing_that_was_refused() -> None:
    machine = exact(cool_off(5000))
    machine.keystroke(at=0)
    machine.message(at=100)
    machine.finish()
    assert machine.told() == ["0 typing"]


def test_a_refused_stop_is_told_again_after_the_wait() -> None:
    machine = exact(accepted(), cool_off(5000))
    machine.keystroke(at=0)
    machine.message(at=100)
    machine.finish()
    assert machine.told() == ["0 typing", "2000 typing_stopped", "7000 typing_stopped"]


# 5xx, 401 twice: I * 2^min(fails - 1, 3), + 0..10 %.


@pytest.mark.parametrize("bad", [server_error(), unauthorised()], ids=["5xx", "401 twice"])
@pytest.mark.parametrize(("jitter", "stretch"), [(0.0, 1.0), (0.5, 1.05), (1.0, 1.1)])
def test_failures_back_off_by_doubling_up_to_eight_intervals(
    bad: Answer, jitter: float, stretch: float
) -> None:
    machine = exact(*[bad] * 6, jitter=jitter, timings=Timings(refresh_jitter=0.0))
    waits: list[Ms] = []
    for n in range(6):  # each time somebody else is wanted, so that tries never run out
        machine.keystroke(actor=f"a{n}")
        waits.append(machine.pacer.gate_at - machine.sent[-1].at)
        machine.act(Kind.CLEARED, actor=f"a{n}")
        machine.run_until(machine.pacer.gate_at)
    assert waits == pytest.approx([2000 * times * stretch for times in (1, 2, 4, 8, 8, 8)])


def test_a_success_ends_the_back_off() -> None:
    machine = thinking(exact(server_error(), server_error(), accepted(), server_error()))
    machine.run_until(12_000)
    assert [sent.at for sent in machine.sent] == [300, 2300, 6300, 8600, 10_600]


# Timeout, reset: as 5xx, + late_ms; maybe visible.


def test_after_a_timeout_the_gate_also_waits_for_what_may_come_late() -> None:
    machine = thinking(exact(timed_out(2000)))
    machine.run_until(6000)
    assert [sent.at for sent in machine.sent] == [300, 300 + 2000 + 2000 + 1000]


def test_a_typing_of_unknown_fate_is_owed_a_stop() -> None:
    machine = exact(timed_out(2000))
    machine.keystroke(at=0)
    machine.message(at=100)
    machine.finish()
    assert machine.told() == ["0 typing", "5000 typing_stopped"]


def test_a_typing_of_unknown_fate_is_never_taken_for_accepted() -> None:
    """So it is told again at the gate, though it may be on display; and no *paused* rests on it."""
    machine = exact(timed_out(2000, arrives_ms=2900))
    machine.keystroke(at=0)
    machine.finish()
    assert machine.told() == ["0 typing", "6000 typing_stopped"]


def test_terminal_mode_stops_what_may_be_visible_and_gains_enough() -> None:
    machine = exact(timed_out(1000), reach=TERMINAL)  # visible until 1000 + 1000 + 3000 at most, gate at 4000
    machine.keystroke(at=0)
    machine.message(at=100)
    machine.finish()
    assert machine.told() == ["0 typing", "4000 typing_stopped"]


@pytest.mark.parametrize(
    ("kind", "is_public", "is_stopped"),
    [(None, True, False), (Kind.CLEARED, False, False), (Kind.CLEARED, True, True)],
)
def test_in_terminal_mode_only_a_public_end_stops_what_a_silence_left_to_lapse(
    kind: Kind | None,
    is_public: bool,  # noqa: FBT001 - a column of the table
    is_stopped: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The refresh at 2300 is of unknown fate: maybe visible until 8300, the gate opens at 7300, silence at 6100."""
    machine = exact(accepted(), timed_out(2000), reach=TERMINAL)
    machine.keystroke(at=0)
    machine.keystroke(at=100)
    if kind is not None:
        machine.act(kind, at=6500, is_public=is_public, actor="ann" if is_public else "shy")
    machine.finish()
    assert machine.told() == ["0 typing", "2300 typing", "7300 typing_stopped"][: 2 + is_stopped]


def test_whoever_types_on_after_a_stop_of_unknown_fate_is_shown_at_the_gate() -> None:
    """The stop may have been applied: the typing shown before it can no longer be counted on."""
    machine = exact(
        accepted(),
        timed_out(2000, arrives_ms=2500),
        timings=Timings(duration_ms=10_000, stop_after_ms=20_000),
    )
    machine.keystroke(at=0)
    machine.message(at=100)
    machine.keystroke(at=5000)
    machine.run_until(9000)
    assert machine.told() == ["0 typing", "2000 typing_stopped", "7000 typing"]


# Three tries.


def test_three_tries_and_it_is_given_up_until_something_else_is_wanted() -> None:
    machine = thinking(exact(*[cool_off()] * 3))
    machine.run_until(9000)
    assert [sent.at for sent in machine.sent] == [300, 2300, 4300]
    last = machine.sent[-1].settled
    assert last is not None
    assert (last.attempts, last.is_given_up) == (3, True)
    machine.act(Kind.THINKING_DONE, actor="bot", thinking_id="t1")
    machine.keystroke(at=9100)
    assert machine.told()[-1] == "9100 typing"


def test_a_bot_that_still_thinks_a_minute_after_the_last_try_is_tried_anew() -> None:
    """Escaped because only a change of state was tried: its guest stayed in the dark for as long as it thought."""
    machine = thinking(exact(*[cool_off()] * 3))
    for at in range(5000, 70_000, 5000):
        machine.act(Kind.HEARTBEAT, at=at, actor="bot", thinking_id="t1")
    assert [sent.at for sent in machine.sent[:4]] == [300, 2300, 4300, 4300 + MUTE_MS]
    assert machine.sent[3].is_accepted


def test_a_typist_too_and_after_another_three_tries_in_vain_there_is_another_minute() -> None:
    machine = exact(*[cool_off()] * 6)
    for at in range(0, 140_000, 500):
        machine.keystroke(at=at)
    firsts = [sent.at for sent in machine.sent[::3]][:3]
    assert firsts == [0, 4000 + MUTE_MS, 2 * (4000 + MUTE_MS)]
    assert [sent.is_accepted for sent in machine.sent[:7]] == [False] * 6 + [True]


def test_an_owed_stop_is_written_off_with_its_third_try() -> None:
    machine = exact(accepted(), *[cool_off()] * 3)
    machine.keystroke(at=0)
    machine.message(at=100)
    machine.finish()
    assert machine.told() == ["0 typing", *[f"{at} typing_stopped" for at in (2000, 4000, 6000)]]
    assert machine.session is None


def test_tries_are_counted_anew_after_a_success() -> None:
    machine = thinking(exact(cool_off(), cool_off(), accepted(), cool_off(), cool_off()))
    machine.run_until(14_000)
    attempts = [sent.settled.attempts for sent in machine.sent if sent.settled]
    assert attempts[:6] == [1, 2, 3, 1, 2, 3]


def test_a_try_of_what_is_no_longer_wanted_spends_nothing() -> None:
    machine = exact(cool_off(after_ms=500))
    machine.keystroke(at=0)
    machine.message(at=100)
    machine.run_until(1000)
    assert machine.pacer.tries == 0


# A token that was just renewed.


def test_an_expired_token_costs_no_try_and_no_wait() -> None:
    machine = thinking(exact(expired(50)))
    machine.run_until(2000)
    assert machine.told() == ["300 typing", "350 typing"]
    assert machine.sent[1].settled is not None
    assert machine.sent[1].settled.attempts == 1


def test_after_a_renewal_the_payload_is_chosen_afresh() -> None:
    machine = exact(accepted(), expired(50))
    machine.keystroke(at=0)
    machine.keystroke(at=2290)
    machine.act(Kind.PAUSED, at=2320)
    machine.run_until(2400)
    assert machine.told() == ["0 typing", "2300 typing", "2350 paused"]


def test_a_direct_order_survives_an_expired_token() -> None:
    machine = exact(expired(50))
    machine.order(PAUSED, at=0)
    machine.finish()
    assert machine.told() == ["0 paused", "50 paused"]


# What was held.


def test_what_was_held_costs_no_try_and_is_decided_afresh_after_the_wait() -> None:
    machine = thinking(exact(held(1000, after_ms=50)))
    machine.run_until(2000)
    assert machine.told() == ["300 typing", "1350 typing"]
    assert machine.sent[1].settled is not None
    assert machine.sent[1].settled.attempts == 1


# MUTE.


def test_a_refused_session_is_left_alone_for_a_minute_and_then_asked_again() -> None:
    machine = exact(refused())
    for at in range(0, 62_000, 1000):
        machine.keystroke(at=at)
    assert machine.told() == ["0 typing", "60000 typing"]


def test_a_refused_session_owes_nothing() -> None:
    machine = exact(accepted(), refused())
    machine.keystroke(at=0)
    machine.message(at=100)
    machine.finish()
    assert machine.told() == ["0 typing", "2000 typing_stopped"]
    assert machine.session is None


# The agent's message clears the screen.


CLEARS = Reach(message_clears=True)


def test_a_platform_that_clears_is_told_no_stop() -> None:
    machine = exact(reach=CLEARS)
    machine.keystroke(at=0)
    machine.message(at=2100)
    machine.finish()
    assert machine.told() == ["0 typing"]


def test_another_typist_is_re_asserted_after_a_message_cleared_the_screen() -> None:
    machine = exact(reach=CLEARS)
    machine.keystroke(at=0)
    machine.keystroke(at=1900, actor="ben")
    machine.message(at=2100)
    machine.run_until(2200)
    assert machine.told() == ["0 typing", "2100 typing"]


def test_an_interim_message_re_asserts_while_somebody_is_active() -> None:
    machine = exact(reach=CLEARS)
    machine.keystroke(at=0)
    machine.message(at=500, is_final=False)
    machine.run_until(2200)
    assert machine.told() == ["0 typing", "2000 typing"]


def test_a_late_message_still_cleared_the_screen() -> None:
    machine = exact(reach=CLEARS)
    machine.act(Kind.KEYSTROKE, seq=5, at=0)
    machine.act(Kind.MESSAGE_SENT, seq=3, at=2100)
    machine.run_until(2150)
    assert machine.told() == ["0 typing", "2100 typing"]


@pytest.mark.parametrize(
    ("first", "second"), [(accepted(900), accepted()), (accepted(), accepted(900))], ids=["typing", "paused"]
)
def test_what_was_accepted_while_the_message_cleared_the_screen_is_stopped_at_the_gate(
    first: Answer, second: Answer
) -> None:
    """The answer may have overtaken the message or not; on a guess, the guest would see *paused* for D more."""
    machine = exact(first, second, reach=CLEARS)
    machine.keystroke(at=0)
    sent_at = 0.0 if first.after_ms else 2500.0
    machine.message(at=sent_at + 500)
    machine.finish()
    assert machine.told()[-1] == f"{sent_at + 900 + 2000:g} typing_stopped"
    hold_everywhere(machine)


def test_what_was_accepted_while_an_interim_message_cleared_the_screen_is_told_again_at_the_gate() -> None:
    machine = exact(accepted(900), reach=CLEARS)
    machine.keystroke(at=0)
    machine.message(at=500, is_final=False)
    machine.keystroke(at=1000)
    machine.run_until(3000)
    assert machine.told() == ["0 typing", "2900 typing"]


def test_a_private_message_clears_nothing() -> None:
    machine = exact(reach=CLEARS)
    machine.keystroke(at=0)
    machine.act(Kind.MESSAGE_SENT, actor="shy", is_public=False, at=100)
    machine.run_until(2100)
    assert machine.told() == ["0 typing"]


# Direct orders.


@pytest.mark.parametrize("indicator", Indicator)
@pytest.mark.parametrize("reach", [GUEST, TERMINAL])
def test_a_direct_order_is_sent_once_and_changes_no_state(indicator: Indicator, reach: Reach) -> None:
    machine = exact(reach=reach)
    assert machine.order(indicator, at=0) is None
    machine.finish()
    assert machine.told() == [f"0 {indicator}"]
    assert machine.sent[0].wish.cause is Cause.DIRECT
    assert machine.states() == []


def test_a_direct_order_waits_for_nothing() -> None:
    machine = exact()
    machine.keystroke(at=0)
    assert machine.order(STOPPED, at=500) == 1500
    machine.run_until(1900)
    assert machine.told() == ["0 typing"]


def test_a_direct_order_inherits_no_tries() -> None:
    machine = thinking(exact(cool_off(), accepted()))
    machine.act(Kind.PAUSED, actor="bot", at=2000)
    machine.order(TYPING, at=2400)
    settled = machine.sent[-1].settled
    assert settled is not None
    assert settled.attempts == 1


@pytest.mark.parametrize("kind", [Kind.THINKING, Kind.KEYSTROKE, Kind.CLEARED])
@pytest.mark.parametrize("is_public", [True, False])
def test_nobody_ends_an_ordered_display_by_beginning_something_or_in_private(
    kind: Kind,
    is_public: bool,  # noqa: FBT001 - a column of the table
) -> None:
    machine = exact(reach=TERMINAL)
    machine.order(TYPING, at=0, duration_ms=5000)
    if kind is Kind.CLEARED and is_public:
        return  # whoever publicly clears asks for a stop
    machine.act(kind, at=2100, is_public=is_public, thinking_id="t1" if kind is Kind.THINKING else None)
    machine.run_until(2200)
    assert STOPPED not in {sent.indicator for sent in machine.sent}


def test_the_reason_of_a_stop_before_it_ends_no_ordered_display() -> None:
    machine = exact(reach=TERMINAL)
    machine.keystroke(at=0)
    machine.act(Kind.CLEARED, at=2800)  # too little is left of the display for a stop
    machine.order(TYPING, at=2900, duration_ms=5000)
    machine.run_until(8000)
    assert [sent.indicator for sent in machine.sent] == [TYPING, TYPING]


# The rolling minute.


def test_a_limit_per_minute_counts_every_call_of_the_last_60_s() -> None:
    machine = exact(timings=Timings(max_per_minute=3, thinking_lease_ms=600_000))
    machine.think(at=0)
    machine.run_until(70_000)
    assert [sent.at for sent in machine.sent] == [300, 2600, 4900, 60_300, 62_600, 64_900]


def test_a_limit_per_minute_outlives_the_session_that_ran_into_it() -> None:
    machine = exact(timings=Timings(max_per_minute=3))
    for at in (0, 4000, 8000):
        assert machine.order(TYPING, at=at, duration_ms=100) is None
    assert machine.order(TYPING, at=20_000, duration_ms=100) == 40_000
    assert calls_within(machine, 0, 59_999, TYPING) == 3


# Pulses.


def test_a_duration_the_interval_cannot_bridge_pulses_at_the_interval() -> None:
    machine = exact(reach=TERMINAL)
    for at in range(0, 8001, 200):
        machine.act(Kind.KEYSTROKE, at=at, duration_ms=1000)
    machine.run_until(8200)
    assert [sent.at for sent in machine.sent] == [0, 2000, 4000, 6000, 8000]
    assert visible(machine)[0] == (0, 1000)


# An open circuit.


def test_a_stop_waits_out_an_open_circuit() -> None:
    machine = exact()
    machine.keystroke(at=0)
    machine.circuit_open_until = 5000
    machine.message(at=100)
    machine.finish()
    assert machine.told() == ["0 typing", "6000 typing_stopped"]


def test_typing_that_met_an_open_circuit_is_chosen_afresh_an_interval_later() -> None:
    machine = exact()
    machine.circuit_open_until = 1000
    machine.keystroke(at=0)
    machine.act(Kind.CLEARED, at=500)
    machine.keystroke(at=600, actor="ben")
    machine.run_until(2100)
    assert machine.told() == ["2000 typing"]
