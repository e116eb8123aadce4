"""Every script of a small world: two actors, a handful of instants, a platform that is prompt or a unit slow.

D = 6, I = 4, P = 5, m = 2, so R = max(I, D - m) = 4, and S = min(P, R) + D = 10. Time is counted in whole
units; the machine is driven by its exact deadlines, for the wheel's tick is a hundred times as long.
"""

from collections.abc import Iterator
from itertools import product

from relay.core.activity import Activity, Kind
from relay.core.pacer import Reach
from relay.core.timings import StopMode, Timings
from tests.core.answers import Answer, accepted, script
from tests.core.invariants import hold_everywhere, join
from tests.core.machine import Machine, activity

SMALL = Timings(
    duration_ms=6,
    min_interval_ms=4,
    margin_ms=2,
    pause_after_ms=5,
    stop_after_ms=10,
    thinking_lease_ms=7,
    thinking_life_ms=12,
    typing_life_ms=30,
    thinking_delay_ms=1,
    request_timeout_ms=2,
    late_ms=1,
    min_gain_ms=1,
    tombstone_ms=40,
    stop_mode=StopMode.EXPLICIT,
    refresh_jitter=0.0,
)
WORDS: tuple[Activity | None, ...] = (
    None,
    activity(Kind.KEYSTROKE, "ann"),
    activity(Kind.KEYSTROKE, "bot"),
    activity(Kind.MESSAGE_SENT, "ann"),
    activity(Kind.THINKING, "bot", thinking_id="t1"),
    activity(Kind.CLEARED, "bot"),
)
INSTANTS = (0, 1, 3, 7, 12)
LATENCIES = (0, 1)
PLATFORMS = (
    Reach(),
    Reach(is_explicit=False),
    Reach(shows_paused=False),
    Reach(message_clears=True),
)
Script = tuple[Activity | None, ...]


def scripts(instants: int = len(INSTANTS)) -> Iterator[Script]:
    """Every choice of a word at each of the first `instants`, beginning with somebody acting."""
    return (words for words in product(WORDS, repeat=instants) if words[0] is not None)


def latencies(calls: int) -> list[tuple[Answer, ...]]:
    """Every combination of latencies of the first so many calls; later ones take none."""
    return [tuple(accepted(rtt) for rtt in chosen) for chosen in product(LATENCIES, repeat=calls)]


def lived(words: Script, answers: tuple[Answer, ...], reach: Reach) -> Machine:
    """The machine after this script, at rest; raises AssertionError where it broke a promise on the way."""
    machine = Machine(SMALL, reach, script(*answers), ticks=False)
    machine.watch = join
    for at, word in zip(INSTANTS, words, strict=False):
        if word is not None:
            machine.hear(word, at=at)
    machine.run_until(200)
    hold_everywhere(machine)
    return machine
