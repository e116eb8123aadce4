"""Commands about settings and keys; none of them starts anything."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.common import (
    CANNOT,
    config_option,
    ending_well,
    fail,
    json_option,
    print_json,
    settings_read,
)

if TYPE_CHECKING:
    from relay.ingest.keys import NewKey
    from relay.settings.models import Outbox


@click.group("config")
def config_group() -> None:
    """Write, check and show the settings."""


@config_group.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default="relay.toml")
def init(path: Path) -> None:
    """Write the template to PATH; an existing file is left alone. Every key is in it, commented out at its default."""
    from relay.settings.show import template  # noqa: PLC0415 - loads the settings' models

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template())
    except OSError as why:
        fail(f"{path}: {why.strerror}", code=CANNOT)
    click.echo(f"wrote {path}", err=True)


@config_group.command()
@config_option
@ending_well
def check(config: Path | None) -> None:
    """Say whether the relay would start with these settings, or why not.

    Every problem that can be told is named, with its place; some can be told only once others are mended. The outbox's
    folder and file are looked at, as `serve` would find them; nothing is made. What depends on others (ports, platforms,
    trackers) is for `doctor`. Exit code 2 where it would not start, as of `serve`.
    """
    from relay.prerequisites import unusable  # noqa: PLC0415 - loads the server's modules

    settings = settings_read(config)
    problems = [*unusable(settings), *_outbox_problems(settings.outbox)]
    if problems:
        fail("\n".join(problems), code=CANNOT)
    click.echo("the settings are usable", err=True)


def _outbox_problems(outbox: "Outbox") -> list[str]:
    """As the doctor tells them; that a running relay holds the file is none."""
    from relay.doctor import files  # noqa: PLC0415 - as above
    from relay.doctor.finding import Level  # noqa: PLC0415 - as above

    found = files.outbox(outbox, Path.cwd())
    return [f"{each.about}: {each.seen}; {each.fix}" for each in found if each.level is Level.FAIL]


@config_group.command()
@config_option
@ending_well
def show(config: Path | None) -> None:
    """Print the settings in force as JSON, secrets masked."""
    from relay.settings.show import masked  # noqa: PLC0415 - as above

    print_json(masked(settings_read(config)))


@config_group.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of the TOML file."""
    from relay.settings.show import schema  # noqa: PLC0415 - as above

    click.echo(schema().decode(), nl=False)


@click.group("keys")
def keys_group() -> None:
    """API keys of upstream sources."""


@keys_group.command()
@click.argument("source")
@json_option
def new(source: str, *, as_json: bool) -> None:
    """Make an API key for SOURCE, with the TOML lines that recognise it.

    The key is for the caller. It is shown once and kept nowhere. To revoke it, delete its lines and have the settings read again (SIGHUP).
    """
    from relay.ingest.keys import new_key  # noqa: PLC0415 - loads the server's modules

    if not source.replace("-", "").isalnum() or not source.islower():
        fail("SOURCE: wanted lower-case letters, digits and -", code=CANNOT)
    made = new_key(source, random=secrets.token_bytes)
    try:
        _show_key(made, as_json=as_json)
    except OSError:
        click.echo("typing-relay: the key is lost: make another", err=True)
        raise


def _show_key(made: "NewKey", *, as_json: bool) -> None:
    if as_json:
        print_json({"key": made.key, "toml": made.toml})
        return
    click.echo(f"{made.key}\n\n{made.toml}", nl=False)
