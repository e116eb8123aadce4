"""Questions to the running relay: why an event went where it went, and what was broadcast."""

import sys
from urllib.parse import urlencode

import click

from relay.cli.addressing import Address
from relay.cli.asking import asked, operations_option, parts_of, print_rows
from relay.cli.common import NO, json_option

UNKNOWN = frozenset({"unknown_event", "unknown_endpoint"})


@click.command()
@click.argument("event_id")
@click.option("--endpoint", help="Only at this one.")
@operations_option
@json_option
def why(event_id: str, endpoint: str | None, operations: Address, *, as_json: bool) -> None:
    """Say why an event was delivered to each endpoint, or was not. EVENT_ID is its webhook-id.

    Exit code 1 where no such event is kept, or there is no such endpoint.
    """
    query = {"event": event_id} | ({"endpoint": endpoint} if endpoint else {})
    told = asked(operations, "GET", f"/v1/why?{urlencode(query)}")
    print_rows(
        told, as_json=as_json, rows="verdicts", line=lambda row: f"{row['endpoint']}\t{row['sentence']}"
    )
    if any(row["why"] in UNKNOWN for row in told["verdicts"]):
        sys.exit(NO)


@click.command()
@click.option("--session", help="Only this session's.")
@click.option("--since", help="A time as in 2026-11-22T10:00:00Z.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@click.option("--all", "is_all", is_flag=True, help="All there is, instead of --limit.")
@operations_option
def audit(session: str | None, since: str | None, limit: int, operations: Address, *, is_all: bool) -> None:
    """Print broadcast attempts, newest first, as NDJSON. That is one JSON value a line."""
    query = {"session": session, "since": since, "limit": None if is_all else str(limit)}
    given = urlencode({name: value for name, value in query.items() if value is not None})
    for part in parts_of(operations, f"/v1/audit?{given}"):
        sys.stdout.buffer.write(part)
