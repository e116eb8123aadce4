"""A whole trace on a virtual clock: the machine alone, faults off, no sockets, both ways of stopping."""

from collections.abc import Iterator, Mapping, Sequence

from relay.core.moments import Ms
from relay.core.timings import StopMode, Timings
from relay.sandbox.replay import Figures, replay

MODES = (StopMode.TERMINAL, StopMode.EXPLICIT)


def replay_both(keys: Sequence[Ms]) -> dict[StopMode, Figures]:
    """The figures of each mode at the default timings; jitter off, so that they are the same every time."""
    return {mode: replay(keys, Timings(stop_mode=mode, refresh_jitter=0.0)) for mode in MODES}


def broken_bars(by_mode: Mapping[StopMode, Figures]) -> Iterator[str]:
    """Nothing, as long as no indicator lapses while somebody writes."""
    for mode, seen in by_mode.items():
        if seen.lapses:
            yield f"{seen.lapses:,} lapses in mode {mode}: none is wanted"
