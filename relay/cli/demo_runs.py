"""The demo's three ways to run, each printing what came of it; what is wrong is returned, in sentences."""

import sys
from collections.abc import Callable, Iterable, Sequence

import click

from relay import wire
from relay.cli.common import print_json
from relay.core.moments import Ms
from relay.demo.clock import run_hurried
from relay.demo.headless import perform
from relay.demo.live import clock, perform_live
from relay.demo.screen import Screen
from relay.demo.summary import losses, summary_rows
from relay.demo.table import figure_rows, in_json, table
from relay.demo.virtual import broken_bars, replay_both
from relay.observe import logs
from relay.sandbox.chaos import scaled


def replay_virtually(keys: list[Ms], *, as_json: bool) -> list[str]:
    """Both modes on the virtual clock; the bars missed."""
    by_mode = replay_both(keys)
    missed = list(broken_bars(by_mode))
    if as_json:
        modes: dict[str, wire.Json] = {
            mode.value: in_json(figure_rows(seen)) for mode, seen in by_mode.items()
        }
        print_json({"modes": modes, "missed": missed})
    else:
        click.echo(table(*map(figure_rows, by_mode.values()), headings=list(by_mode)))
    return missed


def replay(scripts: list[list[Ms]], *, speed: float, chaos: float, as_json: bool) -> list[str]:
    """Through the real door, to the summary; what was lost. Raises SettingsError, StoreError."""
    _hush()
    click.echo(_how_long(scripts, speed), err=True)
    main = perform(scripts, chaos=scaled(chaos), speed=speed, progress=_progress())
    summary = run_hurried(main, speed=speed)
    lost, rows = list(losses(summary)), summary_rows(summary)
    if as_json:
        print_json({**in_json(rows), "speed": speed, "sessions": len(scripts), "lost": lost})
    else:
        click.echo(table(rows))
    return lost


def show(scripts: Sequence[Iterable[Ms]], *, minutes: float | None, speed: float, chaos: float) -> None:
    """In the terminal, until Ctrl-C or `minutes`. Raises SettingsError, StoreError."""
    _hush()
    until_s = None if minutes is None else minutes * 60
    main = perform_live(scripts, chaos=scaled(chaos), out=sys.stdout, until_s=until_s, speed=speed)
    run_hurried(main, speed=speed)
    click.echo("stopped", err=True)


def _hush() -> None:
    """Faults are the point here; what nobody foresaw is still said."""
    logs.setup("error", "hashed")


def _how_long(scripts: list[list[Ms]], speed: float) -> str:
    """Nothing else is said until the end where no terminal shows how far it is."""
    takes_s = 1 + max(script[-1] for script in scripts) / 1000 / speed
    return f"this takes {clock(takes_s)} and a little more; --minutes and --speed make it shorter"


def _progress() -> Callable[[Ms, Ms], None]:
    """Says how far it is on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        return lambda *_: None
    screen = Screen(sys.stderr)
    return lambda played, of: screen.show([f"{clock(played / 1000)} of {clock(of / 1000)} played"])
