"""What the commands about a running relay share: asking its operations port, and printing what it told."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import click

from relay import wire
from relay.cli.addressing import WANTED, Address, address_option, unanswered
from relay.cli.common import CANNOT, NO, fail, print_json, refused_with

TIMEOUT_S = 10.0
PART_BYTES = 65_536

ELSEWHERE = "what answers there is no operations listener, the relay's public one perhaps"

operations_option = address_option("--operations", "Where the running relay's operations listener is.")


class Refusal(NamedTuple):
    """What the relay did not do, and why, in its own words."""

    words: str
    code: int = NO


def asked(
    operations: Address, method: str, path: str, body: wire.Json = None, *, timeout_s: float = TIMEOUT_S
) -> Any:  # Any: JSON
    """The relay's answer; anything but a success ends the command with the relay's own words."""
    told = tried(operations, method, path, body, timeout_s=timeout_s)
    if isinstance(told, Refusal):
        fail(told.words, code=told.code)
    return told


def tried(
    operations: Address, method: str, path: str, body: wire.Json = None, *, timeout_s: float = TIMEOUT_S
) -> Any:  # Any: JSON, or a Refusal
    """As `asked`, for whoever goes on after a refusal; that nobody answers still ends the command."""
    with _asking(operations, timeout_s) as connection:
        connection.request(method, path, *_sent(body))
        response = connection.getresponse()
        if response.status >= 400:
            return _refusal(response, connection)
        return wire.loads(response.read())


def parts_of(operations: Address, path: str) -> Iterator[bytes]:
    """An NDJSON answer as it comes; what goes wrong ends the command, also half-way: nothing is cut off in silence."""
    with _asking(operations, TIMEOUT_S) as connection:
        connection.request("GET", path, headers={"Accept": "application/x-ndjson"})
        response = connection.getresponse()
        if response.status >= 400:
            refusal = _refusal(response, connection)
            fail(refusal.words, code=refusal.code)
        while part := response.read1(PART_BYTES):  # its lines would end quietly where the connection is lost
            yield part


@contextmanager
def _asking(operations: Address, timeout_s: float) -> Iterator[http.client.HTTPConnection]:
    """Until it is closed; no relay there, or none that speaks HTTP and JSON, ends the command."""
    try:
        with closing(
            http.client.HTTPConnection(operations.host, operations.port, timeout=timeout_s)
        ) as connection:
            yield connection
    except (OSError, http.client.HTTPException, UnicodeError) as why:
        fail(unanswered(operations, why, "--operations"), code=CANNOT)
    except wire.NotJson:
        fail(f"--operations: {ELSEWHERE}; {WANTED}", code=CANNOT)


def _refusal(response: http.client.HTTPResponse, connection: http.client.HTTPConnection) -> Refusal:
    """In the relay's own words; where nothing is there of what is asked for it may be another listener, which ends it."""
    told = wire.loads(response.read())
    if response.status == 404 and not _tells_readiness(connection):
        fail(f"--operations: {ELSEWHERE}; {WANTED}", code=CANNOT)
    words = told.get("detail") if isinstance(told, dict) else None
    return Refusal(str(words or f"the relay answered {response.status}"), refused_with(response.status))


def _tells_readiness(connection: http.client.HTTPConnection) -> bool:
    """Only an operations listener does: the public one knows no such path, nor does the stand-in platform."""
    connection.request("GET", "/readyz")
    response = connection.getresponse()
    response.read()
    return response.status != 404


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
