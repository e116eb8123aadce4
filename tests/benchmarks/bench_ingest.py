"""Single-event ingest against a bare aiohttp handler: `python -m tests.benchmarks.bench_ingest --check`.

Both answer from one process on core 0 (two ports, one loop), asked in turn by 50 keep-alive connections from another
process on core 1. The bare one is a `web.Application` with one route that reads nothing and answers a fixed 202; ours
checks a key, reads, validates, and applies a stand-in for the sessions. The goal is about the ratio of the two: their
absolute figures move by half with the machine's other work.
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import platform
import secrets
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web
from pydantic import SecretStr

from relay.core.activity import Activity
from relay.ingest import Accepted, Beyond, BroadcastRequest, BroadcastResult, Credentials, Doors, Listener
from relay.ingest.keys import new_key
from relay.observe.metrics import Metrics
from relay.settings.models import ApiKey, Gateway, Server, Settings, Source

CONNECTIONS = 50
ROUNDS = 7
ROUND_S = 1.0
GOAL_SINGLE = 0.80
GOAL_BATCH = 20
GOAL_BATCH_EVENTS_S = 200_000
BATCH = 100
SESSIONS = 1000

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
MakeAnswer = Callable[[Settings], Answer]


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
    """Events in batches against events one by one."""

    @property
    def is_met(self) -> bool:
        is_fast = self.batch_ratio >= GOAL_BATCH and self.batch_events_s >= GOAL_BATCH_EVENTS_S
        return is_fast and self.ratio >= GOAL_SINGLE


def _now() -> float:
    return time.monotonic() * 1000


def _wall() -> int:
    return int(time.time() * 1000)


def stub_doors(settings: Settings) -> Answer:
    """The doors with a dictionary step behind them, where the sessions will be."""
    last: dict[tuple[str, str], float] = {}

    def accept(activities: Sequence[Activity]) -> Accepted:
        now = time.monotonic()
        for activity in activities:
            last[activity.gateway, activity.address.session_id] = now
        return Accepted(len(activities))

    async def broadcast(_: BroadcastRequest) -> BroadcastResult:
        raise NotImplementedError

    beyond = Beyond(("guest",), lambda _gateway, _address: None, accept, broadcast)
    credentials = Credentials(settings, wall=_wall)
    return Doors(settings, credentials, beyond, metrics=Metrics(), now=_now, wall=_wall)


async def _serve(settings: Settings, make: MakeAnswer, told: Connection) -> None:
    gc.freeze()  # as the relay does once it has started; both handlers profit
    ours = Listener(make(settings), settings.server, metrics=Metrics(), now=_now)
    runner = web.ServerRunner(ours)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    async def fixed(_: web.Request) -> web.Response:
        return web.Response(status=202, body=b'{"accepted":1}', content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/events", fixed)
    bare = web.AppRunner(app, access_log=None)
    await bare.setup()
    await web.TCPSite(bare, "127.0.0.1", 0).start()
    told.send((bare.addresses[0][1], runner.addresses[0][1]))
    await asyncio.get_running_loop().run_in_executor(None, told.poll, None)


def _server(settings: Settings, make: str, told: Connection) -> None:
    os.sched_setaffinity(0, {0})
    module, _, name = make.partition(":")
    asyncio.run(_serve(settings, getattr(import_module(module), name), told))


class _Caller(asyncio.Protocol):
    """One connection, one request at a time; counts the answers that are 202."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.answered = 0
        self._requests = requests
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        head = received.find(b"\r\n\r\n")
        if head < 0:
            return
        mark = received.find(b"Content-Length: ") + 16
        if len(received) < head + 4 + int(received[mark : received.find(b"\r\n", mark)]):
            return
        assert received.startswith(b"HTTP/1.1 202"), bytes(received[:200])
        assert self._transport is not None
        received.clear()
        self.answered += 1
        self._transport.write(next(self._requests))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _round(port: int, requests: Iterator[bytes], pid: int) -> tuple[float, float]:
    """Answers per second, and the server's CPU microseconds for each."""
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: _Caller(requests), "127.0.0.1", port) for _ in range(CONNECTIONS)
    ]
    callers = [caller for _, caller in opened]
    await asyncio.sleep(0.1)
    answered, began, cpu = sum(caller.answered for caller in callers), loop.time(), _cpu_s(pid)
    await asyncio.sleep(ROUND_S)
    answered = sum(caller.answered for caller in callers) - answered
    took, cpu = loop.time() - began, _cpu_s(pid) - cpu
    for caller in callers:
        caller.close()
    return answered / took, cpu / max(answered, 1) * 1e6


def _event(number: int) -> bytes:
    return (
        b'{"id":"evt-%010d","sessionId":"5f0c2f9e-0000-4000-8000-%012d","guestId":"g-17",'
        b'"actor":{"id":"agent-7","kind":"agent"},"type":"keystroke","epoch":1,"seq":%d}'
        % (number, number % SESSIONS, number)
    )


def _requests(key: str, bodies: Iterator[bytes]) -> Iterator[bytes]:
    head = (
        "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: "
    ).encode()
    for body in bodies:
        yield head + b"%d\r\n\r\n" % len(body) + body


def _batches(numbers: Iterator[int]) -> Iterator[bytes]:
    while True:
        yield b"[" + b",".join(_event(next(numbers)) for _ in range(BATCH)) + b"]"


def _settings() -> tuple[Settings, str]:
    made = new_key("bench", random=secrets.token_bytes)
    key_id, sha256 = (line.split('"')[1] for line in made.toml.splitlines()[1:])
    return Settings(
        server=Server(port=0, dedupe_ids=100_000),
        gateways={"guest": Gateway(client_id="c", client_secret=SecretStr("s"))},
        sources={"bench": Source(keys=(ApiKey(id=key_id, sha256=sha256),))},
    ), made.key


async def _measure(bare_port: int, our_port: int, key: str, pid: int) -> Result:
    numbers = count()
    singles = _requests(key, map(_event, numbers))
    batches = _requests(key, _prepared(_batches(numbers)))
    bare, ours, batched = [], [], []
    for _ in range(ROUNDS):
        bare.append(await _round(bare_port, singles, pid))
        ours.append(await _round(our_port, singles, pid))
        batched.append(await _round(our_port, batches, pid))
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
        batch_ratio=statistics.median(
            many[0] * BATCH / one[0] for many, one in zip(batched, ours, strict=True)
        ),
    )


def _prepared(bodies: Iterator[bytes], *, kept: int = 2000) -> Iterator[bytes]:
    """Bodies made beforehand, over and over: making a batch costs the caller more than reading it costs the server.

    200,000 ids outlast the window of 100,000, so that none of them is a duplicate.
    """
    made = [next(bodies) for _ in range(kept)]
    while True:
        yield from made


def run(make: str = f"{__name__}:stub_doors") -> Result:
    """Starts the server, asks it, stops it. `make` names a function from settings to what answers a request."""
    settings, key = _settings()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=_server, args=(settings, make, there), daemon=True)
    server.start()
    try:
        if not here.poll(30):
            raise TimeoutError("the server did not start within 30 s")
        bare_port, our_port = here.recv()
        os.sched_setaffinity(0, {1})
        assert server.pid is not None
        return asyncio.run(_measure(bare_port, our_port, key, server.pid))
    finally:
        here.send(None)
        server.join(5)
        server.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 below the goal")
    parser.add_argument("--app", default="tests.benchmarks.bench_ingest:stub_doors", help="module:function")
    options = parser.parse_args()
    got = run(options.app)
    print(
        f"python {platform.python_version()}, {os.cpu_count()} cores, {CONNECTIONS} connections, {ROUNDS} rounds"
    )
    print(f"bare   {got.bare_rps:10,.0f} requests/s  {got.bare_cpu_us:6.1f} us CPU each")
    print(f"ours   {got.ours_rps:10,.0f} requests/s  {got.ours_cpu_us:6.1f} us CPU each")
    low, high = got.ratio_range
    print(f"ratio  {got.ratio:10.2f} ({low:.2f}..{high:.2f}), goal {GOAL_SINGLE}")
    print(
        f"batch  {got.batch_events_s:10,.0f} events/s    {got.batch_cpu_us:6.1f} us CPU each, goal {GOAL_BATCH_EVENTS_S:,}"
    )
    print(f"ratio  {got.batch_ratio:10.1f} x one by one, goal {GOAL_BATCH}")
    return 1 if options.check and not got.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
