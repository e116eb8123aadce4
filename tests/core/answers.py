"""What a platform of our own making answers to one call, and when the guest's screen has it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat

from relay.core.moments import Ms
from relay.core.outcome import (
    CoolOff,
    Expired,
    Failure,
    Held,
    Outcome,
    Refused,
    Shown,
    Unauthorised,
    Unreachable,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """`after_ms` from send to completion; the guest's screen has it `arrives_ms` after the send, or never (None)."""

    outcome: Outcome
    after_ms: Ms = 0
    arrives_ms: Ms | None = None


def accepted(rtt_ms: Ms = 0, *, one_way_ms: Ms | None = None) -> Answer:
    return Answer(Shown(200, rtt_ms), rtt_ms, rtt_ms if one_way_ms is None else one_way_ms)


def cool_off(wait_ms: Ms | None = None, *, after_ms: Ms = 0) -> Answer:
    return Answer(CoolOff(429, wait_ms, for_session=True), after_ms)


def server_error(after_ms: Ms = 0) -> Answer:
    return Answer(Unreachable(Failure.SERVER, 500), after_ms)


def timed_out(after_ms: Ms = 2000, *, arrives_ms: Ms | None = None) -> Answer:
    """No answer in time; what was aborted may still be applied, `arrives_ms` after the send."""
    return Answer(Unreachable(Failure.TIMEOUT, is_unknown=True), after_ms, arrives_ms)


def unauthorised(after_ms: Ms = 0) -> Answer:
    return Answer(Unauthorised(), after_ms)


def expired(after_ms: Ms = 0) -> Answer:
    return Answer(Expired(), after_ms)


def held(wait_ms: Ms, *, after_ms: Ms = 0) -> Answer:
    """Not sent at all; the machine's books have it as a sending that nobody saw."""
    return Answer(Held(wait_ms), after_ms)


def refused(after_ms: Ms = 0, code: str = "not_found") -> Answer:
    return Answer(Refused(404, code), after_ms)


def script(*answers: Answer, then: Answer | None = None) -> Iterator[Answer]:
    """These answers in turn, and `then` (accepted at once) for ever."""
    return chain(answers, repeat(then or accepted()))
