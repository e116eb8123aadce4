"""What webhooks cost and how soon they arrive: `python -m tests.benchmarks.bench_webhooks [--check]`.

The outbox on core 0 with its real file and its real sender, a tracker on core 1 that answers at once:

    sender    eight at once through `Webhook.send` (signed, guarded, read) against a bare `ClientSession.post` of the
              same bytes, in turn within a round
    drain     what is recorded beforehand, claimed, sent and settled: deliveries a second
    arrival   500 facts a second: from the append to the tracker
    crowd     32 sessions that each record their next event when the last has come, over 8 places
    one dead  ten endpoints at 40 events a second each; then one of them takes every request and says nothing,
              until its attempts time out and its circuit opens
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import aiohttp

from relay.core.delivery import Trigger
from relay.core.engagement import Reason, Transition
from relay.core.indicator import Indicator
from relay.core.moments import Ms, UnixMs
from relay.outbox.outbox import Outbox
from relay.outbox.store import Lease, Listener, Recorded
from relay.outbox.targets import targets_of
from relay.outbox.webhook import Webhook
from relay.settings.endpoint import Endpoint
from relay.settings.models import Audit
from relay.settings.models import Outbox as OutboxSettings
from tests.benchmarks.bench_outbox import as_the_relay_runs
from tests.benchmarks.machine import said
from tests.benchmarks.tracker import SILENT, Tracker, tracking

GOAL_SENDER = 0.75
GOAL_DRAIN_PER_S = 1000
GOAL_ARRIVAL_P99_MS = 50.0
GOAL_CROWD = 3.0
CONCURRENCY = 8
POSTS = 1500
DRAINED = 3000
RATE_PER_S, OFFERED_S = 500, 4
CALLERS, ROUND_TRIPS = 32, 100
ENDPOINTS, EVENTS_PER_S = 10, 40
BESIDE_S, TIMEOUT_S = 8, 2
"""Long enough for the dead one's attempts to time out and its circuit to open (ten of them, eight at once)."""
SETTLE_S = 20
BODY = b'{"type":"session.typing","timestamp":"2026-11-22T10:00:00.123Z","data":' + b'"' + b"x" * 180 + b'"}'


def wall() -> UnixMs:
    return time.time_ns() // 1_000_000


def now() -> Ms:
    return asyncio.get_running_loop().time() * 1000


def endpoint(url: str) -> Endpoint:
    secret = "whsec_" + "A" * 32
    return Endpoint.model_validate(
        {
            "url": url,
            "secrets": (secret,),
            "allow_cidrs": ("127.0.0.0/8",),
            "concurrency": CONCURRENCY,
            "timeout_s": TIMEOUT_S,
        }
    )


def fact(session: int) -> Transition:
    key = ("guest", f"3d7f0c4e-8f1e-4a30-9d02-{session:012d}")
    return Transition(key, f"guest-{session}", "desk", Indicator.TYPING, Reason.KEYSTROKE, 1, wall())


async def opened(urls: Sequence[str], folder: Path, listener: Listener | None = None) -> Outbox:
    settings = OutboxSettings(path=folder / "outbox.db")
    endpoints = {f"tracker-{n}": endpoint(url) for n, url in enumerate(urls)}
    return await Outbox.open(settings, endpoints, Audit(), wall=wall, listener=listener)


# Sender.


async def posts_per_s(post: Callable[[], Awaitable[object]]) -> float:
    left = iter(range(POSTS))

    async def caller() -> None:
        for _ in left:
            await post()

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CONCURRENCY)))
    return POSTS / (time.perf_counter() - started)


async def sender_ratio(tracker: Tracker) -> tuple[float, float]:
    """(ours in POSTs a second, ours against bare)."""
    target = targets_of({"tracker": endpoint(tracker.url + "/t")})["tracker"]
    lease = Lease(
        1, 1, "tracker", "msg_1", "session.typing", ("guest", "s"), BODY, None, 1, 1, Trigger.SCHEDULE
    )
    webhook = Webhook(target, wall=wall, now=now)
    connector = aiohttp.TCPConnector(limit=2 * CONCURRENCY)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def bare() -> None:
            async with session.post(tracker.url + "/t", data=BODY) as response:
                await response.read()

        await posts_per_s(bare)
        theirs = await posts_per_s(bare)
        ours = await posts_per_s(lambda: webhook.send(lease))
        theirs = (theirs + await posts_per_s(bare)) / 2
    await webhook.close()
    return ours, ours / theirs


# From the append to the tracker.


async def drained_per_s(tracker: Tracker, folder: Path) -> float:
    delivered, all_came = count(1), asyncio.Event()

    def on_attempt(*_: object) -> None:
        if next(delivered) == DRAINED:
            all_came.set()

    outbox = await opened([tracker.url + "/t"], folder, Listener(on_attempt=on_attempt))
    await asyncio.gather(*(outbox.append(fact(n)) for n in range(DRAINED)))
    started = time.perf_counter()
    await outbox.start()
    async with asyncio.timeout(SETTLE_S):
        await all_came.wait()
    took_s = time.perf_counter() - started
    await outbox.close()
    return DRAINED / took_s


async def offered(outbox: Outbox, *, per_s: int, seconds: float, sessions: int) -> dict[str, float]:
    """When each event was to be recorded, by its id: nothing is held back for an answer."""
    appended: list[tuple[float, asyncio.Future[Recorded]]] = []
    started = time.monotonic()
    for n in range(int(per_s * seconds)):
        due = started + n / per_s
        if (left := due - time.monotonic()) > 0:
            await asyncio.sleep(left)
        appended.append((due, outbox.append(fact(n % sessions))))
    recorded = await asyncio.gather(*(future for _, future in appended))
    ids = [one.event_id for one in recorded]
    return {event_id: at for event_id, (at, _) in zip(ids, appended, strict=True) if event_id}


async def arrived(tracker: Tracker, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """When each (path, event) came. Raises TimeoutError where one never does: a figure of the quick ones is none."""
    found: dict[tuple[str, str], float] = {}
    async with asyncio.timeout(SETTLE_S):
        while not wanted <= found.keys():
            await asyncio.sleep(0.01)
            for key, at in tracker.arrivals().items():
                found.setdefault(key, at)
    return {key: found[key] for key in wanted}


async def delays_ms(tracker: Tracker, folder: Path) -> list[float]:
    outbox = await opened([tracker.url + "/t"], folder)
    await outbox.start()
    tracker.arrivals()
    began = await offered(outbox, per_s=RATE_PER_S, seconds=OFFERED_S, sessions=200)
    found = await arrived(tracker, {("/t", event) for event in began})
    await outbox.close()
    return [(at - began[event]) * 1000 for (_, event), at in found.items()]


async def crowd_ms(tracker: Tracker, folder: Path) -> list[float]:
    """Each caller records its next event when the tracker has the last one. Looked at every 2 ms, on both sides."""
    outbox = await opened([tracker.url + "/t"], folder)
    await outbox.start()
    took_ms: list[float] = []
    arrived: dict[str, float] = {}

    async def caller(number: int) -> None:
        for _ in range(ROUND_TRIPS):
            began = time.monotonic()
            recorded = await outbox.append(fact(number))
            assert recorded.event_id
            while (at := arrived.get(recorded.event_id)) is None:  # noqa: ASYNC110 - another process says it
                await asyncio.sleep(0.001)
            took_ms.append((at - began) * 1000)

    async def looking() -> None:
        while True:
            arrived.update({event: at for (_, event), at in tracker.arrivals().items()})
            await asyncio.sleep(0.002)

    tracker.arrivals()
    look = asyncio.create_task(looking())
    async with asyncio.timeout(SETTLE_S * 3):
        await asyncio.gather(*(caller(n) for n in range(CALLERS)))
    look.cancel()
    await outbox.close()
    return took_ms


async def beside_ms(tracker: Tracker, folder: Path, *, is_one_dead: bool) -> list[float]:
    """Recorded → received, of the nine that answer."""
    paths = [SILENT if n == 0 and is_one_dead else f"/t{n}" for n in range(ENDPOINTS)]
    outbox = await opened([tracker.url + path for path in paths], folder)
    await outbox.start()
    tracker.arrivals()
    began = await offered(outbox, per_s=EVENTS_PER_S, seconds=BESIDE_S, sessions=100)
    found = await arrived(tracker, {(path, event) for path in paths[1:] for event in began})
    await outbox.close()
    return [(at - began[event]) * 1000 for (_, event), at in found.items()]


# The report.


@dataclass(frozen=True)
class Result:
    posts_per_s: float
    sender: float
    drained_per_s: float
    arrival_ms: tuple[float, float]
    crowd_ms: tuple[float, float]
    calm_p99_ms: float
    beside_dead_p99_ms: float

    @property
    def limit_ms(self) -> float:
        return max(1.25 * self.calm_p99_ms, self.calm_p99_ms + 3)

    @property
    def is_met(self) -> bool:
        is_soon = self.arrival_ms[1] < GOAL_ARRIVAL_P99_MS and self.beside_dead_p99_ms <= self.limit_ms
        is_quick = self.sender >= GOAL_SENDER and self.drained_per_s >= GOAL_DRAIN_PER_S
        return is_soon and is_quick and self.crowd_ms[1] <= GOAL_CROWD * self.crowd_ms[0]


def cut(values: Sequence[float]) -> tuple[float, float]:
    """(median, slowest of a hundred)."""
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]


def measured(rounds: int) -> Result:
    posts, ratios, drains, arrivals, crowds, calms, beside = [], [], [], [], [], [], []
    with tracking(core=1) as tracker, as_the_relay_runs():
        os.sched_setaffinity(0, {0})
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="bench-webhooks-") as folder:
                rooms = iter([_room(folder, n) for n in range(8)])
                rate, ratio = asyncio.run(sender_ratio(tracker))
                posts.append(rate)
                ratios.append(ratio)
                drains.append(asyncio.run(drained_per_s(tracker, next(rooms))))
                arrivals.append(cut(asyncio.run(delays_ms(tracker, next(rooms)))))
                crowds.append(cut(asyncio.run(crowd_ms(tracker, next(rooms)))))
                calms.append(cut(asyncio.run(beside_ms(tracker, next(rooms), is_one_dead=False)))[1])
                beside.append(cut(asyncio.run(beside_ms(tracker, next(rooms), is_one_dead=True)))[1])
    middle = statistics.median
    return Result(
        middle(posts),
        middle(ratios),
        middle(drains),
        (middle(p50 for p50, _ in arrivals), middle(p99 for _, p99 in arrivals)),
        (middle(p50 for p50, _ in crowds), middle(p99 for _, p99 in crowds)),
        middle(calms),
        middle(beside),
    )


def _room(folder: str, number: int) -> Path:
    room = Path(folder) / str(number)
    room.mkdir()
    return room


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="exit 1 below a goal")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    r = measured(asked.rounds)
    print(said())
    print(f"sender     {r.posts_per_s:7,.0f} POSTs/s, {r.sender:.2f} of bare (goal {GOAL_SENDER})")
    print(
        f"drain      {r.drained_per_s:7,.0f} deliveries/s, claimed and settled on disk (goal {GOAL_DRAIN_PER_S:,})"
    )
    print(
        f"arrival    p50 {r.arrival_ms[0]:5.1f}  p99 {r.arrival_ms[1]:5.1f} ms at {RATE_PER_S}/s (goal {GOAL_ARRIVAL_P99_MS})"
    )
    print(
        f"crowd      p50 {r.crowd_ms[0]:5.1f}  p99 {r.crowd_ms[1]:5.1f} ms, {CALLERS} callers, {CONCURRENCY} places (goal {GOAL_CROWD} x)"
    )
    print(
        f"one dead   p99 {r.beside_dead_p99_ms:5.1f} ms beside it, {r.calm_p99_ms:.1f} calm (goal <= {r.limit_ms:.1f})"
    )
    return 0 if r.is_met or not asked.check else 1


if __name__ == "__main__":
    sys.exit(main())
