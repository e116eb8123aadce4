"""What reached the stand-in platform, and what a guest saw of it: pure, so that a test can ask about any instant."""

from collections.abc import Iterable
from dataclasses import dataclass

from relay.core.indicator import Indicator
from relay.core.moments import Ms, UnixMs


@dataclass(frozen=True, slots=True)
class Arrival:
    """One typing call. `is_applied`: the guest sees it, which a call answered 5xx or not at all may be too.

    In a conversation `session_id` is the conversation's, and `guest_id` the communication of the agent who types.
    """

    at: Ms
    wall: UnixMs
    session_id: str
    guest_id: str
    indicator: Indicator | None
    duration_ms: int
    status: int
    is_applied: bool


@dataclass(frozen=True, slots=True)
class Cleared:
    """The guest's client has put away what it showed, without a typing call: a message came, or it was all over."""

    at: Ms
    session_id: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Something on the guest's screen from `since` until just before `until`."""

    indicator: Indicator
    since: Ms
    until: Ms


def shown_spans(seen: Iterable[Arrival | Cleared], session_id: str) -> list[Shown]:
    """What the guest of `session_id` saw, in order: each indicator ends with its duration, the next one or a message.

    `seen` is in the order in which it happened. Nothing joins two equal spans: a refresh begins a new one.
    """
    spans: list[Shown] = []
    for each in seen:
        if each.session_id != session_id or not _is_seen(each):
            continue
        if spans and spans[-1].until > each.at:
            spans[-1] = Shown(spans[-1].indicator, spans[-1].since, each.at)
        if isinstance(each, Arrival) and each.indicator and each.indicator is not Indicator.STOPPED:
            spans.append(Shown(each.indicator, each.at, each.at + each.duration_ms))
    return [span for span in spans if span.until > span.since]


def _is_seen(each: Arrival | Cleared) -> bool:
    return isinstance(each, Cleared) or (each.is_applied and each.indicator is not None)


def visible_at(seen: Iterable[Arrival | Cleared], session_id: str, at: Ms) -> Indicator | None:
    """What the guest of `session_id` sees at `at`: typing, paused or nothing."""
    spans = shown_spans((each for each in seen if each.at <= at), session_id)
    last = spans[-1] if spans else None
    return last.indicator if last is not None and last.since <= at < last.until else None
