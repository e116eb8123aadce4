"""Commands about trackers, asked of the running relay: it alone sends to them."""

import re
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click

from relay.cli.addressing import Address
from relay.cli.asking import asked, operations_option, print_rows
from relay.cli.common import NO, json_option, plain, print_json

LONGEST_TEST_S = 130.0
"""An endpoint's timeout is two minutes at most."""


LONGEST_RESUME_S = 130.0
"""A hundred commits at most, on a disk that may be slow."""


MOST_ANSWER = 200
REDIRECTED = "redirects are not followed: set its url to the final address"


@click.group("endpoints")
def endpoints_group() -> None:
    """Trackers, and whether they are sent anything."""


@endpoints_group.command("list")
@operations_option
@json_option
def list_endpoints(operations: Address, *, as_json: bool) -> None:
    """List every endpoint: its state, what waits for it, and why.

    Its circuit, too, where that is not closed; and where its last attempts failed, how many and how, and what succeeded last.
    """
    told = asked(operations, "GET", "/v1/endpoints")
    print_rows(told, as_json=as_json, rows="endpoints", line=_endpoint_line)


@endpoints_group.command()
@click.argument("name")
@operations_option
@json_option
def pause(name: str, operations: Address, *, as_json: bool) -> None:
    """Send an endpoint nothing until it is resumed. What is recorded for it waits, over restarts too."""
    told = asked(operations, "POST", _path(name, "pause"))
    _say(told, "paused" if told["paused"] else f"it was {told['state']} already", as_json=as_json)


@endpoints_group.command()
@click.argument("name")
@operations_option
@json_option
def resume(name: str, operations: Address, *, as_json: bool) -> None:
    """Say that an endpoint is mended: what waits is due now.

    Whatever its state, and whenever its next attempts were to be. One that was paused or disabled is taken back; one whose
    circuit is open is tried now, and gets the rest once that succeeds. What it missed while it was disabled can be replayed
    (`dlq list --state cancelled`).
    """
    told = asked(operations, "POST", _path(name, "resume"), timeout_s=LONGEST_RESUME_S)
    _say(told, f"{_was(told)}; {_hurried(told)}", as_json=as_json)


@endpoints_group.command()
@click.argument("name")
@operations_option
@json_option
def test(name: str, operations: Address, *, as_json: bool) -> None:
    """Send an endpoint a signed event, now, and tell what came of it.

    The event is of type endpoint.test. It goes out whatever the endpoint's state, is recorded nowhere and counts for nothing. Exit code 1: it did not succeed.
    """
    told = asked(operations, "POST", _path(name, "test"), timeout_s=LONGEST_TEST_S)
    _say(told, "\n".join(_tested_lines(told)), as_json=as_json)
    if not told["success"]:
        sys.exit(NO)


def _was(told: dict[str, Any]) -> str:
    return f"resumed; it was {told['was']}" if told["resumed"] else "it was neither paused nor disabled"


def _hurried(told: dict[str, Any]) -> str:
    if not told["hurried"]:
        return "nothing waited for a later attempt"
    many = (
        f"{told['hurried']} that waited for a later attempt {'is' if told['hurried'] == 1 else 'are'} due now"
    )
    rest = "; resume it once more for the rest" if told["more"] else ""
    return f"{many}, and those behind in the same sessions follow{rest}"


def _path(name: str, deed: str) -> str:
    return f"/v1/endpoints/{quote(name, safe='')}/{deed}"


def _say(told: Any, words: str, *, as_json: bool) -> None:  # Any: JSON
    if as_json:
        print_json(told)
    else:
        click.echo(words, err=True)


def _tested_lines(told: dict[str, Any]) -> Iterator[str]:
    came = told["failure"] if told["status"] is None else f"answered {told['status']}"
    if told["status"] is not None and 300 <= told["status"] < 400:
        came = f"{came} ({REDIRECTED})"
    yield f"{'ok' if told['success'] else 'failed'}: {came} in {told['totalMs']} ms"
    if told["answer"]:
        yield plain(" ".join(told["answer"].split()), most=MOST_ANSWER)


def _endpoint_line(row: dict[str, Any]) -> str:
    circuit = f"circuit {row['circuit']}" if row["circuit"] not in (None, "closed") else ""
    state = ", ".join(filter(None, (row["state"], row["failing"] and "failing", circuit)))
    reason = f"{row['reason']} since {row['since']}" if row["reason"] else ""
    return "\t".join(filter(None, (row["name"], state, f"{row['waiting']} waiting", reason, _failing(row))))


def _failing(row: dict[str, Any]) -> str:
    failing = row["failing"]
    if failing is None:
        return ""
    many = f"{failing['attempts']} attempt{'' if failing['attempts'] == 1 else 's'} in a row failed"
    success = f"last success {row['lastSuccess']}" if row["lastSuccess"] else "none succeeded yet"
    redirected = f" ({REDIRECTED})" if re.fullmatch("it answered 3[0-9]{2}", failing["last"]) else ""
    return f"{many} since {failing['since']}, the last: {failing['last']}{redirected}; {success}"
