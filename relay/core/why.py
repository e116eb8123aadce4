"""Why an event was delivered to an endpoint, or was not, or not yet: one verdict, one sentence.

    event? ──no──► unknown
      │ delivery of it? ──no──► filtered (by what) │ unknown endpoint │ not meant (when it was recorded)
      │ ended? ──yes──► delivered │ exhausted │ expired │ superseded │ cancelled
      │ on its way? ──► in flight
      └ waiting: for its endpoint (disabled, paused, circuit, Retry-After), for the one before it in its session,
                 for its next attempt, for a place

Everything is a value as it was at one instant; the order above is the order of the answers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from relay.core.delivery import Filter, State, matches
from relay.core.moments import UnixMs, rfc3339
from relay.core.notice import is_operational


class Why(StrEnum):
    """What a program may branch on."""

    UNKNOWN_EVENT = "unknown_event"
    UNKNOWN_ENDPOINT = "unknown_endpoint"
    FILTERED = "filtered"
    NOT_MEANT = "not_meant"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    IN_FLIGHT = "in_flight"
    UNCONFIGURED = "unconfigured"
    DISABLED = "disabled"
    PAUSED = "paused"
    CIRCUIT_OPEN = "circuit_open"
    HELD_BACK = "held_back"
    BEHIND = "behind"
    NEXT_ATTEMPT = "next_attempt"
    PLACE = "place"
    DUE = "due"


@dataclass(frozen=True, slots=True)
class Event:
    """What filters look at. `source` is empty where it was not recorded."""

    kind: str
    gateway: str
    source: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A delivery as it stands. `attempts` are those of its present budget, `last` is how the latest went.

    `is_shed`: it was cancelled because its endpoint held more of the outbox's room than was free.
    """

    state: State
    attempts: int
    due: UnixMs | None = None
    finished_at: UnixMs | None = None
    last: str | None = None
    waits_for: str | None = None
    superseded_by: str | None = None
    is_shed: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """What may keep an endpoint's deliveries back, of several the first that is given.

    `reason` belongs to `disabled_since` or `paused_since`. `held_until`: the receiver asked for a pause (Retry-After),
    or its rate limit. `is_full`: every place is taken.
    """

    disabled_since: UnixMs | None = None
    paused_since: UnixMs | None = None
    reason: str = ""
    circuit_open_until: UnixMs | None = None
    held_until: UnixMs | None = None
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """`at` is when it happened, or until when it waits; `event_id` the other event the sentence is about."""

    why: Why
    sentence: str
    at: UnixMs | None = None
    event_id: str | None = None


def unknown(recorded_at: UnixMs | None, *, now: UnixMs, kept_ms: UnixMs) -> Verdict:
    """No such event is kept. `recorded_at` is the time in its id, None for no id of ours."""
    if recorded_at is None:
        return Verdict(Why.UNKNOWN_EVENT, "this is no event's id: they are msg_ and a UUIDv7")
    if recorded_at > now:
        return Verdict(Why.UNKNOWN_EVENT, "this id is of a time to come: it is not from this relay")
    if recorded_at <= now - kept_ms:
        words = f"it would be of {rfc3339(recorded_at)}, which is past the retention: nothing is known of it any more"
        return Verdict(Why.UNKNOWN_EVENT, words)
    words = "no such event is kept: no endpoint wanted it, it was purged, or history_rows left no room for it"
    return Verdict(Why.UNKNOWN_EVENT, words)


def verdict(
    event: Event, progress: Progress | None, wants: Filter | None, holding: Holding, *, now: UnixMs
) -> Verdict:
    """`progress` is None where the endpoint has no delivery of it, `wants` where it is not configured."""
    if progress is None:
        return _absent(event, wants)
    if progress.state is State.PENDING:
        return _waiting(progress, holding, now, is_configured=wants is not None)
    if progress.state is State.INFLIGHT:
        words = f"attempt {progress.attempts + 1} is on its way; its lease ends {_time(progress.due)}"
        return Verdict(Why.IN_FLIGHT, words, progress.due)
    return _ended(progress)


def mismatches(event: Event, wants: Filter) -> Iterator[str]:
    """The parts of a filter that do not admit this event. An operational one must be asked for by its own name."""
    if is_operational(event.kind):
        if not matches(tuple(filter(is_operational, wants.events)), event.kind):
            yield "events"
        return
    if not matches(wants.events, event.kind):
        yield "events"
    if not matches(wants.gateways, event.gateway):
        yield "gateways"
    if event.source and not matches(wants.sources, event.source):
        yield "sources"


def _absent(event: Event, wants: Filter | None) -> Verdict:
    if wants is None:
        return Verdict(Why.UNKNOWN_ENDPOINT, "no endpoint of this name is configured, and it has no delivery")
    parts = ", ".join(mismatches(event, wants))
    if parts:
        said = f"type {event.kind}, gateway {event.gateway}, source {event.source or 'not recorded'}"
        return Verdict(Why.FILTERED, f"filtered: its {parts} do not admit it ({said})")
    words = (
        "its filter admits the event now: when it was recorded the endpoint was not configured so, "
        "or its delivery has been purged or is past its retention"
    )
    if is_operational(event.kind):
        words = "an event about an endpoint is never told to that endpoint, nor while it was not asked for"
    return Verdict(Why.NOT_MEANT, words)


def _ended(progress: Progress) -> Verdict:
    at, last, other = progress.finished_at, progress.last, None
    tries = f"{progress.attempts} attempt{'s' if progress.attempts != 1 else ''}"
    after = f"{tries}, the last of which brought {last}" if last and progress.attempts else tries
    match progress.state:
        case State.DELIVERED:
            words = f"delivered {_time(at)} after {after}"
        case State.EXHAUSTED:
            words = f"given up {_time(at)} after {after}: a dead letter, which can be replayed"
        case State.EXPIRED:
            words = f"expired {_time(at)} after {tries}: it was no longer worth telling; it can be replayed"
        case State.SUPERSEDED:
            other = progress.superseded_by
            words = f"superseded {_time(at)} by a newer event of its session{f', {other}' if other else ''}"
        case _ if progress.is_shed:
            words = (
                f"cancelled {_time(at)} when it was recorded: its endpoint held more of the outbox than was free; "
                "it can be replayed"
            )
        case _:
            words = (
                f"cancelled {_time(at)} after {after}: the endpoint was disabled or gone; it can be replayed"
            )
    return Verdict(Why(progress.state.value), words, at, other)


def _waiting(progress: Progress, holding: Holding, now: UnixMs, *, is_configured: bool) -> Verdict:
    if not is_configured:
        words = "it waits for an endpoint of this name to be configured again, and is cancelled like a dead letter"
        return Verdict(Why.UNCONFIGURED, words)
    if holding.disabled_since is not None:
        words = f"its endpoint is disabled since {_time(holding.disabled_since)}: {holding.reason}; resume it"
        return Verdict(Why.DISABLED, words, holding.disabled_since)
    if holding.paused_since is not None:
        words = f"its endpoint is paused since {_time(holding.paused_since)}: {holding.reason}; resume it"
        return Verdict(Why.PAUSED, words, holding.paused_since)
    if progress.due is None:
        other = progress.waits_for
        words = f"it waits for the one before it in its session{f', {other}' if other else ''}"
        return Verdict(Why.BEHIND, words, event_id=other)
    return _due(progress, progress.due, holding, now)


def _due(progress: Progress, due: UnixMs, holding: Holding, now: UnixMs) -> Verdict:
    """Of what it waits for, what ends last."""
    opens, held = holding.circuit_open_until, holding.held_until
    if opens is not None and opens > max(due, now):
        words = (
            f"its endpoint fails too often and is not asked until {_time(opens)}; no attempt is spent by that"
        )
        return Verdict(Why.CIRCUIT_OPEN, words, opens)
    if held is not None and held > max(due, now):
        words = f"its endpoint asked for a pause, or its rate limit holds it, until {_time(held)}"
        return Verdict(Why.HELD_BACK, words, held)
    if due > now:
        last = f": the one before brought {progress.last}" if progress.last and progress.attempts else ""
        words = f"attempt {progress.attempts + 1} is due {_time(due)}{last}"
        return Verdict(Why.NEXT_ATTEMPT, words, due)
    if holding.is_full:
        return Verdict(Why.PLACE, f"due since {_time(due)}: it waits for one of the places to be free", due)
    return Verdict(Why.DUE, f"due since {_time(due)}: it is claimed any moment", due)


def _time(at: UnixMs | None) -> str:
    return "at an unknown time" if at is None else rfc3339(at)
