"""Ingest against a bare aiohttp handler: `python -m tests.benchmarks.bench_ingest --check`.

The whole relay answers, from the process and the loop the bare handler answers from, on core 0: keys are checked, the
outbox is open, a platform shows what it is told. 50 keep-alive connections from core 1 ask one after the other:

    bare     a `web.Application` with one route that reads nothing and answers a fixed 202
    ours     single keystrokes of sessions whose indicator is shown
    blind    the same, in a second relay that counts and logs nothing
    batch    a hundred such keystrokes in a body
    signed   single keystrokes of a source that signs
    stream   such keystrokes over WebSockets, a frame each

The goals are about ratios within a round: absolute figures move by half with the machine's other work. A batch and a
stream are held against single events that just meet their own goal, which is 0.80 of bare: cheaper single events must not
make those look dearer. What they are against our own single events is told beside it.
"""

import argparse
import asyncio
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from relay.app import Relay, start
from relay.core.engagement import Broadcast, Fact
from relay.core.moments import Ms
from relay.core.outcome import Outcome
from relay.core.session import Session, Verdict
from relay.ingest.intake import Taken
from relay.observe import logs
from relay.settings.models import Settings
from relay.settings.upstream import Source
from tests.benchmarks.callers import Caller, RequestCaller, StreamCaller, framed, signed
from tests.benchmarks.machine import cpu_s, said
from tests.benchmarks.stand_in import UNMETERED, StandIn, settings_beside, standing

CONNECTIONS = 50
ROUNDS = 5
ROUND_S = 2.0
LEAD_S = 0.5
"""Until who was left alone since the last round of its kind is shown again: a display (ten seconds) is over by then."""
START_S = 30
STOP_S = 15
GOAL_SINGLE = 0.80
GOAL_SIGNED = 0.70
GOAL_STREAM = 7
GOAL_OBSERVED = 0.90
GOAL_BATCH = 20
GOAL_BATCH_EVENTS_S = 200_000
BATCH = 100
BATCH_CONNECTIONS = 10
STREAMS = 10
FRAMES = 20_000
SIGNING_KEY = b"bench-signing-key-of-32-bytes-..."
PREPARED = 200
SESSIONS = 100
BATCH_SESSIONS = 20
"""Of each connection. Few, so that their refreshes (one in nine seconds each) are no part of the figure."""


@dataclass(frozen=True, slots=True)
class Result:
    """Medians over the rounds; requests per second, and the server's CPU microseconds for each."""

    bare_rps: float
    ours_rps: float
    ratio: float
    ratio_range: tuple[float, float]
    bare_cpu_us: float
    ours_cpu_us: float
    batch_events_s: float
    batch_cpu_us: float
    """Of the server, for each event."""
    batch_ratio: float
    """Events in batches against events one by one that just meet their goal."""
    batch_own: float
    """And against ours."""
    signed_ratio: float
    """Signed requests against bare ones."""
    frames_s: float
    frame_cpu_us: float
    stream_ratio: float
    """Frames against events one by one that just meet their goal."""
    stream_own: float
    """And against ours."""
    observed_ratio: float
    """Requests per second with what the relay counts and logs against without."""

    @property
    def is_met(self) -> bool:
        is_batch_fast = self.batch_ratio >= GOAL_BATCH and self.batch_events_s >= GOAL_BATCH_EVENTS_S
        are_singles_fast = self.ratio >= GOAL_SINGLE and self.signed_ratio >= GOAL_SIGNED
        is_stream_fast = self.stream_ratio >= GOAL_STREAM
        return is_batch_fast and are_singles_fast and is_stream_fast and self.observed_ratio >= GOAL_OBSERVED


Makers = Sequence[Callable[[], Caller]]


class Ports(NamedTuple):
    bare: int
    ours: int
    blind: int


class _Unwatched:
    """A watch that looks away."""

    def observed(self, verdict: Verdict, count: int) -> None: ...
    def carried(self, session: Session, fact: Broadcast, outcome: Outcome, waited_ms: Ms) -> None: ...
    def suppressed(self, session: Session, why: str) -> None: ...
    def unrecorded(self, fact: Fact, why: BaseException) -> None: ...
    def lagged(self, late_ms: Ms) -> None: ...


async def _bare() -> int:
    async def fixed(_: web.Request) -> web.Response:
        return web.Response(status=202, body=b'{"accepted":1}', content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/events", fixed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    return port


async def _blind(settings: Settings) -> Relay:
    """A relay that counts nothing and logs nothing of an event."""
    relay = await start(settings)
    relay.assembly.flow.watch = _Unwatched()
    setattr(relay.doors.intake, "counted", _uncounted)  # noqa: B010 - the product has no such switch
    return relay


def _uncounted(_source: str, told: Taken) -> Taken:
    return told


async def _serve(ours: Settings, blind: Settings, told: Connection) -> None:
    port = await _bare()
    relays = [await start(ours), await _blind(blind)]
    told.send(Ports(port, *(int(relay.public.url.rpartition(":")[2]) for relay in relays)))
    await asyncio.get_running_loop().run_in_executor(None, told.poll, None)
    for relay in relays:
        await relay.stop()


def _server(ours: Settings, blind: Settings, told: Connection) -> None:
    os.sched_setaffinity(0, {0})
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # its log is written, and read by nobody
    logs.setup("info", "hashed")
    asyncio.run(_serve(ours, blind, told))


def _same(caller: Caller) -> Caller:
    return caller


async def _round(port: int, makers: Makers, pid: int) -> tuple[float, float]:
    """Answers per second to these callers, and the server's CPU microseconds for each."""
    loop = asyncio.get_running_loop()
    callers = [make() for make in makers]
    for caller in callers:
        await loop.create_connection(partial(_same, caller), "127.0.0.1", port)  # type: ignore[type-var]  # each is one
    await asyncio.sleep(LEAD_S)
    answered, began, cpu = sum(caller.answered for caller in callers), loop.time(), cpu_s(pid)
    await asyncio.sleep(ROUND_S)
    answered = sum(caller.answered for caller in callers) - answered
    took, cpu = loop.time() - began, cpu_s(pid) - cpu
    for caller in callers:
        caller.close()
    return answered / took, cpu / max(answered, 1) * 1e6


def _event(number: int, prefix: str, sessions: int) -> bytes:
    """The `100` before the number in `seq` is raised where a prepared body is sent once more: it is news again."""
    return (
        b'{"id":"evt-%010d","sessionId":"%s-0000-4000-8000-%012d","guestId":"g-17",'
        b'"actor":{"id":"agent-7","kind":"agent"},"type":"keystroke","epoch":1,"seq":100%010d}'
        % (number, prefix.encode(), number % sessions, number)
    )


def _requests(key: str, bodies: Iterator[bytes]) -> Iterator[bytes]:
    head = (
        "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: "
    ).encode()
    for body in bodies:
        yield head + b"%d\r\n\r\n" % len(body) + body


def _singles(key: str) -> Makers:
    """Next to next over all connections: two keys of one session are never on their way at once."""
    one = _requests(key, (_event(number, "5f0c2f9e", SESSIONS) for number in count()))
    return [lambda: RequestCaller(one)] * CONNECTIONS


def _signed_singles() -> Makers:
    """The same of a source that signs instead of sending a key."""
    one = _signed_requests(_event(number, "519ed000", SESSIONS) for number in count())
    return [lambda: RequestCaller(one)] * CONNECTIONS


def _signed_requests(bodies: Iterator[bytes]) -> Iterator[bytes]:
    head = b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    for number, body in enumerate(bodies):
        proof = signed(body, name="signing", secret=SIGNING_KEY, number=number, now_s=time.time)
        yield head + proof + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _batches(key: str) -> Makers:
    """Each connection has sessions of its own, as a caller would: batches on several overtake each other."""
    streams = [_requests(key, _batches_of(connection)) for connection in range(BATCH_CONNECTIONS)]
    return [partial(RequestCaller, stream) for stream in streams]


def _frames(key: str) -> Makers:
    """Likewise; each stream goes on where the one before it on its sessions ended."""
    streams = [map(framed, _events_of(connection)) for connection in range(STREAMS)]
    return [partial(StreamCaller, key, stream) for stream in streams]


def _events_of(connection: int) -> Iterator[bytes]:
    """Made beforehand, like the batches'."""
    first = connection * FRAMES
    made = [_event(first + number, f"57ea000{connection % 10}", BATCH_SESSIONS) for number in range(FRAMES)]
    for generation in count(100):
        for body in made:
            yield body.replace(b'"seq":100', b'"seq":%d' % generation)


def _batches_of(connection: int) -> Iterator[bytes]:
    """Bodies made beforehand: making a batch costs the caller more than reading it costs the server.

    200,000 ids over all connections outlast the window of 100,000: none is a duplicate when its turn comes again.
    """
    first = connection * PREPARED * BATCH
    events = (_event(first + number, f"b47c4e{connection:02d}", BATCH_SESSIONS) for number in count())
    made = [b"[%s]" % b",".join(islice(events, BATCH)) for _ in range(PREPARED)]
    for generation in count(100):
        for body in made:
            yield body.replace(b'"seq":100', b'"seq":%d' % generation)


async def _measure(ports: Ports, key: str, pid: int) -> Result:
    bare_singles, singles, blind_singles = (_singles(key) for _ in ports)
    batches, signing, frames = _batches(key), _signed_singles(), _frames(key)
    bare, ours, batched, blind, proven, streamed = (list[tuple[float, float]]() for _ in range(6))
    for port, makers in (
        (ports.ours, singles),  # every indicator is shown from here on
        (ports.ours, batches),
        (ports.ours, signing),
        (ports.ours, frames),
        (ports.blind, blind_singles),
    ):
        await _round(port, makers, pid)
    for turn in range(ROUNDS):
        bare.append(await _round(ports.bare, bare_singles, pid))
        pair = [(ours, ports.ours, singles), (blind, ports.blind, blind_singles)]
        for told, port, streams in reversed(pair) if turn % 2 else pair:
            told.append(await _round(port, streams, pid))
        proven.append(await _round(ports.ours, signing, pid))
        batched.append(await _round(ports.ours, batches, pid))
        streamed.append(await _round(ports.ours, frames, pid))
    ratios = [our[0] / base[0] for our, base in zip(ours, bare, strict=True)]
    return Result(
        bare_rps=statistics.median(rps for rps, _ in bare),
        ours_rps=statistics.median(rps for rps, _ in ours),
        ratio=statistics.median(ratios),
        ratio_range=(min(ratios), max(ratios)),
        bare_cpu_us=statistics.median(cpu for _, cpu in bare),
        ours_cpu_us=statistics.median(cpu for _, cpu in ours),
        batch_events_s=statistics.median(rps for rps, _ in batched) * BATCH,
        batch_cpu_us=statistics.median(cpu for _, cpu in batched) / BATCH,
        batch_ratio=_ratio(batched, bare) * BATCH / GOAL_SINGLE,
        batch_own=_ratio(batched, ours) * BATCH,
        signed_ratio=_ratio(proven, bare),
        frames_s=statistics.median(rps for rps, _ in streamed),
        frame_cpu_us=statistics.median(cpu for _, cpu in streamed),
        stream_ratio=_ratio(streamed, bare) / GOAL_SINGLE,
        stream_own=_ratio(streamed, ours),
        observed_ratio=_ratio(ours, blind),
    )


def _ratio(some: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]) -> float:
    """Of answers per second, within each round; the median."""
    return statistics.median(one[0] / other[0] for one, other in zip(some, others, strict=True))


async def _run(folder: Path) -> Result:
    async with standing(StandIn()) as platform_port:
        ours, key = _settings(platform_port, folder / "ours")
        blind, _ = _settings(platform_port, folder / "blind")
        blind = blind.model_copy(update={"sources": ours.sources})
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        server = context.Process(target=_server, args=(ours, blind, there), daemon=True)
        server.start()
        os.sched_setaffinity(0, {1})
        try:
            if not await asyncio.to_thread(here.poll, START_S):
                raise TimeoutError(f"the server did not start within {START_S} s")
            assert server.pid is not None
            return await _measure(here.recv(), key, server.pid)
        finally:
            here.send(None)
            await asyncio.to_thread(server.join, STOP_S)
            server.kill()


def _settings(platform_port: int, folder: Path) -> tuple[Settings, str]:
    """Indicators that last ten seconds and people who never pause: the platform is called as seldom as can be."""
    folder.mkdir()
    typing = {"duration_ms": 10_000, "pause_after_ms": 120_000, "stop_after_ms": 240_000}
    settings, key = settings_beside(platform_port, folder, typing=typing)
    secret = "whsec_" + b64encode(SIGNING_KEY).decode()
    signing = Source.model_validate({"secrets": [secret]} | UNMETERED)
    return settings.model_copy(update={"sources": {**settings.sources, "signing": signing}}), key


def run() -> Result:
    """Starts the server, asks it, stops it."""
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        return asyncio.run(_run(Path(folder)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 below a goal")
    options = parser.parse_args()
    got = run()
    print(f"{said()}; {CONNECTIONS} connections, {ROUNDS} rounds")
    print(f"bare      {got.bare_rps:10,.0f} requests/s  {got.bare_cpu_us:6.1f} us CPU each")
    print(f"ours      {got.ours_rps:10,.0f} requests/s  {got.ours_cpu_us:6.1f} us CPU each")
    low, high = got.ratio_range
    print(f"ratio     {got.ratio:10.2f} ({low:.2f}..{high:.2f}), goal {GOAL_SINGLE}")
    print(f"observed  {got.observed_ratio:10.2f} of itself without counts and logs, goal {GOAL_OBSERVED}")
    print(
        f"batch     {got.batch_events_s:10,.0f} events/s    {got.batch_cpu_us:6.1f} us CPU each, goal {GOAL_BATCH_EVENTS_S:,}"
    )
    print(
        f"ratio     {got.batch_ratio:10.1f} x one by one, goal {GOAL_BATCH} ({got.batch_own:.1f} x our own)"
    )
    print(f"signed    {got.signed_ratio:10.2f} of bare, goal {GOAL_SIGNED}")
    print(f"stream    {got.frames_s:10,.0f} frames/s    {got.frame_cpu_us:6.1f} us CPU each")
    print(
        f"ratio     {got.stream_ratio:10.1f} x one by one, goal {GOAL_STREAM} ({got.stream_own:.1f} x our own)"
    )
    return 1 if options.check and not got.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
