"""Commands about trackers, asked of the running relay: it alone sends to them."""

from typing import Any

import click

from relay.cli.asking import asked, operations_option, print_rows
from relay.cli.common import json_option


@click.group("endpoints")
def endpoints_group() -> None:
    """Trackers, and whether they are sent anything."""


@endpoints_group.command("list")
@operations_option
@json_option
def list_endpoints(operations: str, *, as_json: bool) -> None:
    """List every endpoint with its state."""
    told = asked(operations, "GET", "/v1/endpoints")
    print_rows(told, as_json=as_json, rows="endpoints", line=_endpoint_line)


@endpoints_group.command()
@click.argument("name")
@operations_option
def resume(name: str, operations: str) -> None:
    """Take back an endpoint that was disabled by its 410; what it missed can be replayed (`dlq list --state cancelled`)."""
    was_disabled = asked(operations, "POST", f"/v1/endpoints/{name}/resume")["resumed"]
    click.echo("resumed" if was_disabled else "it was not disabled", err=True)


def _endpoint_line(row: dict[str, Any]) -> str:
    more = f"\t{row['reason']} since {row['since']}" if row["state"] == "disabled" else ""
    return f"{row['name']}\t{row['state']}{more}"
