"""The reasons a request is turned away, as `Rejected` values; no word of the request is repeated in them."""

import re
from collections.abc import Sequence
from functools import cache

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from relay.core.moments import Ms
from relay.errors import Rejected

Place = tuple[str | int, ...]
Problem = tuple[Place, str]
"""(path to the field: an index in a batch, then names; what is wanted there)."""

_LISTED_AT_MOST = 50
_COUNTED_AT_MOST = 2000
"""Past this many the list is not even built. Larger heaps of junk are not read at all: see `events.refuse_junk`."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NOT_JSON = "json_invalid"


class BadField(Exception):  # noqa: N818 - names the field's state; it never leaves this room
    """One field of one event is not as wanted; `place` is its path within the event."""

    def __init__(self, place: Place, words: str) -> None:
        super().__init__(words)
        self.place = place
        self.words = words


class WrongMethod(Rejected):
    """405; `allowed` is what the path does serve."""

    def __init__(self, allowed: str) -> None:
        super().__init__(405, "Method not allowed", "see the Allow header for what is served here")
        self.allowed = allowed


class Unread(Rejected):
    """The rest of the body cannot or will not be read: the connection ends with the answer."""


def rejected(problems: Sequence[Problem]) -> Rejected:
    """422 with the place of each bad field."""
    return Rejected(
        422,
        "Unprocessable event",
        f"{len(problems)} field(s) are not as wanted; nothing was applied",
        problems=tuple((_dotted(place), words) for place, words in problems[:_LISTED_AT_MOST]),
    )


def wire_problems(why: ValidationError, form: type, *, index: int | None = None) -> Rejected:
    """400 for a body that is not JSON, else 422. `form` is what was wanted, `index` the place of the line it is about."""
    count = why.error_count()
    if count > _COUNTED_AT_MOST:
        return Rejected(422, "Unprocessable event", f"{count} fields are not as wanted; nothing was applied")
    errors = why.errors(include_url=False, include_context=False, include_input=False)
    if index is None and errors[0]["type"] == _NOT_JSON:
        return not_json(errors[0]["msg"])
    prefix: Place = () if index is None else (index,)
    return rejected([(prefix + error["loc"], _words(error, form)) for error in errors])


def not_json(words: str = "Invalid JSON: the body is empty") -> Rejected:
    return Rejected(400, "Not JSON", words)


def too_many_events(limit: int) -> Rejected:
    return Rejected(
        413, "Too many events", f"at most {limit} events are taken at once here; send the rest after them"
    )


def too_many_blank_lines(limit: int) -> Rejected:
    return Rejected(413, "Too many lines", f"at most {limit} blank lines are skipped in one request")


def too_many(rate: str, wait_ms: Ms) -> Rejected:
    """429 for what is beyond a rate, named with its owner."""
    return Rejected(
        429,
        "Too much",
        f"{rate} is used up; send less, or come back when Retry-After says",
        retry_after_s=wait_ms / 1000,
    )


def too_large(limit_bytes: int) -> Rejected:
    return Unread(413, "Body too large", f"at most {limit_bytes} bytes are taken here")


def _words(error: ErrorDetails, form: type) -> str:
    if error["type"] == "extra_forbidden":
        return _unknown([part for part in error["loc"] if isinstance(part, str)], form)
    if error["type"] == _NOT_JSON:
        return error["msg"].replace(
            " at line 1 column ", " at column "
        )  # one of several, each a line by itself
    return error["msg"].removeprefix("Value error, ")


def _unknown(path: Sequence[str], form: type) -> str:
    """Near is what begins alike, whatever its case and signs: `session_id`, `sequence`, `duration` for `durationMs`."""
    asked = _plain(path[0]) if len(path) == 1 else ""
    for known, name in _names(form):
        if asked.startswith(known) or (len(asked) > 1 and known.startswith(asked)):
            return f"no field has this name; did you mean `{name}`?"
    return "no field has this name; message text and other content never enter here"


@cache
def _names(form: type) -> Sequence[tuple[str, str]]:
    return [(_plain(name), name) for name in form.__annotations__]


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _dotted(place: Place) -> str:
    """`3.actor.id`. A name of the caller's own making is only repeated where it is one."""
    return ".".join(str(part) if isinstance(part, int) or _NAME.fullmatch(part) else "?" for part in place)
