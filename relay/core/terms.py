"""On which terms an endpoint is sent its events: how long each is worth delivering, and how often it is tried.

    durable     ten attempts in three days, then a dead letter; `life_ms` only if asked for
    ephemeral   at 0, 1 and 5 s, dead to the world after 30 s; while it waits, the session's newest takes its place

That someone is typing is worth nothing half a minute later, and a tracker that was away wants to know what is, not
what was. What a session *does* outlives what was *shown* of it: an indicator's report never supersedes the state,
so that "stopped" waits until something newer is known of the session.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from relay.core import backoff, retry_after
from relay.core.endpoint import PATIENCE, Patience
from relay.core.moments import Ms, UnixMs

UNORDERED_AFTER_MS: UnixMs = 600_000
"""How long one that fails holds up its session's next ones. Order is worth that much; one event that a receiver will
never take is not worth the three days of its budget."""

EPHEMERAL_LIFE_MS: UnixMs = 30_000
EPHEMERAL_SCHEDULE_MS: tuple[Ms, ...] = (0, 1000, 5000)
"""A fourth attempt would tell a tracker about the session before last."""


LIFE_TO_BEGIN_WITH = 0.1
"""The share of its life that must be left when a delivery is sent. A receiver that takes less than it is told is told
the oldest, and those would be sent in their last moments, cut off, and all in vain: better that fewer arrive."""

LEAST_LIFE_MS: UnixMs = 5000
"""No more than this, however long the life."""


class DeliveryClass(StrEnum):
    DURABLE = "durable"
    EPHEMERAL = "ephemeral"


class Weight(IntEnum):
    """What an ephemeral event is worth among its like: where room is short the lightest go first, then the oldest."""

    SHOWN = 0
    STATE = 1
    STOPPED = 2


SUPERSEDES: dict[Weight, Weight] = {
    Weight.SHOWN: Weight.SHOWN,
    Weight.STATE: Weight.STOPPED,
    Weight.STOPPED: Weight.STOPPED,
}
"""Complete: a newer event takes the place of those of its session that weigh at most this."""


def least_superseding(weight: Weight) -> Weight:
    """The least weight that takes the place of one of this weight: `SUPERSEDES`, read backwards."""
    return min(newer for newer, most in SUPERSEDES.items() if most >= weight)


@dataclass(frozen=True, slots=True)
class Terms:
    """What one endpoint is owed. `life_ms` counts from recording; None is as long as the schedule lasts.

    Of a receiver's Retry-After no more than `longest_hint_ms` is granted.
    """

    delivery_class: DeliveryClass = DeliveryClass.DURABLE
    schedule_ms: tuple[Ms, ...] = backoff.SCHEDULE_MS
    life_ms: UnixMs | None = None
    unordered_after_ms: UnixMs = UNORDERED_AFTER_MS
    longest_hint_ms: Ms = retry_after.MAX_WAIT_MS
    patience: Patience = PATIENCE

    @property
    def least_life_ms(self) -> UnixMs:
        """With less than this left it is not worth sending."""
        return 0 if self.life_ms is None else min(LEAST_LIFE_MS, int(self.life_ms * LIFE_TO_BEGIN_WITH))

    @property
    def is_ephemeral(self) -> bool:
        return self.delivery_class is DeliveryClass.EPHEMERAL


DURABLE = Terms()
EPHEMERAL = Terms(DeliveryClass.EPHEMERAL, EPHEMERAL_SCHEDULE_MS, EPHEMERAL_LIFE_MS)
TERMS: dict[DeliveryClass, Terms] = {DeliveryClass.DURABLE: DURABLE, DeliveryClass.EPHEMERAL: EPHEMERAL}
"""Where an endpoint asks for nothing else."""


def weight(event: str) -> Weight:
    """By the event's dotted name."""
    if event == "session.stopped":
        return Weight.STOPPED
    return Weight.STATE if event.startswith("session.") else Weight.SHOWN
