"""Events from a terminal or a pipe to the running relay: for trying it, for scripts, for what a log kept."""

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from relay import wire
from relay.cli.addressing import PUBLIC, url_from
from relay.cli.common import CANNOT, NO, ending_well, fail, json_option, print_json

if TYPE_CHECKING:
    from relay.client import Answer, BlockingRelayClient

VARIABLE = "RELAY_URL"
KEY_VARIABLE = "RELAY_KEY"
STDIN = "-"
MOST_AT_ONCE = 500
MOST_LINE_BYTES = 65_536
"""What the relay takes for one event, by its default."""

READ_BYTES = 65_536

ADVICE = "is the relay running, and is this its public listener? --url says where"


_KEY = re.compile(r"[!-~]+")


class Said(NamedTuple):
    """One event, and where it was said."""

    place: str
    text: bytes


@dataclass(slots=True)
class Sums:
    """What became of the events that were read; of those not taken nobody said that they are wrong."""

    accepted: int = 0
    duplicates: int = 0
    stale: int = 0
    refused: int = 0
    not_taken: int = 0


@click.command()
@click.argument("events", metavar="EVENT...", nargs=-1, required=True)
@click.option(
    "--url",
    default=lambda: url_from(os.environ, PUBLIC),
    show_default="http://127.0.0.1:8080, or as RELAY_SERVER__HOST and RELAY_SERVER__PORT say",
    envvar=VARIABLE,
    show_envvar=True,
    help="The running relay's public listener.",
)
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Holds the API key; else {KEY_VARIABLE}, else none is sent.",
)
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(0.1, 3600),
    default=10.0,
    show_default=True,
    help="Seconds to wait for the relay to take what was said.",
)
@json_option
@ending_well
def send(
    events: tuple[str, ...], url: str, key_file: Path | None, patience_s: float, *, as_json: bool
) -> None:
    """Tell the running relay what happened. EVENT is a JSON object, or `-` for standard input, an event a line.

    Lines are sent as they come. One that is refused is told with its line and what is wanted, and keeps no other
    back. Exit code 1 where any was refused, 2 where the relay does not answer.
    """
    from relay.client import BlockingRelayClient  # noqa: PLC0415 - `typing-relay --help` need not load it

    logging.getLogger("relay.client").addHandler(
        logging.NullHandler()
    )  # the command says what there is to say
    key = _key(key_file)
    try:
        relay = BlockingRelayClient(url, key, patience_s=patience_s)
    except ValueError as why:
        raise click.UsageError(str(why)) from None
    sums = Sums()
    with relay:
        try:
            for part in _parts(events):
                _send(relay, part, sums)
        finally:
            _tell(sums, as_json=as_json)
    if sums.refused:
        sys.exit(NO)


def _key(path: Path | None) -> str | None:
    if path is None:
        key = os.environ.get(KEY_VARIABLE)
        return _usable(key, KEY_VARIABLE) if key else None
    try:
        key = path.read_text(errors="replace").strip()
    except OSError as why:
        raise click.UsageError(f"--key-file: it cannot be read: {why.strerror}") from None
    if not key:
        raise click.UsageError("--key-file: it is empty, and an API key is wanted")
    return _usable(key, "--key-file")


def _usable(key: str, whence: str) -> str:
    """As the client would have it, and by the name of where it was said."""
    if not _KEY.fullmatch(key):
        raise click.UsageError(f"{whence}: an API key is wanted, printable and without spaces or line breaks")
    return key


def _parts(events: Iterable[str]) -> Iterator[list[Said]]:
    """Of standard input what is there is a part: a line that has come waits for no other."""
    given: list[Said] = []
    for number, event in enumerate(events, start=1):
        if event == STDIN:
            yield given
            yield from _lines()
            given = []
        else:
            given.append(Said(f"event {number}", event.encode(errors="surrogateescape")))
    yield given


def _lines() -> Iterator[list[Said]]:
    """Of a line that is too long its beginning stands for it: what follows up to its end is read, and not kept."""
    number, left = 1, b""
    while read := sys.stdin.buffer.read1(READ_BYTES):  # type: ignore[union-attr]  # whatever stdin is, it has one
        *whole, left = (left + read).split(b"\n")
        yield [Said(f"line {at}", line) for at, line in enumerate(whole, start=number)]
        number += len(whole)
        left = left[: MOST_LINE_BYTES + 1]
    yield [Said(f"line {number}", left)]


def _send(relay: "BlockingRelayClient", said: Iterable[Said], sums: Sums) -> None:
    events = [one for one in said if one.text.strip() or _is_too_long(one)]
    sums.not_taken += len(events)
    for start in range(0, len(events), MOST_AT_ONCE):
        _sent(
            relay,
            [found for one in events[start : start + MOST_AT_ONCE] if (found := _event(one, sums))],
            sums,
        )


def _event(said: Said, sums: Sums) -> tuple[str, dict[str, wire.Json]] | None:
    if _is_too_long(said):
        _refused(said.place, f"longer than {MOST_LINE_BYTES} bytes, so it is no event", sums)
        return None
    try:
        event = wire.loads(said.text)
    except wire.NotJson as why:
        _refused(said.place, f"{why}; a JSON object is wanted", sums)
        return None
    if not isinstance(event, dict):
        _refused(said.place, "a JSON object is wanted", sums)
        return None
    return said.place, event


def _is_too_long(said: Said) -> bool:
    """Also of blanks: whether something follows them is not kept."""
    return len(said.text) > MOST_LINE_BYTES


def _sent(relay: "BlockingRelayClient", said: list[tuple[str, dict[str, wire.Json]]], sums: Sums) -> None:
    """Together where that will do; where one of them is refused each by itself."""
    from relay.client import Fault  # noqa: PLC0415 - as above

    answer = relay.send_many(event for _, event in said)
    if answer.trouble is None:
        sums.not_taken -= len(said)
        sums.accepted += answer.accepted
        sums.duplicates += answer.duplicates
        sums.stale += answer.stale
    elif answer.trouble.fault is Fault.AWAY:
        advice = "" if answer.trouble.status else f"; {ADVICE}"  # one that answered is there
        fail(f"from {said[0][0]} on nothing was taken: {answer.trouble.words}{advice}", code=CANNOT)
    elif answer.trouble.fault is Fault.REFUSED:
        fail(f"from {said[0][0]} on nothing was taken: {_words(answer)}", code=NO)
    elif len(said) == 1:
        _refused(said[0][0], _words(answer), sums)
    else:
        for one in said:
            _sent(relay, [one], sums)


def _words(answer: "Answer") -> str:
    assert answer.trouble is not None
    problems = [f"{place}: {words}" if place else words for place, words in answer.trouble.problems]
    return "; ".join(problems) or answer.trouble.words


def _refused(place: str, words: str, sums: Sums) -> None:
    sums.refused += 1
    sums.not_taken -= 1
    click.echo(f"typing-relay: {place}: {words}", err=True)


def _tell(sums: Sums, *, as_json: bool) -> None:
    told = asdict(sums)
    not_taken = told.pop("not_taken")
    if as_json:
        print_json(told | {"notTaken": not_taken})
        return
    if not_taken:
        told["not taken"] = not_taken
    click.echo(", ".join(f"{count} {what}" for what, count in told.items()), err=True)
