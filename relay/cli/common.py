"""What several commands share: finding the settings, and ending with a clear word."""

import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import click

from relay import wire
from relay.errors import Rejected, RelayError, SettingsError, StoreError, Unavailable
from relay.settings.generated_secret import ensure_webhook_secret

if TYPE_CHECKING:
    from relay.settings.models import Settings

P = ParamSpec("P")
Command = TypeVar("Command", bound=Callable[..., Any])

NO, CANNOT = 1, 2

config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The TOML file; else RELAY_CONFIG, else none is read.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON value on stdout.")


def port_option(default: int) -> Callable[[Command], Command]:
    """Where to listen; what can be no port is refused before anything is bound."""
    ports = click.IntRange(0, 65535)
    return click.option("--port", type=ports, default=default, show_default=True, help="0 takes a free one.")


def a_number(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Click's ranges let `nan` through."""
    if value is not None and isnan(value):
        raise click.BadParameter("wanted a number", ctx, param)
    return value


def chaos_option(words: str) -> Callable[[Command], Command]:
    """How badly the stand-in platform behaves; `words` say at what."""
    most = click.FloatRange(0, 10)
    return click.option("--chaos", type=most, callback=a_number, default=1.0, show_default=True, help=words)


def settings_read(config: Path | None) -> "Settings":
    """As the environment, `.env` and the file say; nothing is made. Raises SettingsError."""
    from relay.settings.loading import load  # noqa: PLC0415 - most commands read none, and the models take a while

    return load(config, os.environ, Path.cwd())


def settings_in_force(config: Path | None) -> "Settings":
    """The same, and a tracker without a secret gets one, kept beside the outbox. Raises SettingsError."""
    from relay.settings.loading import without_secret  # noqa: PLC0415 - as above

    settings = settings_read(config)
    missing = without_secret(settings)
    for path in missing:
        if ensure_webhook_secret(path):
            click.echo(f"a signing secret for your tracker was made: see {path}", err=True)
    return settings_read(config) if missing else settings


def ending_well(run: Callable[P, None]) -> Callable[P, None]:
    """A foreseen failure ends the command with its own words and exit code, and no traceback."""

    @wraps(run)
    def ran(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            run(*args, **kwargs)
        except (SettingsError, StoreError) as why:
            fail(str(why), code=CANNOT)
        except Rejected as why:
            fail(why.detail, code=refused_with(why.status))
        except Unavailable as why:
            fail(why.detail, code=NO)
        except RelayError as why:
            fail(str(why), code=NO)

    return ran


def refused_with(status: int) -> int:
    """The exit code after a refusal of that HTTP status: what nobody could have meant is usage, whoever judged it."""
    return CANNOT if status in {400, 422} else NO


def fail(words: str, *, code: int) -> NoReturn:
    for line in words.splitlines():
        click.echo(f"typing-relay: {line}", err=True)
    sys.exit(code)


@contextmanager
def heard() -> Iterator[None]:
    """Around a whole command: where standard output takes no more, it ends with a word, or quietly with its pipe."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # as it is where a daemon is started without one
                sys.stdout.flush()
    except (OSError, ExceptionGroup):  # a group where a task wrote it
        refused = _refused_output()
        if refused is None:
            raise
        _ended(refused)


def _refused_output() -> OSError | None:
    """Standard output's own error, if it takes nothing: asked with an end of line, as an error does not tell its file."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as why:
        return why
    return None


def _ended(why: OSError) -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter tries it once more
    if isinstance(why, BrokenPipeError):
        sys.exit(128 + signal.SIGPIPE)  # as shells tell of a program whose reader has left
    fail(f"standard output cannot be written: {why.strerror}", code=CANNOT)


def plain(text: str, *, most: int = 500) -> str:
    """Somebody else's words, as far as they go on a line: what would move a terminal's cursor or colour it is escaped."""
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text[: most + 1])
    return shown if len(text) <= most else f"{shown[:most]}…"


def print_json(value: wire.Json) -> None:
    click.echo(wire.dumps_pretty(value).decode(), nl=False)


def run_loop(main: Coroutine[Any, Any, None], *, fast: bool = True) -> None:
    """Run to the end, on uvloop where the extra `fast` is installed and the command profits from it."""
    import asyncio  # noqa: PLC0415 - `typing-relay --help` need not load the server

    with asyncio.Runner(loop_factory=_fast_loop() if fast else None) as runner:
        runner.run(main)


def _fast_loop() -> Callable[[], Any] | None:
    try:
        import uvloop  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    factory: Callable[[], Any] = uvloop.new_event_loop
    return factory
