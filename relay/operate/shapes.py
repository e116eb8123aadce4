"""What the operator's doors answer, as shapes for their document; `views` makes the values, tests hold them together."""

import sys
from typing import Any

if sys.version_info >= (3, 12):
    from typing import NotRequired, TypedDict
else:
    from typing import NotRequired  # pydantic reads no other before 3.12

    from typing_extensions import TypedDict


class ActorShown(TypedDict):
    id: str
    state: str
    public: bool
    silentForMs: int | None
    thinkingId: str | None


class SessionShown(TypedDict):
    """A live session; spans are milliseconds from now, null where they do not apply."""

    gateway: str
    sessionId: str
    guestId: str | None
    state: str
    standing: str
    shown: str | None
    visibleForMs: int | None
    gateOpensInMs: int | None
    owesStop: bool
    tries: int
    givenUpForMs: int | None
    mutedBecause: str | None
    actors: list[ActorShown]


class Sessions(TypedDict):
    alive: int
    sessions: list[SessionShown]


class AuditEntry(TypedDict):
    """One broadcast attempt."""

    auditId: str
    timestamp: str
    gateway: str
    sessionId: str
    guestId: str | None
    source: str
    type: str
    durationMs: int
    cause: str
    success: bool
    status: int | None
    error: str | None
    message: str
    latencyMs: int
    attempts: int


class AuditPage(TypedDict):
    audit: list[AuditEntry]
    next: NotRequired[int]


class DeliveryShown(TypedDict):
    """One callback to one endpoint: where it stands."""

    id: int
    eventId: str
    type: str
    endpoint: str
    gateway: str
    sessionId: str
    state: str
    attempts: int
    recordedAt: str
    dueAt: str | None
    finishedAt: str | None
    lastStatus: int | None
    lastFailure: str | None


class DeliveryPage(TypedDict):
    deliveries: list[DeliveryShown]
    next: NotRequired[int]


class AttemptShown(TypedDict):
    """One POST as it went, with the first of the answer."""

    delivery: int
    number: int
    trigger: str
    startedAt: str
    status: int | None
    failure: str | None
    headersMs: float | None
    totalMs: float
    excerpt: str


class AttemptPage(TypedDict):
    attempts: list[AttemptShown]
    next: NotRequired[str]


class VerdictShown(TypedDict):
    """Why an event was delivered to an endpoint, or was not."""

    endpoint: str
    why: str
    sentence: str
    at: str | None
    event: str | None


class Verdicts(TypedDict):
    verdicts: list[VerdictShown]


class DeliveryWhole(DeliveryShown):
    """With the event's body, every attempt, and what happens next."""

    body: Any  # Any: JSON
    log: list[AttemptShown]
    why: VerdictShown


class FailingShown(TypedDict):
    """So many attempts in a row have failed since then, and how the last did."""

    since: str
    attempts: int
    last: str


class EndpointShown(TypedDict):
    """A tracker: active, paused or disabled, since when and why; its circuit; how many callbacks wait.

    `lastSuccess` is told to the minute, and null until there was one. `failing` is null unless the last attempt since
    the relay's start failed.
    """

    name: str
    state: str
    circuit: str | None
    reason: str | None
    since: str | None
    lastSuccess: str | None
    failing: FailingShown | None
    waiting: int


class Endpoints(TypedDict):
    endpoints: list[EndpointShown]


class Resumed(TypedDict):
    """`hurried`: so many that waited for a later attempt are due now, and those behind them in their sessions follow.

    `resumed`: it was paused or disabled. `more`: others still wait for their attempt; resume it once more.
    """

    resumed: bool
    was: str
    hurried: int
    more: bool


class Tested(TypedDict):
    """A signed `endpoint.test` as it went."""

    success: bool
    status: int | None
    failure: str | None
    headersMs: float | None
    totalMs: float
    answer: str


class Check(TypedDict):
    name: str
    ok: bool
    reason: str


class Readiness(TypedDict):
    """Every check, failing or not, with the reason."""

    status: str
    lagMs: float
    configGeneration: int
    checks: list[Check]
    version: str


class Alive(TypedDict):
    status: str


class Purged(TypedDict):
    """`waitingToLand`: on their way, and gone when they have landed."""

    events: int
    deliveries: int
    attempts: int
    audit: int
    waitingToLand: int
    alive: bool


class Reloaded(TypedDict):
    generation: int
    changed: list[str]
