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
class Shown:
    """Something on the guest's screen from `since` until just before `until`."""

    indicator: Indicator
    since: Ms
    until: Ms


def shown_spans(arrivals: Iterable[Arrival], session_id: str) -> list[Shown]:
    """What the guest of `session_id` saw, in order: each indicator ends with its duration or with the next one.

    `arrivals` are in order of their arrival. Nothing joins two equal spans: a refresh begins a new one.
    """
    spans: list[Shown] = []
    for arrival in arrivals:
        if not arrival.is_applied or arrival.session_id != session_id or arrival.indicator is None:
            continue
        if spans and spans[-1].until > arrival.at:
            spans[-1] = Shown(spans[-1].indicator, spans[-1].since, arrival.at)
        if arrival.indicator is not Indicator.STOPPED:
            spans.append(Shown(arrival.indicator, arrival.at, arrival.at + arrival.duration_ms))
    return [span for span in spans if span.until > span.since]


def visible_at(arrivals: Iterable[Arrival], session_id: str, at: Ms) -> Indicator | None:
    """What the guest of `session_id` sees at `at`: typing, paused or nothing."""
    spans = shown_spans((arrival for arrival in arrivals if arrival.at <= at), session_id)
    last = spans[-1] if spans else None
    return last.indicator if last is not None and last.since <= at < last.until else None
