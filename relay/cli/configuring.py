"""Commands about settings and keys; none of them starts anything."""

import secrets
from pathlib import Path

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
from relay.settings import masked, schema, template


@click.group("config")
def config_group() -> None:
    """Write, check and show the settings."""


@config_group.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default="relay.toml")
def init(path: Path) -> None:
    """Write the template, every key commented out at its default, to PATH; an existing file is left alone."""
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
    """Say whether the relay would start with these settings, and every reason why not."""
    from relay.prerequisites import refuse_unusable  # noqa: PLC0415 - loads the server's modules

    refuse_unusable(settings_read(config))
    click.echo("the settings are usable", err=True)


@config_group.command()
@config_option
@ending_well
def show(config: Path | None) -> None:
    """Print the settings in force as JSON, secrets masked."""
    print_json(masked(settings_read(config)))


@config_group.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of the TOML file."""
    click.echo(schema().decode(), nl=False)


@click.group("keys")
def keys_group() -> None:
    """API keys of upstream sources."""


@keys_group.command()
@click.argument("source")
@json_option
def new(source: str, *, as_json: bool) -> None:
    """Make an API key for SOURCE: the key for the caller, and the TOML lines that recognise it.

    The key is shown once and kept nowhere. To revoke it, delete its lines and have the settings read again (SIGHUP).
    """
    from relay.ingest.keys import new_key  # noqa: PLC0415 - loads the server's modules

    if not source.replace("-", "").isalnum() or not source.islower():
        fail("SOURCE: wanted lower-case letters, digits and -", code=CANNOT)
    made = new_key(source, random=secrets.token_bytes)
    if as_json:
        print_json({"key": made.key, "toml": made.toml})
        return
    click.echo(f"{made.key}\n\n{made.toml}", nl=False)
