"""What the commands about a running relay share: asking its operations port, and printing what it told."""

import http.client
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import click

from relay import wire
from relay.cli.common import CANNOT, NO, fail, print_json

TIMEOUT_S = 10.0

operations_option = click.option(
    "--operations",
    default="http://127.0.0.1:9180",
    show_default=True,
    envvar="RELAY_OPERATIONS_URL",
    help="Where the running relay's operations listener is.",
)


def asked(
    operations: str, method: str, path: str, body: wire.Json = None, *, timeout_s: float = TIMEOUT_S
) -> Any:  # Any: JSON
    """The relay's answer; anything but a success ends the command with the relay's own words."""
    try:
        parts = urlsplit(operations)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
        connection.request(method, path, *_sent(body))
        response = connection.getresponse()
        status, body = response.status, response.read()
        told = wire.loads(body)
    except ValueError:
        fail("--operations: wanted http://HOST:PORT of a relay's operations listener", code=CANNOT)
    except (OSError, http.client.HTTPException) as why:
        fail(f"no answer from the relay: {getattr(why, 'strerror', None) or type(why).__name__}", code=NO)
    if status >= 400:
        fail(told.get("detail", f"the relay answered {status}"), code=NO)
    return told


def _sent(body: wire.Json) -> tuple[bytes | None, dict[str, str]]:
    return (None, {}) if body is None else (wire.dumps(body), {"Content-Type": "application/json"})


def print_rows(
    told: Any, *, as_json: bool, rows: str, line: Callable[[dict[str, Any]], str]
) -> None:  # Any: JSON
    """As one JSON value, or a line for each of its `rows`."""
    if as_json:
        print_json(told)
        return
    for row in told[rows]:
        click.echo(line(row))
