"""Random lives for a machine, from a seed: what people, bots, networks and processes do to one session."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from relay.core.activity import Activity, Kind
from relay.core.indicator import Indicator
from relay.core.pacer import Reach
from relay.core.timings import Timings
from tests.core.answers import (
    Answer,
    accepted,
    cool_off,
    expired,
    held,
    refused,
    server_error,
    timed_out,
    unauthorised,
)
from tests.core.invariants import Lives, hold_everywhere, join, one_entry
from tests.core.machine import ADDRESS, Machine

REACHES = tuple(
    Reach(shows_paused=pauses, can_stop=stops, message_clears=clears, is_explicit=explicit)
    for pauses in (True, False)
    for stops in (True, False)
    for clears in (True, False)
    for explicit in (True, False)
)
PEOPLE = ("ann", "ben", "bot", "shy")
WORDS = (
    *[Kind.KEYSTROKE] * 12,
    *[Kind.THINKING] * 3,
    *[Kind.HEARTBEAT] * 3,
    Kind.THINKING_DONE,
    *[Kind.PAUSED] * 2,
    *[Kind.MESSAGE_SENT] * 3,
    Kind.CLEARED,
    Kind.ACTOR_LEFT,
    Kind.SESSION_ENDED,
)
GAPS_MS = (0, 1, 50, 180, 400, 900, 1700, 2000, 2300, 2500, 2999, 3400, 6000, 9000, 20_000, 70_000)


@dataclass(slots=True)
class Weather:
    """How the platform behaves: `storm` is the share of calls that do not simply succeed."""

    chance: random.Random
    timings: Timings
    storm: float

    def __iter__(self) -> Iterator[Answer]:
        while True:
            yield self.bad() if self.chance.random() < self.storm else self.good()

    def good(self) -> Answer:
        rtt = self.chance.choice((0, 0, 1, 40, 300, 1200, 2000))
        return accepted(rtt, one_way_ms=self.chance.uniform(0, rtt))

    def bad(self) -> Answer:
        after = self.chance.choice((0, 30, 700))
        waits = (None, 0.0, 1000.0, 5000.0, 30_000.0)
        kinds = (
            cool_off(self.chance.choice(waits), after_ms=after),
            server_error(after),
            unauthorised(after),
            expired(after + 1),
            held(self.chance.choice((500.0, 2000.0, 5000.0)), after_ms=after),
            refused(after),
            self.lost(),
            self.lost(),
        )
        return self.chance.choices(kinds, weights=(3, 3, 1, 1, 1, 0.5, 2, 2))[0]

    def lost(self) -> Answer:
        """Aborted at some time within the budget, and applied within `late_ms` of it or never."""
        after = self.chance.uniform(0, self.timings.request_timeout_ms)
        late = after + self.chance.uniform(0, self.timings.late_ms)
        return timed_out(after, arrives_ms=self.chance.choice((None, late, after / 2)))


def word(chance: random.Random, *, seq: int) -> Activity:
    """One activity; a few come twice or late (`seq` not above the last)."""
    kind, actor = chance.choice(WORDS), chance.choice(PEOPLE)
    numbered = chance.random() < 0.5
    return Activity(
        "guest",
        ADDRESS,
        "test",
        actor,
        kind,
        seq=max(0, seq - chance.choice((0, 0, 0, 1, 3))) if numbered else None,
        thinking_id=chance.choice(("t1", "t2")) if kind in THOUGHTS else None,
        is_final=chance.random() < 0.7,
        is_public=actor != "shy" and chance.random() < 0.95,
        duration_ms=chance.choice((None,) * 20 + (100, 5000, 10_000)),
    )


THOUGHTS = {Kind.THINKING, Kind.HEARTBEAT, Kind.THINKING_DONE}

BRISK = Timings(thinking_lease_ms=4000, thinking_life_ms=9000, typing_life_ms=15_000)
"""Short lives, so that a script of a minute sees them end."""

SETTINGS: Sequence[Timings] = (
    Timings(),
    BRISK,
    Timings(max_per_minute=12, refresh_jitter=0.0),
    Timings(5000, 4500, 300, 2500, 8000, max_per_minute=12, refresh_jitter=0.0),
    Timings(6000, 5000, 700, 2500, 9000),
    Timings(pause_after_ms=1200),
)


def machine_of(seed: int) -> tuple[Machine, random.Random]:
    """A machine with one of every kind of platform, mode, tick and jitter; and the chance that made it."""
    chance = random.Random(seed)
    timings = chance.choice(SETTINGS)
    reach = chance.choice(REACHES)
    weather = Weather(chance, timings, storm=chance.choice((0.0, 0.1, 0.4, 0.9)))
    draw = random.Random(seed + 1).random if chance.random() < 0.5 else (lambda: 0.0)
    machine = Machine(timings, reach, iter(weather), ticks=chance.random() < 0.7, jitter=draw)
    return machine, chance


def live(seed: int, *, steps: int = 40) -> Machine:
    """One whole life, checked at every step and at rest; raises AssertionError where a promise is broken."""
    machine, chance = machine_of(seed)
    machine.watch = watch()
    for number in range(steps):
        machine.run_until(machine.now + chance.choice(GAPS_MS))
        befall(machine, chance, number)
    machine.finish()
    hold_everywhere(machine)
    return machine


def watch() -> Callable[[Machine], None]:
    """What must hold at every step, not only at the end."""
    lives = Lives()

    def look(machine: Machine) -> None:
        for check in (join, one_entry, lives):
            check(machine)

    return look


def befall(machine: Machine, chance: random.Random, number: int) -> None:
    """One thing happens: mostly somebody acts, sometimes an order comes, now and then a circuit opens or the process dies."""
    luck = chance.random()
    if luck < 0.92:
        machine.hear(word(chance, seq=number))
    elif luck < 0.96:
        machine.order(chance.choice(list(Indicator)), duration_ms=chance.choice((100, 3000, 10_000)))
    elif luck < 0.97:
        machine.circuit_open_until = machine.now + chance.choice((500, 10_000, 40_000))
    elif luck < 0.98:
        machine.crash()
    elif machine.session is not None:
        machine.drain()
