"""The problem document (RFC 9457), and the answers that hold one: said once, for both listeners."""

import sys
from typing import Literal, Required

from relay.openapi.document import PROBLEM_JSON
from relay.openapi.route import Answer, Body

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict  # pydantic reads no other before 3.12


class FieldProblem(TypedDict):
    """`loc` is the path to the field: an index in a batch, then names."""

    loc: str
    msg: str


class Problem(TypedDict, total=False):
    """RFC 9457. Never repeats a value of the request. `frame` and `retryAfterS` are a stream's: there are no headers."""

    type: Required[Literal["about:blank"]]
    title: Required[str]
    status: Required[int]
    detail: Required[str]
    errors: list[FieldProblem]
    waitMs: int
    frame: int
    retryAfterS: float


_WORDS = {
    400: "Not JSON, or not HTTP as it should be.",
    401: "Not believed; one and the same answer, whatever is missing or wrong.",
    403: "The `Host` or the page is none of ours, or the credentials lack the scope.",
    404: "Nothing like this is here.",
    408: "The body did not arrive within five seconds.",
    409: "The session is not active.",
    413: "The body is too large, or holds too many events.",
    415: "Another media type is wanted, in UTF-8 and without Content-Encoding.",
    422: "Fields are not as wanted: `errors` names each by its place. Nothing was applied.",
    426: "A WebSocket is wanted here.",
    429: "Too much for now: the source's rates, the cap on sessions, or the session's interval (`waitMs`).",
    502: "The platform refused or failed.",
    503: "Not now: stopping, starting, or out of room.",
    504: "The platform did not answer in time.",
}
_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
_PROBLEM = (Body(Problem, PROBLEM_JSON),)


def problems(*statuses: int, words: dict[int, str] | None = None) -> tuple[Answer, ...]:
    """An answer for each status; `words` replace the usual ones."""
    told = _WORDS | (words or {})
    return tuple(Answer(status, told[status], _PROBLEM, _HEADERS.get(status, ())) for status in statuses)
