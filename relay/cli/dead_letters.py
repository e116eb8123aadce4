"""Commands about callbacks that ended without success, asked of the running relay: it alone holds the outbox's file."""

from typing import Any
from urllib.parse import urlencode

import click

from relay.cli.asking import asked, operations_option, print_rows
from relay.cli.common import json_option, print_json


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
    told = asked(operations, "GET", f"/v1/deliveries?{urlencode(query)}")
    print_rows(told, as_json=as_json, rows="deliveries", line=_delivery_line)


@dlq_group.command()
@click.argument("delivery_ids", type=click.IntRange(1), nargs=-1, required=True)
@operations_option
@json_option
def replay(delivery_ids: tuple[int, ...], operations: str, *, as_json: bool) -> None:
    """Send deliveries that have ended once more: same id, same bytes, a new budget."""
    for delivery_id in delivery_ids:
        asked(operations, "POST", f"/v1/deliveries/{delivery_id}/replay")
    if as_json:
        print_json({"replayed": len(delivery_ids)})
    else:
        click.echo(f"{len(delivery_ids)} on their way again", err=True)


def _delivery_line(row: dict[str, Any]) -> str:
    last = row["lastStatus"] or row["lastFailure"] or "-"
    return f"{row['id']}\t{row['state']}\t{row['endpoint']}\t{row['type']}\t{row['attempts']} attempts\t{last}\t{row['recordedAt']}"
