"""A receiver on this machine that verifies what a relay sends and prints a line for each: a tracker to try things on."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay import wire
from relay.cli.common import CANNOT, ending_well, fail, port_option, run_loop
from relay.cli.hearing import Ear, usable
from relay.errors import SettingsError
from relay.settings.binding import not_bound
from relay.settings.generated_secret import USUAL_OUTBOX, beside, read

if TYPE_CHECKING:
    from relay.sandbox.serving import Listener

MOST_BODY_BYTES = 1_048_576


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@port_option(8099)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    envvar="WEBHOOK_SECRET",
    show_envvar=True,
    help="whsec_… or whpk_…; several during a rotation. Others on this machine see it: rather use a file.",
)
@click.option(
    "--secret-file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=beside(USUAL_OUTBOX),
    show_default=True,
    help="Used without --secret; the relay makes this one beside its outbox.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON value a line, with the event's data.")
@ending_well
def listen(host: str, port: int, secrets: tuple[str, ...], secret_file: Path, *, as_json: bool) -> None:
    """Receive callbacks, verify them and print a line for each.

    The line is ✓ and the event, or ✗ and why not. Answers 204 to what is verified and 401 to the rest, on any path; a repeated webhook-id is marked. Give the
    address it prints to the relay as WEBHOOK_URL.
    """
    ear = _ear(secrets or _kept(secret_file))
    try:
        run_loop(_serve(ear, host, port, as_json=as_json), fast=False)
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


def _kept(path: Path) -> tuple[str, ...]:
    secret = read(path)
    if secret is None:
        fail(
            f"no --secret is given, and {path} is not there: start the relay here once, or say its secret",
            code=CANNOT,
        )
    return (secret,)


def _ear(secrets: tuple[str, ...]) -> Ear:
    try:
        return usable(secrets)
    except ValueError as why:
        raise SettingsError(f"--secret: {why}") from None


async def _serve(ear: Ear, host: str, port: int, *, as_json: bool) -> None:
    from aiohttp import web  # noqa: PLC0415 - the other commands need no server

    from relay.sandbox.serving import Listener  # noqa: PLC0415 - as above

    unread: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def hook(request: web.Request) -> web.Response:
        heard = ear.hear(request.headers, await request.read())
        try:
            click.echo(wire.dumps(heard.as_json) if as_json else heard.line)
        except OSError as why:  # nobody reads us: there is nothing left to listen for
            if not unread.done():
                unread.set_exception(why)
            return web.Response(status=503)
        return web.Response(status=204 if heard.event else 401)

    app = web.Application(client_max_size=MOST_BODY_BYTES)
    app.router.add_post("/{path:.*}", hook)
    listener = Listener(app, host=host, port=port)
    try:
        await _bound(listener, host, port)
        click.echo(f"ready url={listener.base_url}/hooks", err=True)
        await unread
    finally:
        await listener.close()


async def _bound(listener: "Listener", host: str, port: int) -> None:
    try:
        await listener.start()
    except (OSError, UnicodeError) as why:
        raise not_bound(host, port, why) from None
