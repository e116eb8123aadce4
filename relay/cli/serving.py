"""Long-running commands: the relay itself, the stand-in platform, and the probe that containers call."""

import http.client
import signal
from pathlib import Path

import click

from relay import wire
from relay.cli.addressing import WANTED, Address, address_option, unanswered
from relay.cli.asking import ELSEWHERE
from relay.cli.common import (
    NO,
    a_number,
    chaos_option,
    config_option,
    ending_well,
    fail,
    plain,
    port_option,
    run_loop,
    settings_in_force,
    settings_read,
)
from relay.cli.supervising import told
from relay.settings.binding import not_bound

READY_PATH = "/readyz"
MOST_TOLD_BYTES = 65_536


@click.command()
@config_option
@ending_well
def serve(config: Path | None) -> None:
    """Run the relay until SIGTERM.

    Prints one line, `ready public=… operations=…`, once both listeners accept, and tells systemd. Needs no file: GENESYS_CLIENT_ID,
    GENESYS_CLIENT_SECRET, GENESYS_API_BASE_URL and WEBHOOK_URL, from the environment or `.env`, are enough.

    SIGHUP has the settings read again: sources, the settings of endpoints that are there already and the log's level
    are taken over; where anything else differs nothing is, for that needs a restart.
    """
    signal.signal(
        signal.SIGHUP, signal.SIG_IGN
    )  # it asks for a reload: until there is a relay it must not end us

    from relay import app  # noqa: PLC0415 - the other commands need no server
    from relay.observe import logs  # noqa: PLC0415 - as above

    settings = settings_in_force(config)
    logs.setup(settings.logging.level, settings.logging.log_ids)
    run_loop(app.serve(settings, say=_ready, read=lambda: settings_read(config)))


def _ready(line: str) -> None:
    click.echo(line)
    told("READY=1")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@port_option(8090)
@chaos_option("0: behaves; 1: usual.")
@click.option("--seed", default=1, show_default=True, help="Of the misbehaviour.")
@ending_well
def sandbox(host: str, port: int, chaos: float, seed: int) -> None:
    """Run a stand-in messaging platform, unreliable as a real one.

    It speaks the Guest API and keeps a record of arrivals. Its switches: POST /sandbox/chaos; what it saw: GET /sandbox/arrivals, /sandbox/visible/{sessionId};
    what a guest sees of it, in a browser: /guest/{sessionId}.
    """
    from relay.sandbox.chaos import scaled  # noqa: PLC0415 - the relay itself needs no sandbox
    from relay.sandbox.serve import serve_sandbox  # noqa: PLC0415 - as above

    announced: list[str] = []

    def say(url: str) -> None:
        announced.append(url)
        click.echo(f"ready platform={url} client_id=sandbox-client client_secret=sandbox-secret")

    try:
        run_loop(serve_sandbox(host, port, chaos=scaled(chaos, seed=seed), announce=say))
    except (OSError, UnicodeError) as why:
        if announced:  # it listens, so it is standard output that failed
            raise
        raise not_bound(host, port, why) from None
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


@click.command()
@address_option("--url", "Where its operations listener is; /readyz is asked unless a path is given.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, 60, min_open=True),
    callback=a_number,
    default=2.0,
    show_default=True,
    help="Seconds.",
)
def healthcheck(url: Address, timeout_s: float) -> None:
    """Exit 0 if the relay on this machine is ready, 1 if not. For containers.

    One that does not answer is not ready.
    """
    try:
        connection = http.client.HTTPConnection(url.host, url.port, timeout=timeout_s)
        connection.request("GET", url.path or READY_PATH)
        response = connection.getresponse()
        body = response.read(MOST_TOLD_BYTES)
    except (OSError, http.client.HTTPException, UnicodeError) as why:
        fail(unanswered(url, why, "--url"), code=NO)
    if response.status == 404 and url.path in {"", READY_PATH}:
        fail(f"not ready: {ELSEWHERE}; {WANTED}", code=NO)
    if response.status != 200:
        fail(f"not ready: it answered {response.status}{_reasons(body)}", code=NO)


def _reasons(body: bytes) -> str:
    """Of the checks that fail, as far as it told any."""
    try:
        answer = wire.loads(body)
    except wire.NotJson:
        return ""
    checks = answer.get("checks") if isinstance(answer, dict) else None
    failing = [one for one in checks or () if isinstance(one, dict) and not one.get("ok")]
    words = "; ".join(f"{one.get('name')}: {one.get('reason')}" for one in failing)
    return f": {plain(words)}" if words else ""
