"""A program beside the relay: a process of its own in a folder, its output line by line, ended with the block."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.whole.process import END_S, READY_S, ROOT, until


@dataclass(slots=True)
class Program:
    """`out` and `err` grow as it speaks."""

    process: asyncio.subprocess.Process
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    async def says(self, start: str, *, within_s: float = READY_S) -> str:
        """What follows `start` in the first line, on either stream, that begins with it."""

        def found() -> str:
            lines = (line for line in [*self.out, *self.err] if line.startswith(start))
            return next(lines, "").removeprefix(start)

        return await until(found, within_s=within_s, what=f"{start!r} of {self.err}")

    async def interrupt(self) -> int:
        """Ctrl-C; its exit code."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(END_S):
            return await self.process.wait()


@asynccontextmanager
async def program(home: Path, environ: Mapping[str, str], *arguments: str) -> AsyncIterator[Program]:
    """`python arguments…`, told by `environ` alone; killed at the end if it still runs."""
    bare = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=home,
        env=bare | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"} | dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Program(process)
    collecting = [
        asyncio.create_task(_collect(stream, said), name=f"output of {arguments[0]}")
        for stream, said in ((process.stdout, running.out), (process.stderr, running.err))
    ]
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await asyncio.wait_for(asyncio.gather(*collecting), END_S)


async def _collect(stream: asyncio.StreamReader | None, said: list[str]) -> None:
    assert stream is not None
    while line := await stream.readline():
        said.append(line.decode().rstrip("\n"))
