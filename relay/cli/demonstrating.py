"""The demo: the whole relay at work on loopback, to look at or to measure.

Exit codes beside the usual ones: 1 from a headless run says what was lost, or which bar was missed.
"""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from math import inf, nan
from pathlib import Path

import click

from relay.cli.common import CANNOT, NO, a_number, chaos_option, ending_well, fail, json_option
from relay.core.moments import Ms
from relay.sandbox.traces import BadTrace, endless_trace, generated_trace, read_trace

MAX = "max"
AT_ONCE = inf
"""The speed `max` stands for."""

LIVE_SESSIONS = 3
HEADLESS_MINUTES = 10.0
VIRTUAL_MINUTES = 60.0


def _speed(ctx: click.Context, param: click.Parameter, value: str) -> float:
    if value == MAX:
        return AT_ONCE
    try:
        speed = float(value)
    except ValueError:
        speed = nan
    if not 1 <= speed <= 20:
        raise click.BadParameter(f"wanted a number of 1 to 20, or {MAX}", ctx, param)
    return speed


@click.command()
@click.option("--headless", is_flag=True, help="Replay keystrokes, print a summary, end.")
@click.option(
    "--trace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keys: one integer a line, milliseconds, ascending; .gz too. Default: generated, as a person writes.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, 10_000, min_open=True),
    callback=a_number,
    help="Of the trace. Default: 10 headless, the whole trace at `--speed max`, until Ctrl-C otherwise.",
)
@click.option(
    "--speed",
    metavar="1..20|max",
    default="1",
    show_default=True,
    callback=_speed,
    help="Times real time; `max`: the machine alone on a virtual clock, no sockets.",
)
@chaos_option("Of the stand-in platform. 0: behaves; 1: 2 % 429, 1 % 503, slow answers, tokens of a minute.")
@click.option(
    "--sessions",
    type=click.IntRange(1, 50),
    help=f"Conversations at once. Default: {LIVE_SESSIONS}, headless 1.",
)
@json_option
@ending_well
def demo(
    trace: Path | None,
    minutes: float | None,
    speed: float,
    chaos: float,
    sessions: int | None,
    *,
    headless: bool,
    as_json: bool,
) -> None:
    """Show the relay at work on this machine, nothing to configure.

    It runs between a typist, a stand-in platform and a tracker, all on loopback.

    Headless, it replays keystrokes through the real door and exits 0 only if nothing was lost: every accepted
    indicator has its callback, unless the platform's answer never came; every callback has its signature; every session
    ended stopped. Lapses and lost answers are printed.
    """
    from relay.cli import demo_runs  # noqa: PLC0415 - the other commands need neither server nor sandbox

    if not headless and (as_json or speed == AT_ONCE):
        raise click.UsageError("--json and --speed max are for --headless")
    missing: list[str] = []
    if speed == AT_ONCE:
        missing = demo_runs.replay_virtually(_virtual_keys(trace, minutes), as_json=as_json)
    elif headless:
        scripts = _scripts(trace, minutes or HEADLESS_MINUTES, sessions or 1)
        missing = demo_runs.replay(scripts, speed=speed, chaos=chaos, as_json=as_json)
    else:
        lively = _live_scripts(trace, sessions or LIVE_SESSIONS)
        demo_runs.show(lively, minutes=minutes, speed=speed, chaos=chaos)
    if missing:
        fail("\n".join(missing), code=NO)


def _read(trace: Path) -> list[Ms]:
    """Milliseconds since the first key."""
    try:
        keys = read_trace(trace)
    except BadTrace as why:
        fail(f"--trace: {why}", code=CANNOT)
    except OSError as why:
        fail(f"--trace: the file cannot be read: {why.strerror}", code=CANNOT)
    return [key - keys[0] for key in keys]


def _first(keys: Iterable[Ms], minutes: float) -> list[Ms]:
    return list(takewhile(lambda key: key <= minutes * 60_000, keys))


def _virtual_keys(trace: Path | None, minutes: float | None) -> list[Ms]:
    if trace is None:
        return generated_trace(minutes=minutes or VIRTUAL_MINUTES)
    keys = _read(trace)
    return keys if minutes is None else _first(keys, minutes)


def _scripts(trace: Path | None, minutes: float, sessions: int) -> list[list[Ms]]:
    """A file's keys in every session, begun one after the other within a second; or a person for each."""
    if trace is None:
        return [_first(endless_trace(seed=seed), minutes) for seed in range(1, sessions + 1)]
    keys = _first(_read(trace), minutes)
    return [[key + place * 1000 / sessions for key in keys] for place in range(sessions)]


def _live_scripts(trace: Path | None, sessions: int) -> Sequence[Iterable[Ms]]:
    if trace is None:
        return [endless_trace(seed=seed) for seed in range(1, sessions + 1)]
    return [_read(trace)] * sessions
