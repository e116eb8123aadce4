"""Commands about callbacks, asked of the running relay at its operations port: it alone holds the outbox's file."""

import http.client
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import click

from relay import wire
from relay.cli.common import CANNOT, NO, fail, json_option, print_json

TIMEOUT_S = 10.0

operations_option = click.option(
    "--operations",
    default="http://127.0.0.1:9180",
    show_default=True,
    envvar="RELAY_OPERATIONS_URL",
    help="Where the running relay's operations listener is.",
)


@click.group("dlq")
def dlq_group() -> None:
    """Callbacks that have ended without success."""


@dlq_group.command("list")
@click.option("--state", default="exhausted", show_default=True)
@click.option("--endpoint")
@click.option("--limit", default=100, show_default=True)
@operations_option
@json_option
def list_(state: str, endpoint: str | None, limit: int, operations: str, *, as_json: bool) -> None:
    """List deliveries, newest first: exhausted ones, or those of another STATE."""
    query = {"state": state, "limit": str(limit)} | ({"endpoint": endpoint} if endpoint else {})
    told = _asked(operations, "GET", f"/v1/deliveries?{urlencode(query)}")
    _print(told, as_json=as_json, rows="deliveries", line=_delivery_line)


@dlq_group.command()
@click.argument("delivery_ids", type=click.IntRange(1), nargs=-1, required=True)
@operations_option
@json_option
def replay(delivery_ids: tuple[int, ...], operations: str, *, as_json: bool) -> None:
    """Send deliveries that have ended once more: same id, same bytes, a new budget."""
    for delivery_id in delivery_ids:
        _asked(operations, "POST", f"/v1/deliveries/{delivery_id}/replay")
    if as_json:
        print_json({"replayed": len(delivery_ids)})
    else:
        click.echo(f"{len(delivery_ids)} on their way again", err=True)


@click.group("endpoints")
def endpoints_group() -> None:
    """Trackers, and whether they are sent anything."""


@endpoints_group.command("list")
@operations_option
@json_option
def list_endpoints(operations: str, *, as_json: bool) -> None:
    """List every endpoint with its state."""
    told = _asked(operations, "GET", "/v1/endpoints")
    _print(told, as_json=as_json, rows="endpoints", line=_endpoint_line)


@endpoints_group.command()
@click.argument("name")
@operations_option
def resume(name: str, operations: str) -> None:
    """Take back an endpoint that was disabled by its 410; what it missed can be replayed (`dlq list --state cancelled`)."""
    was_disabled = _asked(operations, "POST", f"/v1/endpoints/{name}/resume")["resumed"]
    click.echo("resumed" if was_disabled else "it was not disabled", err=True)


def _asked(operations: str, method: str, path: str) -> Any:  # Any: JSON
    try:
        parts = urlsplit(operations)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        connection.request(method, path)
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


def _print(
    told: Any, *, as_json: bool, rows: str, line: Callable[[dict[str, Any]], str]
) -> None:  # Any: JSON
    if as_json:
        print_json(told)
        return
    for row in told[rows]:
        click.echo(line(row))


def _delivery_line(row: dict[str, Any]) -> str:
    last = row["lastStatus"] or row["lastFailure"] or "-"
    return f"{row['id']}\t{row['state']}\t{row['endpoint']}\t{row['type']}\t{row['attempts']} attempts\t{last}\t{row['recordedAt']}"


def _endpoint_line(row: dict[str, Any]) -> str:
    more = f"\t{row['reason']} since {row['since']}" if row["state"] == "disabled" else ""
    return f"{row['name']}\t{row['state']}{more}"
