"""Commands about callbacks that ended without success, asked of the running relay: it alone holds the outbox's file."""

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import click

from relay import wire
from relay.cli.addressing import Address
from relay.cli.asking import Refusal, asked, operations_option, print_rows, tried
from relay.cli.common import CANNOT, NO, fail, json_option, print_json

DEAD = ("exhausted", "expired", "superseded", "cancelled")
LONG_S = 120.0
"""Ten thousand rows in slices, on a disk that is busy with better things."""

MOST_ID = 10**18 - 1
"""What the relay reads as a delivery's number."""

NARROW = (
    "at least one of --endpoint, --type, --since, --until is wanted, so that nothing is done to everything by mistake; "
    "--type '*' is every type"
)

AGAIN = "on their way again"

Command = TypeVar("Command", bound=Callable[..., Any])


def filter_options(command: Command) -> Command:
    """Which dead letters; all that is given must agree."""
    for option in (
        click.option("--until", help="Recorded before this time."),
        click.option("--since", help="Recorded at this time (2026-11-22T10:00:00Z) or later."),
        click.option("--type", help="An event's type; session.* for all that begin so, * for all."),
        click.option("--endpoint"),
        click.option("--state", type=click.Choice(DEAD), help="[default: exhausted]"),
    ):
        command = option(command)
    return command


@click.group("dlq")
def dlq_group() -> None:
    """Callbacks that have ended without success."""


@dlq_group.command("list")
@click.option("--state", default="exhausted", show_default=True)
@click.option("--endpoint")
@click.option("--limit", default=100, show_default=True)
@operations_option
@json_option
def list_(state: str, endpoint: str | None, limit: int, operations: Address, *, as_json: bool) -> None:
    """List deliveries, newest first. Exhausted ones, unless --state says another."""
    query = {"state": state, "limit": str(limit)} | ({"endpoint": endpoint} if endpoint else {})
    told = asked(operations, "GET", f"/v1/deliveries?{urlencode(query)}")
    print_rows(told, as_json=as_json, rows="deliveries", line=_delivery_line)


@dlq_group.command()
@click.argument("delivery_id", type=click.IntRange(1, MOST_ID))
@operations_option
@json_option
def show(delivery_id: int, operations: Address, *, as_json: bool) -> None:
    """Show one delivery: its event, its attempts, what happens next."""
    told = asked(operations, "GET", f"/v1/deliveries/{delivery_id}")
    if as_json:
        print_json(told)
        return
    click.echo(_delivery_line(told))
    click.echo(f"{told['eventId']}, session {told['sessionId']} at {told['gateway']}")
    click.echo(wire.dumps_pretty(told["body"]).decode(), nl=False)
    for attempt in told["log"]:
        click.echo(attempt_line(attempt))
    click.echo(told["why"]["sentence"])


@dlq_group.command()
@click.argument("endpoint")
@click.option("--since", help="A time as in 2026-11-22T10:00:00Z.")
@click.option("--limit", default=100, show_default=True)
@operations_option
@json_option
def attempts(endpoint: str, since: str | None, limit: int, operations: Address, *, as_json: bool) -> None:
    """List attempts at an ENDPOINT. Those of its newest deliveries come first."""
    query = {"endpoint": endpoint, "limit": str(limit)} | ({"since": since} if since else {})
    told = asked(operations, "GET", f"/v1/attempts?{urlencode(query)}")
    print_rows(told, as_json=as_json, rows="attempts", line=attempt_line)


@dlq_group.command()
@click.argument("delivery_ids", type=click.IntRange(1, MOST_ID), nargs=-1)
@filter_options
@click.option("--dry-run", is_flag=True, help="Say how many there are, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@operations_option
@json_option
def replay(
    delivery_ids: tuple[int, ...],
    operations: Address,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **said: str | None,
) -> None:
    """Send deliveries that have ended once more, by id or by a filter. Same id, same bytes, a new budget.

    Exit code 1 where one of the ids was not sent, or of all that a filter found none was.
    """
    narrowed = _filter(said)
    if delivery_ids and narrowed:
        raise click.UsageError("say ids or a filter, not both")
    if delivery_ids:
        _replay_each(operations, list(dict.fromkeys(delivery_ids)), as_json=as_json)
        return
    _check_narrow(narrowed, "say delivery ids or a filter")
    told = _by_filter(operations, "replay", narrowed, dry_run=dry_run, is_sure=yes)
    _say(told, "replayed", AGAIN, as_json=as_json)
    if told.get("leftOut") and not told["replayed"]:
        sys.exit(NO)


@dlq_group.command()
@filter_options
@click.option("--session", help="Everything recorded of this session, instead of dead letters by a filter.")
@click.option("--gateway", help="With --session: only at this gateway.")
@click.option("--dry-run", is_flag=True, help="Say how many there are, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@operations_option
@json_option
def purge(
    session: str | None,
    gateway: str | None,
    operations: Address,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **said: str | None,
) -> None:
    """Forget dead letters by a filter, or with --session one session. Of that all goes that was recorded."""
    narrowed = _filter(said)
    if session is None:
        _check_narrow(narrowed, "say a filter or --session")
        told = _by_filter(operations, "purge", narrowed, dry_run=dry_run, is_sure=yes)
        _say(told, "purged", "forgotten", as_json=as_json)
        return
    if narrowed or dry_run:
        raise click.UsageError("--session is purged whole: it goes with no filter and no --dry-run")
    _confirm("forget everything recorded of this session: events, deliveries, attempts, audit?", is_sure=yes)
    query = f"?{urlencode({'gateway': gateway})}" if gateway else ""
    told = asked(operations, "POST", f"/v1/sessions/{quote(session, safe='')}/purge{query}", timeout_s=LONG_S)
    _say_purged(told, as_json=as_json)


def _replay_each(operations: Address, delivery_ids: list[int], *, as_json: bool) -> None:
    """One that is refused keeps back no other; what was done is told also where the relay is lost half-way."""
    answers: dict[int, Any] = {}  # Any: JSON, or a Refusal
    try:
        for delivery_id in delivery_ids:
            answers[delivery_id] = tried(operations, "POST", f"/v1/deliveries/{delivery_id}/replay")
    finally:
        if answers:
            _say_each(answers, [one for one in delivery_ids if one not in answers], as_json=as_json)
    if any(isinstance(answer, Refusal) for answer in answers.values()):
        sys.exit(NO)


def _say_each(answers: dict[int, Any], unanswered: list[int], *, as_json: bool) -> None:
    refused = {one: answer.words for one, answer in answers.items() if isinstance(answer, Refusal)}
    replayed = len(answers) - len(refused)
    if as_json:
        told = {"replayed": replayed, "refused": [{"id": one, "why": why} for one, why in refused.items()]}
        print_json(told | ({"unanswered": unanswered} if unanswered else {}))
        return
    click.echo(f"{replayed or 'none'} {AGAIN}", err=True)
    for why in dict.fromkeys(refused.values()):
        click.echo(f"{_listed(one for one, words in refused.items() if words == why)}: {why}", err=True)
    if unanswered:
        click.echo(f"{_listed(unanswered)}: no answer, so the first of them may be on its way, too", err=True)


def _listed(delivery_ids: Iterable[int]) -> str:
    return ", ".join(map(str, delivery_ids))


def _by_filter(
    operations: Address, deed: str, narrowed: dict[str, str], *, dry_run: bool, is_sure: bool
) -> dict[str, Any]:  # Any: JSON
    path = f"/v1/deliveries/{deed}"
    found: dict[str, Any] = asked(operations, "POST", path, narrowed | {"dryRun": True}, timeout_s=LONG_S)
    if dry_run or not found["found"]:
        return found
    more = " or more" if found["more"] else ""
    _confirm(
        f"{deed} {found['found']}{more} {narrowed.get('state', 'exhausted')} deliveries?", is_sure=is_sure
    )
    told: dict[str, Any] = asked(operations, "POST", path, narrowed, timeout_s=LONG_S)
    return told


def _filter(said: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in said.items() if value is not None}


def _check_narrow(narrowed: dict[str, str], words: str) -> None:
    """The relay would say so as well, in its own names for them."""
    if not narrowed.keys() - {"state"}:
        raise click.UsageError(f"{words}: {NARROW}")


def _confirm(question: str, *, is_sure: bool) -> None:
    """Asks a person; a program must have said --yes."""
    if is_sure:
        return
    if not sys.stdin.isatty():
        fail("nothing was done: say --yes, since there is no terminal to ask at", code=CANNOT)
    if not click.confirm(question, err=True):
        fail("nothing was done", code=NO)


def _say(told: dict[str, Any], deed: str, words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    found = told["found"] + told.get("leftOut", 0)
    click.echo(f"{told[deed]} {words}" if told[deed] else f"none {words}; {found} found", err=True)
    if told.get("leftOut"):
        click.echo(f"{told['leftOut']} left out: their endpoints are disabled or not configured", err=True)
    if told.get("more"):
        click.echo("more are left: one call takes 10,000; run it again", err=True)


def _say_purged(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    click.echo(
        f"forgotten: {told['events']} events, {told['deliveries']} deliveries, {told['attempts']} attempts, "
        f"{told['audit']} audit rows",
        err=True,
    )
    if told["waitingToLand"]:
        click.echo(f"{told['waitingToLand']} are on their way and go when they have landed", err=True)
    if told["alive"]:
        click.echo("the session is still alive: what it does from now on is recorded", err=True)


def _delivery_line(row: dict[str, Any]) -> str:
    last = row["lastStatus"] or row["lastFailure"] or "-"
    return f"{row['id']}\t{row['state']}\t{row['endpoint']}\t{row['type']}\t{row['attempts']} attempts\t{last}\t{row['recordedAt']}"


def attempt_line(row: dict[str, Any]) -> str:
    """One attempt; the first line of what was answered is at its end."""
    went = row["status"] or row["failure"]
    excerpt = next(iter(row["excerpt"].splitlines()), "")
    return f"{row['delivery']}\t#{row['number']}\t{row['trigger']}\t{went}\t{row['totalMs']} ms\t{row['startedAt']}\t{excerpt[:100]}"
