from dataclasses import replace

from relay.core.timings import StopMode
from relay.demo.virtual import broken_bars, replay_both
from relay.sandbox.traces import generated_trace
from tests.demo.figures import SEEN


def test_one_key_costs_one_call_where_it_lapses_and_three_where_it_is_stopped() -> None:
    """Typing alone; or typing, paused after P, stopped after S."""
    calls = {mode: seen.calls for mode, seen in replay_both([0.0]).items()}
    assert calls == {StopMode.TERMINAL: 1, StopMode.EXPLICIT: 3}


def test_both_modes_are_measured_against_the_same_bounds() -> None:
    terminal, explicit = replay_both(generated_trace(minutes=5)).values()
    assert (terminal.keys, terminal.fewest_online) == (explicit.keys, explicit.fewest_online)


def test_the_same_trace_gives_the_same_figures() -> None:
    keys = generated_trace(minutes=5)
    assert replay_both(keys) == replay_both(keys)


def test_a_lapse_is_a_bar_missed_and_its_mode_is_named() -> None:
    lapsing = {StopMode.TERMINAL: SEEN, StopMode.EXPLICIT: replace(SEEN, lapses=2)}
    assert list(broken_bars(lapsing)) == ["2 lapses in mode explicit: none is wanted"]
