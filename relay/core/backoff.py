"""When a delivery is tried again, and when it has been tried often enough.

The waits are those the Standard Webhooks specification gives as its example: 75 h 35 min in all, so a tracker
that breaks on a Friday evening is still being asked on Monday. Jitter only ever adds: an attempt is late by up to
a tenth, never early, so a receiver can rely on what we publish.
"""

from dataclasses import dataclass

from relay.core.moments import Ms

S: Ms = 1000
M: Ms = 60 * S
H: Ms = 60 * M

SCHEDULE_MS: tuple[Ms, ...] = (0, 5 * S, 5 * M, 30 * M, 2 * H, 5 * H, 10 * H, 14 * H, 20 * H, 24 * H)
"""The wait before each attempt, counted from the end of the one before it."""

JITTER = 0.10
"""The most that chance adds, as a share of the wait: enough to part a thousand deliveries that failed at once."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again no sooner than this long from now."""

    ms: Ms


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The budget is spent; the delivery becomes a dead letter."""

    attempts: int


def after(
    attempts: int,
    *,
    jitter: float,
    hint_ms: Ms | None = None,
    schedule_ms: tuple[Ms, ...] = SCHEDULE_MS,
) -> Wait | Exhausted:
    """What follows `attempts` failed ones (1 or more) of a budget.

    `jitter` is chance's share, 0 to `JITTER`, drawn by the caller. `hint_ms` is the receiver's Retry-After as
    `core.retry_after` reads it, an hour at most: it can lengthen a wait, and never shortens one.
    """
    if attempts >= len(schedule_ms):
        return Exhausted(attempts)
    scheduled = schedule_ms[attempts] * (1 + jitter)
    return Wait(max(scheduled, hint_ms or 0))
