"""Keystroke times to replay: read from a file, or generated of the same kind as a person's writing.

A trace file holds one integer a line, milliseconds since the first key; `.gz` is unpacked.
"""

import gzip
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

from relay.core.moments import Ms

MAX_TRACE_BYTES = 64 * 1024 * 1024


class BadTrace(ValueError):  # noqa: N818 - names the input
    """The file holds something else than ascending whole milliseconds; the message says in which line."""


def read_trace(path: Path) -> list[Ms]:
    """Key times in milliseconds, ascending, from a file of one integer a line. Raises BadTrace, OSError."""
    times: list[Ms] = []
    for number, line in enumerate(map(bytes.strip, _bytes_of(path).splitlines()), start=1):
        if not line:
            continue
        if not line.isdigit() or len(line) > 15:
            raise BadTrace(f"line {number}: wanted whole milliseconds since the first key")
        times.append(float(line))
        if len(times) > 1 and times[-1] < times[-2]:
            raise BadTrace(f"line {number}: wanted times in ascending order")
    if not times:
        raise BadTrace("the trace is empty: wanted one integer a line")
    return times


def _bytes_of(path: Path) -> bytes:
    if path.suffix != ".gz":
        with path.open("rb") as file:
            return file.read(MAX_TRACE_BYTES)
    try:
        with gzip.open(path) as file:
            return file.read(MAX_TRACE_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise BadTrace("wanted a whole gzip file, as the name says") from None


def generated_trace(*, minutes: float, seed: int = 1) -> list[Ms]:
    """The keys of `endless_trace` up to the first one past `minutes`."""
    times: list[Ms] = []
    for at in endless_trace(seed=seed):
        times.append(at)
        if at >= minutes * 60_000:
            break
    return times


def endless_trace(*, seed: int = 1) -> Iterator[Ms]:
    """Keys as people write: bursts at 3 to 8 a second, word pauses under a second, and now and then a longer one.

    The shares of long gaps follow what is published of free text: some 6 % above 1 s, 3 % above 2 s,
    2 % above 3 s, 1 % above 8 s.
    """
    chance, now = random.Random(seed), 0.0
    while True:
        yield float(int(now))
        now += _gap_ms(chance)


def _gap_ms(chance: random.Random) -> float:
    kind = chance.random()
    if kind < 0.94:
        return min(999.0, chance.lognormvariate(5.1, 0.45))
    if kind < 0.97:
        return chance.uniform(1000, 2000)
    if kind < 0.98:
        return chance.uniform(2000, 3000)
    if kind < 0.99:
        return chance.uniform(3000, 8000)
    return chance.uniform(8000, 40_000)
