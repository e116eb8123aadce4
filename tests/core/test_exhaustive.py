"""The small world (`tests.core.small_world`) in full: every script against every latency and platform.

What random lives may miss by chance, this cannot: 5 x 6^3 = 1,080 scripts of four instants with each latency
of the first two calls on four platforms, 17,280 lives in all. `-m long` takes five instants and three calls.
"""

import pytest

from relay.core.activity import Kind
from relay.core.indicator import Indicator
from relay.core.moments import Ms
from relay.core.pacer import Reach
from relay.core.timings import problems
from tests.core.invariants import keys_of, lapses, runs_of, visible, visible_after
from tests.core.machine import Machine
from tests.core.small_world import LATENCIES, PLATFORMS, SMALL, latencies, lived, scripts

NAMES = ["explicit", "terminal", "no pauses", "message clears"]


@pytest.mark.parametrize("reach", PLATFORMS, ids=NAMES)
def test_every_script_of_four_instants_keeps_every_promise(reach: Reach) -> None:
    for answers in latencies(2):
        for words in scripts(4):
            agree(lived(words, answers, reach))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("reach", PLATFORMS, ids=NAMES)
def test_every_script_of_five_instants_keeps_every_promise(reach: Reach) -> None:
    for answers in latencies(3):
        for words in scripts(5):
            agree(lived(words, answers, reach))


def agree(machine: Machine) -> None:
    """The promises that presuppose a platform within budget: this one is (I + 2 + 1 <= D, m = 2)."""
    no_lapse(machine)
    no_ghost(machine)
    ends_well(machine)


def no_lapse(machine: Machine) -> None:
    """5: gaps <= min(D, P + m) - dL, dL = 1, while ann alone acts and only types."""
    if {(act.actor, act.kind) for _, act, _ in machine.inputs} != {("ann", Kind.KEYSTROKE)}:
        return
    for first, last in runs_of(keys_of(machine), min(6, 5 + 2) - 1):
        begins = [s.arrives_at for s in machine.sent if s.at >= first and s.arrives_at is not None]
        if begins and begins[0] < last:
            assert lapses(machine, begins[0], last) == [], machine


def no_ghost(machine: Machine) -> None:
    """6: nothing is visible later than last + lease or S, + I + RTT + I + L of what was on its way."""
    last: Ms = machine.inputs[-1][0]
    slowest = max(LATENCIES)
    longest = max(SMALL.thinking_lease_ms, SMALL.stop_after_ms) + 2 * (SMALL.min_interval_ms + slowest)
    assert visible_after(machine, last) <= longest + SMALL.duration_ms * (not machine.reach.owes_stops), (
        machine
    )


def ends_well(machine: Machine) -> None:
    """12: in `explicit` mode nothing is left to lapse by itself after the last accepted stop."""
    stops = [
        s.arrives_at for s in machine.sent if s.indicator is Indicator.STOPPED and s.arrives_at is not None
    ]
    if machine.reach.owes_stops and stops and machine.sent[-1].indicator is Indicator.STOPPED:
        assert all(until <= stops[-1] for _, until in visible(machine)), machine


def test_the_small_world_is_a_usable_configuration() -> None:
    """But for the wheel's tick, which these units know nothing of."""
    assert [line for line in problems(SMALL) if "tick" not in line] == []
