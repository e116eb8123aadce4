"""In which order one actor's activities count, however they arrive.

A pair (`epoch`, `seq`) orders them fully: epochs are connections or process starts, `seq` counts within. Without
`seq` only a terminal activity orders: what is older than it, by the caller's own clock, comes too late. Client time
is compared with the same client's, never with ours. Nobody is held to an order for ever: once an actor has been idle for a
tombstone, and its session has come to rest (`relay.core.rest`), it begins anew.
"""

from relay.core.activity import Activity, Kind
from relay.core.actor import Actor

TERMINAL = frozenset({Kind.MESSAGE_SENT, Kind.CLEARED, Kind.ACTOR_LEFT, Kind.SESSION_ENDED})
"""Activities after which the actor is idle, whatever it did; older ones (by client time) are dropped."""


def is_in_order(actor: Actor, activity: Activity) -> bool:
    """(`epoch`, `seq`) above the last accepted pair; without `seq`, not older than the last terminal activity."""
    if activity.seq is not None:
        return (activity.epoch, activity.seq) > (actor.epoch, actor.seq)
    return activity.at is None or actor.ended_at is None or activity.at >= actor.ended_at


def remember_order(actor: Actor, activity: Activity) -> None:
    if activity.seq is not None:
        actor.epoch, actor.seq = activity.epoch, activity.seq
    if activity.at is not None and activity.kind in TERMINAL and activity.is_final:
        actor.ended_at = max(activity.at, actor.ended_at or 0)
