"""What is remembered of a session at rest: nobody acts in it, and nothing of its pacer matters any more.

    Session ── from `rests_at` on ──► rest_of ─► Rest ─► actors_of ─► Session        Rest ── `until` ──► forgotten

Most sessions alive are such. What is left of one is its address and the order of those actors who have one, so that
what comes late is still known as late; the next activity wakes it as what it was.
"""

from typing import NamedTuple

from relay.core.actor import Actor
from relay.core.indicator import Address
from relay.core.moments import NEVER, Ms, UnixMs
from relay.core.session import Session


class Remembered(NamedTuple):
    """An idle actor's order (fields as in `Actor`), and until when each of its exhausted thoughts stays dead."""

    id: str
    last: Ms
    epoch: int
    seq: int
    ended_at: UnixMs | None
    exhausted: tuple[tuple[str | None, Ms], ...]


class Rest(NamedTuple):
    """`source` opened the session. It may be forgotten from `until` on."""

    address: Address
    source: str
    until: Ms = NEVER
    actors: tuple[Remembered, ...] = ()


def rest_of(session: Session, now: Ms) -> Rest:
    """Call it at `rests_at` or later. Orders are remembered for a tombstone from then on, but for those that are as old.

    For what comes too late wakes a session too, and must not keep alive the very order that makes it late.
    """
    tombstone_ms = session.timings.tombstone_ms
    actors = [
        _remembered(actor, now)
        for actor in session.actors
        if _has_order(actor) and actor.last > now - tombstone_ms
    ]
    return Rest(session.address, session.source, now + tombstone_ms, tuple(actors))


def actors_of(rest: Rest) -> tuple[Actor, ...]:
    """For the session that goes on where this one came to rest."""
    return tuple([_actor(one) for one in rest.actors])


def _has_order(actor: Actor) -> bool:
    return actor.seq >= 0 or actor.ended_at is not None or actor.exhausted_ids is not None


def _remembered(actor: Actor, now: Ms) -> Remembered:
    exhausted = tuple((one, until) for one, until in (actor.exhausted_ids or {}).items() if until > now)
    return Remembered(actor.id, actor.last, actor.epoch, actor.seq, actor.ended_at, exhausted)


def _actor(one: Remembered) -> Actor:
    exhausted_ids = dict(one.exhausted) or None
    return Actor(
        one.id,
        last=one.last,
        epoch=one.epoch,
        seq=one.seq,
        ended_at=one.ended_at,
        exhausted_ids=exhausted_ids,
    )
