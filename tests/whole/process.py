"""The relay as its operator runs it: a process of its own, told by its environment, watched through its pipes.

Everything here is on the real clock, and every wait has a deadline.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from relay import wire

T = TypeVar("T")

READY_S = 15.0
"""Until both listeners accept; generous, for machines that do other things beside the tests."""

END_S = 15.0
LINE_BYTES = 1 << 20
ROOT = Path(__file__).parents[2]


class Ran(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


async def run(home: Path, environ: Mapping[str, str], *arguments: str, within_s: float = 20.0) -> Ran:
    """`typing-relay arguments…` to its end."""
    return await _ended(await _launched(home, environ, ["-m", "relay", *arguments]), within_s)


async def bare_start_s(home: Path) -> float:
    """How long it takes now to load what `serve` is made of, and do nothing: of a start all that is Python's own."""
    began = time.monotonic()
    ran = await _ended(await _launched(home, {}, ["-c", "import relay.app"]), READY_S)
    assert ran.code == 0, ran.err
    return time.monotonic() - began


async def _ended(process: asyncio.subprocess.Process, within_s: float) -> Ran:
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    return Ran(_code(process), out.decode(), err.decode())


@dataclass(slots=True)
class RelayProcess:
    """A relay that said it was ready. `said` is its standard error, line by line, as it comes."""

    process: asyncio.subprocess.Process
    public: str
    operations: str
    ready_line: str
    ready_after_s: float
    said: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within_s: float = END_S) -> int:
        """Its exit code, negative for the signal that ended it."""
        async with asyncio.timeout(within_s):
            return await self.process.wait()

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> int:
        self.send(signal.SIGTERM)
        return await self.ended()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines about `event`, as they stand by now."""
        lines = [wire.loads(line) for line in self.said if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


@asynccontextmanager
async def serving(
    home: Path, environ: Mapping[str, str], *, meanwhile: Callable[[int], Awaitable[None]] | None = None
) -> AsyncIterator[RelayProcess]:
    """`typing-relay serve` on free ports in `home`, from its `ready` line on; killed at the end if it still runs.

    `meanwhile` is what happens to the process of that id while it starts.
    """
    began = time.monotonic()
    free_ports = {"RELAY_SERVER__PORT": "0", "RELAY_OPERATIONS__PORT": "0"}
    process = await _launched(home, free_ports | dict(environ), ["-m", "relay", "serve"])
    said: list[str] = []
    collecting = asyncio.create_task(_collect(process.stderr, said), name="stderr of the relay")
    try:
        if meanwhile:
            await meanwhile(process.pid)
        yield await _ready(process, said, began)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await asyncio.wait_for(collecting, END_S)


async def _ready(process: asyncio.subprocess.Process, said: list[str], began: float) -> RelayProcess:
    assert process.stdout is not None
    async with asyncio.timeout(READY_S):
        line = (await process.stdout.readline()).decode().strip()
    ready_after_s = time.monotonic() - began
    assert line.startswith("ready "), f"the relay is not ready, it said: {line!r} {said}"
    where = dict(part.split("=", 1) for part in line.split()[1:])
    return RelayProcess(process, where["public"], where["operations"], line, ready_after_s, said)


async def _collect(stream: asyncio.StreamReader | None, said: list[str]) -> None:
    assert stream is not None
    while line := await stream.readline():
        said.append(line.decode().rstrip("\n"))


async def _launched(
    home: Path, environ: Mapping[str, str], arguments: Sequence[str]
) -> asyncio.subprocess.Process:
    """Nothing of this process's own environment goes in but what a program needs to run at all."""
    bare = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=home,
        env=bare | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"} | dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
    )


def _code(process: asyncio.subprocess.Process) -> int:
    assert process.returncode is not None
    return process.returncode


async def until(claim: Callable[[], T], *, within_s: float, what: str = "") -> T:
    """What `claim` answers as soon as that is true; fails with the last answer when the time is over."""
    ends = time.monotonic() + within_s
    while not (answer := claim()):
        assert time.monotonic() < ends, f"not within {within_s} s: {what or claim} (it is {answer!r})"
        await asyncio.sleep(0.01)
    return answer
