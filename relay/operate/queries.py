"""What an operator may ask for: queries and bodies, checked before anything is looked for; nothing is repeated."""

import re
from collections.abc import Callable, Collection
from typing import Annotated, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from relay.core.delivery import State
from relay.core.moments import RFC3339_PATTERN, UnixMs, from_rfc3339
from relay.errors import Rejected
from relay.ingest.body import Form, form_of, read_body
from relay.outbox.rows import Pick

MOST_ROWS = 1000
BODY_BYTES = 16_384
BODY_TIMEOUT_S = 5.0

T = TypeVar("T")
Time = Annotated[str, StringConstraints(pattern=RFC3339_PATTERN, max_length=40)]

A_TIME = "wanted a time as in 2026-11-22T10:00:00Z"
NARROW = (
    "say which: at least one of endpoint, type, since, until is wanted, so that nothing is done to everything by "
    'mistake; type = "*" is every type'
)


class LetterFilter(BaseModel):
    """Which dead letters a deed is for."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    state: Literal["exhausted", "expired", "superseded", "cancelled"] = "exhausted"
    endpoint: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")] | None = None
    type: Annotated[str, StringConstraints(pattern=r"^([a-z0-9_.]{1,100}\*?|\*)$")] | None = None
    since: Time | None = None
    until: Time | None = None
    dry_run: bool = Field(default=False, alias="dryRun")


async def letter_filter(request: web.BaseRequest) -> tuple[Pick, bool]:
    """The body's filter, and whether nothing is to be done. Raises Rejected, also for a filter that narrows nothing."""
    form_of(request.headers, allowed=frozenset({Form.JSON}))
    body = await read_body(request, max_bytes=BODY_BYTES, timeout_s=BODY_TIMEOUT_S)
    try:
        asked = LetterFilter.model_validate_json(body)
    except ValidationError as why:
        raise _refused(why) from None
    since, until = _instant(asked.since, "since"), _instant(asked.until, "until")
    if (asked.endpoint, asked.type, since, until) == (None, None, None, None):
        raise Rejected(422, "Empty filter", NARROW)
    return Pick(State(asked.state), asked.endpoint, asked.type, since, until), asked.dry_run


def check_names(request: web.BaseRequest, known: Collection[str]) -> None:
    """Raises Rejected for a name that means nothing here: left out, it would widen what is asked for."""
    if request.rel_url.query.keys() <= set(known):
        return
    words = f"only {', '.join(known)}" if known else "nothing"
    raise Rejected(422, "Unknown query", f"{words} may be asked here")


def limit_of(request: web.BaseRequest, default: int | None = 100) -> int | None:
    """`limit`; raises Rejected."""
    said = request.rel_url.query.get("limit")
    if said is None:
        return default
    return _number(said, 1, MOST_ROWS, "limit")


def rows_of(request: web.BaseRequest) -> int:
    """`limit`, 100 where it is not given; raises Rejected."""
    return limit_of(request) or 100


def before_of(request: web.BaseRequest) -> int | None:
    """`before`, where the page before this one ended; raises Rejected."""
    said = request.rel_url.query.get("before")
    return None if said is None else _number(said, 1, 2**63 - 1, "before")


def since_of(request: web.BaseRequest) -> UnixMs | None:
    """`since`; raises Rejected."""
    return _instant(request.rel_url.query.get("since"), "since")


def state_of(request: web.BaseRequest) -> State | None:
    """`state`; raises Rejected."""
    known = ", ".join(state.value for state in State)
    return _read(request.rel_url.query.get("state"), State, f"state: wanted one of {known}")


def _number(said: str, least: int, most: int, name: str) -> int:
    is_number = len(said) <= len(str(most)) and said.isascii() and said.isdigit()
    if not is_number or not least <= int(said) <= most:
        raise Rejected(422, "Invalid query", f"{name}: wanted {least}..{most}")
    return int(said)


def _instant(said: str | None, name: str) -> UnixMs | None:
    def read(text: str) -> UnixMs:
        if not re.fullmatch(RFC3339_PATTERN, text):
            raise ValueError
        return from_rfc3339(text)  # which refuses the form of a time that is no such day or hour

    return _read(said, read, f"{name}: {A_TIME}")


def _read(said: str | None, read: Callable[[str], T], words: str) -> T | None:
    if said is None:
        return None
    try:
        return read(said)
    except ValueError:
        raise Rejected(422, "Invalid query", words) from None


_KINDS: dict[type, str] = {
    list: "an array",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _refused(why: ValidationError) -> Rejected:
    errors = why.errors(include_url=False, include_context=False)
    if errors[0]["type"] == "json_invalid":
        return Rejected(400, "Not JSON", "a JSON object with the filter is wanted")
    if not errors[0]["loc"]:  # of the body itself, and not of one of its keys
        seen = _KINDS[type(errors[0]["input"])]
        return Rejected(
            422,
            "Invalid filter",
            f"an object with the filter is wanted, and the body is {seen}; nothing was done",
        )
    problems = tuple((_place(error["loc"]), error["msg"]) for error in errors[:10])
    words = "; ".join(f"{place}: {msg}" for place, msg in problems)
    return Rejected(422, "Invalid filter", f"{words}; nothing was done", problems=problems)


def _place(loc: tuple[str | int, ...]) -> str:
    """Ours are named; a key we do not know is the caller's word."""
    ours = {"state", "endpoint", "type", "since", "until", "dryRun"}
    return next((str(part) for part in loc if part in ours), "a key that is not known")
