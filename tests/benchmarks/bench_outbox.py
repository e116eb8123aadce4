"""How many facts, and so rows, a second become durable, and how soon, beside what the disk and SQLite would do alone.

    python -m tests.benchmarks.bench_outbox [--check]

Three measures, taken in turn and repeated, medians reported, since this kind of machine moves by half between minutes:
 - 64 tasks that each await their append, one matching endpoint, nothing delivered: facts a second;
 - 10,000 a second offered for 3 s: the time from append to durable;
 - the twin: the same event and delivery rows in batches of 64 through bare apsw, no loop, no thread, no indexes.
"""

import argparse
import asyncio
import gc
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import apsw

from relay.core.engagement import Reason, Transition
from relay.core.indicator import Indicator
from relay.core.moments import UnixMs
from relay.outbox.outbox import Outbox
from relay.outbox.store import Recorded
from relay.settings.endpoint import Endpoint
from relay.settings.models import Audit
from relay.settings.models import Outbox as OutboxSettings

GOAL_ROWS_PER_S = 20_000
ROWS_OF_A_FACT = 2
"""An event and its delivery. The session's row, changed in the same commit, is not counted."""
GOAL_P99_MS = 8.0
APPENDERS = 64
SESSIONS = 1024
FACTS = 60_000
OFFERED_PER_S = 10_000
OFFERED_S = 3
ROUNDS = 5
SWITCH_S = 0.000_5
"""As the relay itself sets it: with Python's 5 ms a busy loop keeps the writer from its turn for that long."""


@dataclass(frozen=True)
class Result:
    facts_per_s: float
    p50_ms: float
    p99_ms: float
    twin_facts_per_s: float

    @property
    def ratio(self) -> float:
        return self.facts_per_s / self.twin_facts_per_s

    @property
    def rows_per_s(self) -> float:
        return self.facts_per_s * ROWS_OF_A_FACT

    @property
    def meets_goals(self) -> bool:
        return self.rows_per_s >= GOAL_ROWS_PER_S and self.p99_ms <= GOAL_P99_MS


def wall() -> UnixMs:
    return time.time_ns() // 1_000_000


def facts() -> list[Transition]:
    at = wall()
    return [
        Transition(
            ("guest", f"3d7f0c4e-8f1e-4a30-9d02-{n:012d}"),
            f"c0ffee00-8f1e-4a30-9d02-{n:012d}",
            "desk",
            Indicator.TYPING,
            Reason.KEYSTROKE,
            1,
            at,
            traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        for n in range(SESSIONS)
    ]


async def opened(folder: Path) -> Outbox:
    nowhere = {"url": "http://127.0.0.1:9/", "allow_cidrs": ("127.0.0.0/8",)}
    endpoint = Endpoint.model_validate(nowhere | {"secrets": ("whsec_" + "A" * 32,)})
    settings = OutboxSettings(path=folder / "outbox.db", max_rows=10_000_000)
    return await Outbox.open(settings, {"tracker": endpoint}, Audit(), wall=wall)


async def facts_per_s(folder: Path) -> float:
    outbox = await opened(folder)
    left = islice(cycle(facts()), FACTS)  # shared: each task takes the next

    async def append() -> None:
        for fact in left:
            await outbox.append(fact)

    started = time.perf_counter()
    await asyncio.gather(*(append() for _ in range(APPENDERS)))
    took_s = time.perf_counter() - started
    await outbox.close()
    return FACTS / took_s


async def latencies_ms(folder: Path) -> list[float]:
    """From append to durable; offered each millisecond what is due by then."""
    outbox = await opened(folder)
    loop = asyncio.get_running_loop()
    took_ms: list[float] = []
    pending: list[asyncio.Future[Recorded]] = []
    coming = islice(cycle(facts()), OFFERED_PER_S * OFFERED_S)
    started = loop.time()
    while len(pending) < OFFERED_PER_S * OFFERED_S:
        appended = loop.time()

        def done(_: object, appended: float = appended) -> None:
            took_ms.append((loop.time() - appended) * 1000)

        due = int((appended - started) * OFFERED_PER_S) - len(pending)
        for fact in islice(coming, due):
            pending.append(outbox.append(fact))
            pending[-1].add_done_callback(done)
        await asyncio.sleep(0.001)
    await asyncio.gather(*pending)
    await outbox.close()
    return took_ms


def twin_facts_per_s(folder: Path) -> float:
    connection = apsw.Connection(str(folder / "twin.db"))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, event_id, type, at, trace, body)")
    columns = "id INTEGER PRIMARY KEY, event, endpoint, gateway, session, state, due"
    connection.execute(f"CREATE TABLE deliveries ({columns})")
    events = [
        ("msg_01a20657-897a-74f9-a380-49d7ea9a3fca", "session.typing", 1, "t" * 55, b"x" * 240)
    ] * APPENDERS
    deliveries = [(1, "tracker", "guest", "3d7f0c4e-8f1e-4a30-9d02-000000000001", "pending", 1)] * APPENDERS
    started = time.perf_counter()
    for _ in range(FACTS // APPENDERS):
        with connection:
            connection.executemany("INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?)", events)
            connection.executemany("INSERT INTO deliveries VALUES (NULL, ?, ?, ?, ?, ?, ?)", deliveries)
    took_s = time.perf_counter() - started
    connection.close()
    return FACTS / took_s


@contextmanager
def as_the_relay_runs() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()


def run(rounds: int = ROUNDS) -> Result:
    """Medians over the rounds; each round measures all three."""
    throughputs, twins, p50s, p99s = [], [], [], []
    with as_the_relay_runs():
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="bench-outbox-") as folder:
                throughputs.append(asyncio.run(facts_per_s(_room(folder, "rows"))))
                took_ms = asyncio.run(latencies_ms(_room(folder, "latency")))
                twins.append(twin_facts_per_s(_room(folder, "twin")))
            cuts = statistics.quantiles(took_ms, n=100)
            p50s.append(cuts[49])
            p99s.append(cuts[98])
    return Result(*map(statistics.median, (throughputs, p50s, p99s, twins)))


def _room(folder: str, name: str) -> Path:
    room = Path(folder) / name
    room.mkdir()
    return room


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="exit 1 below a goal")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    result = run(asked.rounds)
    print(f"on {platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(
        f"SQLite {apsw.sqlite_lib_version()}, WAL, synchronous=FULL, {tempfile.gettempdir()}, {asked.rounds} rounds"
    )
    print(
        f"durable facts, {APPENDERS} appenders   {result.facts_per_s:9,.0f}/s   {result.rows_per_s:,.0f} rows, goal {GOAL_ROWS_PER_S:,}"
    )
    print(
        f"bare apsw, batches of {APPENDERS}      {result.twin_facts_per_s:9,.0f}/s   ratio {result.ratio:.2f}"
    )
    print(
        f"at {OFFERED_PER_S:,}/s: p50 {result.p50_ms:.2f} ms, p99 {result.p99_ms:.2f} ms   goal {GOAL_P99_MS} ms"
    )
    return 0 if result.meets_goals or not asked.check else 1


if __name__ == "__main__":
    sys.exit(main())
