"""The machine alone at 200,000 sessions: what one keystroke costs, all in, and how long it ever holds the loop.

    python -m tests.benchmarks.bench_machine [--check]

Of 200,000 sessions 6,600 write at a time, at 33,000 keystrokes a second of virtual time; every tick of the wheel
serves what is due (pause, stop, refresh, gate, rest), and the platform accepts at once. What a broadcast costs the machine
is told apart: it is paid once in five keystrokes, beside an HTTP request that costs thirty times as much. The twin is
the least any machine must do for a key: find the session in a dict and write a float.

The collector runs as it does in the service; its longest pause, which comes while all 200,000 are awake at once, is told
apart. Memory is what the process grows by when so many sessions come, write and rest, two thousand at a time.
"""

import gc
import random
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relay.app import settle_memory
from relay.core.activity import Activity, Kind
from relay.core.deadlines import Wheel
from relay.core.indicator import Address
from relay.core.moments import Ms
from relay.core.outcome import Shown
from relay.core.pacer import Pacer, Reach
from relay.core.rest import Rest, actors_of, rest_of
from relay.core.session import Change, Session
from relay.core.settling import send, settle
from relay.core.timings import TICK_MS, Timings
from relay.sessions.live import CHUNK, SLICE_MS
from relay.sessions.resting import Resting

SESSIONS = 200_000
KEYS = 1_000_000
KEYS_PER_MS = 33
WRITERS = 6_600
BURST_KEYS = 30
ROUNDS = 5
HERD_TICKS = int(15_000 // TICK_MS)
"""Until everybody who typed together has paused, stopped and come to rest: none of that is a later keystroke's."""
REST_TICKS = int(12_000 // TICK_MS)
"""Until who typed at the first of them is at rest."""
GROUP = 2_000
GOAL_US = 2.0
GOAL_STALL_MS = 10.0
GOAL_BYTES = 600


class Crowd:
    """Sessions on a virtual clock, without sockets: what flow.py does, with a platform that says yes."""

    def __init__(self) -> None:
        self.timings = Timings()
        self.reach = Reach()
        self.resting = Resting()
        self.by_gateway: defaultdict[str, dict[str, Session]] = defaultdict(dict)
        self.wheel: Wheel[Session] = Wheel()
        self.changes: list[Change] = []
        self.calls = 0
        self.calls_s = 0.0

    @staticmethod
    def activity(number: int) -> Activity:
        address = Address(f"00000000-0000-4000-8000-{number:012x}", f"guest-{number}")
        return Activity("guest", address, "desk", f"agent-{number}", Kind.KEYSTROKE)

    def key(self, activity: Activity, now: Ms) -> None:
        session = self.by_gateway[activity.gateway].get(activity.address.session_id)
        if session is None:
            session = self.open(activity, now)
        if not session.absorb(activity, now):
            session.observe(activity, now, self.changes)
            self.look(session, now)

    def open(self, activity: Activity, now: Ms) -> Session:
        key = (activity.gateway, activity.address.session_id)
        rest = self.resting.get(key) or Rest(activity.address, activity.source)
        session = Session(
            key, activity.address, rest.source, self.timings, self.reach, Pacer(), actors_of(rest)
        )
        session.touched = session.changed_at = now
        self.resting.discard(key)
        self.by_gateway[activity.gateway][activity.address.session_id] = session
        return session

    def look(self, session: Session, now: Ms) -> None:
        began = time.perf_counter()
        wish = session.wish(now)
        if wish is not None:
            self.calls += 1
            send(session.pacer, wish, now, self.timings, jitter=0.5)
            settle(session.pacer, Shown(200, 0.0), now, self.timings, session.reach, jitter=0.5)
        self.wheel.arm(session, session.next_deadline(now))
        if wish is not None:
            self.calls_s += time.perf_counter() - began

    def tick(self, now: Ms) -> list[float]:
        """Serve what is due in slices as the live sessions do; how long each slice held the loop, in ms."""
        held: list[float] = []
        while True:
            began = time.perf_counter()
            is_finished = self.slice(now, began)
            held.append((time.perf_counter() - began) * 1000)
            self.changes.clear()  # the river has recorded them
            if is_finished:
                return held

    def slice(self, now: Ms, began: float) -> bool:
        while (time.perf_counter() - began) * 1000 < SLICE_MS:
            due = self.wheel.take(now, most=CHUNK)
            for session in due:
                if session.rests_at() <= now:
                    self.resting.put(session.key, rest_of(session, now))
                    gateway, session_id = session.key
                    del self.by_gateway[gateway][session_id]
                else:
                    session.lapse(now, self.changes)
                    self.look(session, now)
            if len(due) < CHUNK:
                return True
        return False


def settled_crowd() -> tuple[Crowd, list[float]]:
    """Every session has typed once, together, and has come to rest; how long each slice of that held the loop."""
    crowd = Crowd()
    for number in range(SESSIONS):
        crowd.key(crowd.activity(number), 0.0)
    held = [ms for tick in range(HERD_TICKS) for ms in crowd.tick(tick * TICK_MS)]
    crowd.calls, crowd.calls_s = 0, 0.0
    return crowd, held


def bytes_at_rest() -> float:
    """Of memory a session, all in, once 200,000 have come and rest."""
    crowd, before = Crowd(), _resident_bytes()
    for first in range(0, SESSIONS, GROUP):
        began = first // GROUP * REST_TICKS
        for number in range(first, first + GROUP):
            crowd.key(crowd.activity(number), began * TICK_MS)
        for tick in range(began, began + REST_TICKS):
            crowd.tick(tick * TICK_MS)
    assert len(crowd.resting) == SESSIONS
    return (_resident_bytes() - before) / SESSIONS


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Pauses:
    """How long each collection held the loop, in ms."""

    def __init__(self) -> None:
        self.ms = [0.0]
        self._began = 0.0

    def __call__(self, phase: str, _info: object) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.ms.append((time.perf_counter() - self._began) * 1000)


def drive(crowd: Crowd, order: Sequence[int]) -> tuple[float, list[float]]:
    """(seconds of CPU, ms each slice held the loop) for all keystrokes of `order`.

    The activities are made beforehand, a tick's worth at a time: that is the door's work, and they come fresh from it.
    """
    now, held, spent_s = HERD_TICKS * TICK_MS, [0.0], 0.0
    keys_per_tick = int(KEYS_PER_MS * TICK_MS)
    for first in range(0, len(order), keys_per_tick):
        fresh = [crowd.activity(number) for number in order[first : first + keys_per_tick]]
        began = time.process_time()
        for activity in fresh:
            crowd.key(activity, now)
        now += TICK_MS
        held += crowd.tick(now)
        spent_s += time.process_time() - began
    return spent_s, held


@dataclass(frozen=True)
class Round:
    """Microseconds of CPU per keystroke (its broadcasts apart) and per broadcast; the longest slice and collection in ms."""

    key_us: float
    call_us: float
    calls: int
    stall_ms: float
    pause_ms: float


def measure(order: Sequence[int]) -> Round:
    pauses = Pauses()
    gc.callbacks.append(pauses)
    crowd, herd = settled_crowd()
    spent_s, held = drive(crowd, order)
    gc.callbacks.remove(pauses)
    return Round(
        key_us=(spent_s - crowd.calls_s) * 1e6 / len(order),
        call_us=crowd.calls_s * 1e6 / crowd.calls,
        calls=crowd.calls,
        stall_ms=max(herd + held),
        pause_ms=max(pauses.ms),
    )


def writing(chance: random.Random) -> list[int]:
    """Whose key comes next: 6,600 people write at a time, 5 keys a second in bursts of 30, then others do."""
    writers = [(chance.randrange(SESSIONS), chance.randrange(BURST_KEYS)) for _ in range(WRITERS)]
    order: list[int] = []
    while len(order) < KEYS:
        place = chance.randrange(WRITERS)
        number, left = writers[place]
        order.append(number)
        writers[place] = (number, left - 1) if left else (chance.randrange(SESSIONS), BURST_KEYS - 1)
    return order


def bare(order: Sequence[int]) -> float:
    """µs per keystroke of a dict look-up and one write."""
    last = {f"00000000-0000-4000-8000-{number:012x}": 0.0 for number in range(SESSIONS)}
    ids = list(last)
    began = time.process_time()
    for number in order:
        last[ids[number]] = float(number)
    return (time.process_time() - began) * 1e6 / len(order)


def main(arguments: Sequence[str]) -> int:
    settle_memory()
    bytes_each = bytes_at_rest()
    order = writing(random.Random(7))
    rounds = [measure(order) for _ in range(ROUNDS)]
    key_us, call_us, stall_ms, pause_ms = (
        statistics.median(x) for x in zip(*map(_figures, rounds), strict=True)
    )
    twin_us = statistics.median(bare(order) for _ in range(ROUNDS))
    share = rounds[0].calls / len(order)
    print(
        f"python {sys.version.split()[0]}, {SESSIONS:,} sessions, {KEYS:,} keystrokes, {ROUNDS} rounds, medians"
    )
    print(
        f"keystroke  {key_us:6.2f} us with the wheel's ticks (goal < {GOAL_US}), {key_us / twin_us:.1f} x the bare write"
    )
    print(f"broadcast  {call_us:6.2f} us to decide, book and re-arm; {share:.2f} a keystroke")
    print(f"all in     {key_us + share * call_us:6.2f} us a keystroke")
    print(
        f"stall      {stall_ms:6.2f} ms at most (goal < {GOAL_STALL_MS}), 200,000 sessions due at once included; "
        f"the collector {pause_ms:.2f} ms"
    )
    print(f"memory     {bytes_each:6.0f} bytes a session at rest (goal < {GOAL_BYTES})")
    is_missed = key_us >= GOAL_US or stall_ms >= GOAL_STALL_MS or bytes_each >= GOAL_BYTES
    return int("--check" in arguments and is_missed)


def _figures(one: Round) -> tuple[float, float, float, float]:
    return one.key_us, one.call_us, one.stall_ms, one.pause_ms


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
