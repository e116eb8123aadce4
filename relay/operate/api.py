"""The operator's routes, as their document tells them. A test holds this table against the doors themselves."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field

from relay.core.ids import ID_PATTERN
from relay.core.moments import RFC3339_PATTERN
from relay.ingest.documents import Methods, near_documents
from relay.openapi.document import Told, document
from relay.openapi.problem import problems
from relay.openapi.route import Answer, Body, Parameter, Route, Shape
from relay.operate import shapes
from relay.operate.queries import MOST_ROWS, LetterFilter

LINES = "application/x-ndjson"
PROMETHEUS = "text/plain"

_PROBES = (400, 403)
_ANY = (*_PROBES, 422, 503)
_STATES = Literal["pending", "inflight", "delivered", "exhausted", "expired", "superseded", "cancelled"]

DELIVERY = Parameter("id", "path", "The delivery's number.", Annotated[int, Field(ge=0, lt=10**18)])
SESSION = Parameter("id", "path", "The session's id.", Annotated[str, Field(pattern=ID_PATTERN)])
NAME = Parameter("name", "path", "The endpoint's name.", Annotated[str, Field(pattern="^[a-z0-9-]{1,64}$")])
LIMIT = Parameter(
    "limit", "query", "Rows of a page; 100 by default.", Annotated[int, Field(ge=1, le=MOST_ROWS)]
)
BEFORE = Parameter("before", "query", "`next` of the page before.", Annotated[int, Field(ge=1, lt=2**63)])
SINCE = Parameter("since", "query", "Not older than this.", Annotated[str, Field(pattern=RFC3339_PATTERN)])
OF_SESSION = Parameter("session", "query", "Of one session.")
OF_ENDPOINT = Parameter("endpoint", "query", "Of one endpoint.")


def _answer(shape: Shape, words: str, *statuses: int) -> tuple[Answer, ...]:
    return (Answer(200, words, (Body(shape),)), *problems(*_ANY, *statuses))


def _read(
    path: str, name: str, title: str, shape: Shape, *parameters: Parameter, tag: str, also: Sequence[int] = ()
) -> Route:
    return Route(
        "get", path, name, title, "", _answer(shape, "As it is now.", *also), parameters=parameters, tag=tag
    )


def _probe(path: str, name: str, title: str, shape: Shape) -> Route:
    bodies = (Body(shape),)
    answers = (Answer(200, "Yes.", bodies), Answer(503, "No, and why.", bodies), *problems(*_PROBES))
    return Route("get", path, name, title, "", answers, tag="health")


def _deed(
    path: str, name: str, title: str, answers: tuple[Answer, ...], *parameters: Parameter, **more: Any
) -> Route:
    return Route("post", path, name, title, more.pop("words", ""), answers, parameters=parameters, **more)


_COUNTED = {
    "type": "object",
    "properties": {
        "replayed": {"type": "integer"},
        "purged": {"type": "integer"},
        "found": {"type": "integer"},
        "leftOut": {"type": "integer"},
        "more": {"type": "boolean"},
    },
}
_FILTER_WORDS = (
    "By a filter; one that narrows nothing is refused. 10,000 a call: `more` where others are left."
)
_FILTER = (Body(LetterFilter, example={"endpoint": "tracker", "state": "exhausted", "dryRun": True}),)
_DRY = Answer(200, "What would be done (`dryRun`).", (Body(_COUNTED),))
_FILTERED = problems(*_ANY, 404, 408, 413, 415)
_FLAG = {"type": "object"}

ROUTES = (
    _probe("/healthz", "isAlive", "Is the loop alive", shapes.Alive),
    _probe("/readyz", "isReady", "Would a request succeed", shapes.Readiness),
    Route(
        "get",
        "/metrics",
        "getMetrics",
        "Figures for Prometheus",
        "",
        (Answer(200, "Text or OpenMetrics.", (Body(str, PROMETHEUS),)), *problems(*_PROBES, 503)),
        tag="health",
    ),
    _read("/v1/metrics", "getFigures", "Display rate, attempts, the last hundred of the audit", _FLAG, tag="health"),
    _read("/v1/sessions", "getSessions", "Who is alive", shapes.Sessions, LIMIT, tag="sessions"),
    _read("/v1/sessions/{id}", "getSession", "One live session", shapes.SessionShown, SESSION, tag="sessions", also=(404,)),
    _deed(
        "/v1/sessions/{id}/purge",
        "purgeSession",
        "Forget all that was recorded of a session",
        _answer(shapes.Purged, "Forgotten; what it does next is recorded.", 404),
        SESSION,
        Parameter("gateway", "query", "In one gateway only."),
        tag="sessions",
    ),
    Route(
        "get",
        "/v1/audit",
        "getAudit",
        "Broadcast attempts, newest first",
        "As NDJSON where `Accept` asks for it, then all of them.",
        (
            Answer(200, "A page, or every row as a line.", (Body(shapes.AuditPage), Body(str, LINES))),
            *problems(*_ANY),
        ),
        parameters=(OF_SESSION, SINCE, LIMIT, BEFORE),
        tag="sessions",
    ),
    _read(
        "/v1/deliveries",
        "getDeliveries",
        "Callbacks, newest first",
        shapes.DeliveryPage,
        Parameter("state", "query", "`exhausted` are the dead letters.", _STATES),
        OF_ENDPOINT,
        OF_SESSION,
        SINCE,
        LIMIT,
        BEFORE,
        tag="deliveries",
    ),
    _read("/v1/deliveries/{id}", "getDelivery", "One, whole", shapes.DeliveryWhole, DELIVERY, tag="deliveries", also=(404,)),
    _read("/v1/deliveries/{id}/attempts", "getAttempts", "How often, and how it went", shapes.AttemptPage, DELIVERY, tag="deliveries", also=(404,)),
    _read(
        "/v1/attempts",
        "getEndpointAttempts",
        "An endpoint's attempts",
        shapes.AttemptPage,
        Parameter("endpoint", "query", "Of this endpoint.", is_required=True),
        SINCE,
        LIMIT,
        Parameter("before", "query", "`next` of the page before."),
        tag="deliveries",
        also=(404,),
    ),
    _read(
        "/v1/why",
        "why",
        "Why an event was delivered, or was not",
        shapes.Verdicts,
        Parameter("event", "query", "Its webhook-id (`msg_…`).", is_required=True),
        OF_ENDPOINT,
        tag="deliveries",
    ),
    _deed(
        "/v1/deliveries/{id}/replay",
        "replay",
        "Send one that has ended once more",
        (Answer(202, "On its way: same id, same bytes, a new budget.", (Body(_FLAG),)), *problems(*_ANY, 404)),
        DELIVERY,
        tag="deliveries",
    ),
    _deed(
        "/v1/deliveries/replay",
        "replayMany",
        "Send dead letters once more",
        (_DRY, Answer(202, "On their way.", (Body(_COUNTED),)), *_FILTERED),
        words=_FILTER_WORDS,
        bodies=_FILTER,
        tag="deliveries",
    ),
    _deed(
        "/v1/deliveries/purge",
        "purgeMany",
        "Forget dead letters",
        (Answer(200, "Forgotten, or what would be.", (Body(_COUNTED),)), *_FILTERED),
        words=_FILTER_WORDS,
        bodies=_FILTER,
        tag="deliveries",
    ),
    _read("/v1/endpoints", "getEndpoints", "Every tracker", shapes.Endpoints, tag="endpoints"),
    _deed("/v1/endpoints/{name}/pause", "pause", "Hold its deliveries", _answer(_FLAG, "Held, over restarts.", 404), NAME, tag="endpoints"),
    _deed("/v1/endpoints/{name}/resume", "resume", "Take it for mended", _answer(shapes.Resumed, "Taken back, and what waits is due.", 404), NAME, tag="endpoints"),
    _deed("/v1/endpoints/{name}/test", "test", "Try it now", _answer(shapes.Tested, "Tried, whatever it answered.", 404), NAME, tag="endpoints"),
    _deed(
        "/v1/reload",
        "reload",
        "Read the settings again",
        _answer(shapes.Reloaded, "What changed is taken over."),
        words="All of what changed or none of it.",
        tag="settings",
    ),
    _read("/openapi.json", "getDocument", "This document", _FLAG, tag="documentation"),
    Route(
        "get",
        "/docs",
        "getPage",
        "This document, for people",
        "",
        (Answer(200, "The page.", (Body(str, "text/html"),)), *problems(*_ANY)),
        tag="documentation",
    ),
)  # fmt: skip

_QUERIES = tuple(
    (re.compile(re.sub(r"{\w+}", "[^/]+", one.path)), tuple(each.name for each in one.parameters if each.place == "query"))
    for one in ROUTES
)  # fmt: skip


def query_names(path: str) -> tuple[str, ...]:
    """What may be asked under this path."""
    return next((names for pattern, names in _QUERIES if pattern.fullmatch(path)), ())


TOLD = Told(
    "Typing Relay, operations",
    "Health, sessions, deliveries and what was done.",
    "For the operator, on a listener that accepts this machine alone. Errors are problem documents (RFC 9457).",
)
TAGS = {
    "health": "For probes and scrapers.",
    "sessions": "Who is alive, and what was shown.",
    "deliveries": "What trackers are told, and dead letters.",
    "endpoints": "The trackers themselves.",
    "settings": "The configuration in force.",
    "documentation": "What this listener serves.",
}


def operator_document() -> dict[str, Any]:
    return document(TOLD, ROUTES, tags=TAGS)


@cache
def operator_documents() -> dict[str, Methods]:
    return near_documents(operator_document())
