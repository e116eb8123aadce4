"""What one actor (an agent or a bot) of a session is doing, as a complete table of states and inputs.

An input is an activity (`Kind`) or one of the actor's own timers (`Timer`). `TABLE` holds a cell for every
input in every state; `step` looks the cell up, applies it and says what it was. Everything that changes an
actor's state is in this file, and nothing in it knows a clock, a platform or another actor.

    idle ── keystroke ──► typing ── silence P ──► paused ── silence S ──► idle
      └── thinking ──► thinking ── done, message, lease lost ──► idle        (life over: exhausted)

The order of activities is checked before the table is asked (`relay.core.order`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from relay.core.activity import Activity, Kind
from relay.core.engagement import Reason
from relay.core.indicator import Indicator
from relay.core.moments import NEVER, Ms, UnixMs
from relay.core.timings import Timings


class State(StrEnum):
    IDLE = "I"
    TYPING = "T"
    PAUSED = "P"
    THINKING = "H"
    EXHAUSTED = "X"


class Timer(StrEnum):
    """The actor's own deadlines; the value is the name the table and the logs use."""

    DELAY = "delay timer"
    PAUSE = "pause timer"
    STOP = "stop timer"
    LEASE = "lease timer"
    LIFE = "life timer"


Input = Kind | Timer


# Looked up once: through its class a member costs 95 ns a time (Python 3.11), and these are met at every step.
_I, _T, _P, _H, _X = State
_TYPING, _PAUSED, _STOPPED = Indicator
_DELAY, _PAUSE, _STOP, _LEASE, _LIFE = Timer
_THINK, _SENT = Kind.THINKING, Kind.MESSAGE_SENT


@dataclass(slots=True)
class Actor:
    """`last` is the last sign of life; `stop_at`, `life_until` and `lease_until` are due times of its timers.

    `is_counting` is False only while a thinking actor is inside its delay. `epoch`, `seq` and `ended_at`
    (client time of the last terminal activity) are the order's memory and outlive every state.
    """

    id: str
    state: State = State.IDLE
    is_public: bool = True
    is_counting: bool = False
    last: Ms = -NEVER
    stop_at: Ms = NEVER
    life_until: Ms = NEVER
    lease_until: Ms = NEVER
    thinking_id: str | None = None
    exhausted_ids: dict[str | None, Ms] | None = None
    epoch: int = -1
    seq: int = -1
    ended_at: UnixMs | None = None

    def indicator(self) -> Indicator:
        """What this actor alone would have the guest see."""
        state = self.state
        if state is _T or (state is _H and self.is_counting):
            return _TYPING
        return _PAUSED if state is _P else _STOPPED


# Verbs: what a cell does to the actor besides moving it.

Verb = Callable[[Actor, Ms, Activity | None, Timings], None]


def _nothing(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
    pass


def _touch(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
    actor.last = now


def _type(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
    actor.last = now
    actor.life_until = now + timings.typing_life_ms
    actor.thinking_id = None


def _think(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
    actor.last = now
    actor.is_counting = True
    actor.thinking_id = activity.thinking_id if activity else None
    actor.lease_until = now + timings.thinking_lease_ms
    actor.life_until = now + timings.thinking_life_ms


def _think_after_delay(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
    _think(actor, now, activity, timings)
    actor.is_counting = timings.thinking_delay_ms == 0


def _think_anew(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
    was_counting, since = actor.is_counting, actor.last
    _think(actor, now, activity, timings)
    if not was_counting:  # the delay began with the first thought, not with each
        actor.is_counting, actor.last = False, since


def _count(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
    actor.is_counting = True


def _extend_lease(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
    actor.lease_until = now + timings.thinking_lease_ms


def _hesitate(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
    actor.stop_at = now + timings.stop_after_ms
    if actor.state is State.THINKING:
        actor.life_until, actor.thinking_id = now + timings.typing_life_ms, None


def _fall_silent(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
    actor.stop_at = actor.last + timings.stop_after_ms


def _outlive(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> None:
    if actor.state is State.THINKING:
        actor.last = now
        remembered = {k: until for k, until in (actor.exhausted_ids or {}).items() if until > now}
        actor.exhausted_ids = remembered | {actor.thinking_id: now + timings.tombstone_ms}


# Cells: where an input leads in a state.


class Cell(NamedTuple):
    """`to` None is stay; `recomputes`: the session's joined state may change; `counted` names a no-effect input."""

    to: State | None = None
    does: Verb = _nothing
    recomputes: bool = False
    counted: str | None = None


Question = Callable[[Actor, Ms, Activity | None, Timings], bool]


class Fork(NamedTuple):
    """Two cells and the question between them."""

    asks: Question
    yes: Cell
    no: Cell


def same_id(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> bool:
    """A heartbeat or an end that names no id means the thought in progress."""
    return activity is not None and activity.thinking_id in (None, actor.thinking_id)


def same_thought(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> bool:
    return activity is not None and activity.thinking_id == actor.thinking_id


def after_silence(actor: Actor, now: Ms, activity: Activity | None, timings: Timings) -> bool:
    return now - actor.last >= timings.stop_after_ms


STAY = Cell()
CANNOT = Cell(counted="cannot")
_ORPHAN = Cell(counted="orphan")
_FOREIGN = Cell(counted="foreign_id")
_REST = Cell(_I, recomputes=True)


def _row(*cells: Cell | Fork) -> dict[State, Cell | Fork]:
    return dict(zip(State, cells, strict=True))


# fmt: off
TABLE: dict[Input, dict[State, Cell | Fork]] = {
    Kind.KEYSTROKE: _row(
        Cell(_T, _type, recomputes=True),
        Cell(None, _touch),
        Cell(_T, _touch, recomputes=True),
        Cell(_T, _type, recomputes=True),
        Fork(after_silence, Cell(_T, _type, recomputes=True), Cell(None, _touch))),
    Kind.THINKING: _row(
        Cell(_H, _think_after_delay, recomputes=True),
        Cell(_H, _think, recomputes=True),
        Cell(_H, _think, recomputes=True),
        Fork(same_thought, Cell(None, _extend_lease), Cell(None, _think_anew)),
        Fork(same_thought, STAY, Cell(_H, _think, recomputes=True))),
    Kind.HEARTBEAT: _row(
        _ORPHAN,
        Cell(None, _touch),
        Cell(_T, _touch, recomputes=True),
        Fork(same_id, Cell(None, _extend_lease), _FOREIGN),
        _ORPHAN),
    Kind.THINKING_DONE: _row(STAY, STAY, STAY, Fork(same_id, _REST, _FOREIGN), Cell(_I)),
    Kind.PAUSED: _row(
        STAY, Cell(_P, _hesitate, recomputes=True), STAY, Cell(_P, _hesitate, recomputes=True), STAY),
    Kind.MESSAGE_SENT: _row(_REST, _REST, _REST, _REST, _REST),  # final; an interim one moves nobody
    Kind.CLEARED: _row(_REST, _REST, _REST, _REST, _REST),
    Kind.ACTOR_LEFT: _row(_REST, _REST, _REST, _REST, _REST),
    Kind.SESSION_ENDED: _row(_REST, _REST, _REST, _REST, _REST),
    Timer.DELAY: _row(CANNOT, CANNOT, CANNOT, Cell(None, _count, recomputes=True), CANNOT),
    Timer.PAUSE: _row(CANNOT, Cell(_P, _fall_silent, recomputes=True), CANNOT, CANNOT, CANNOT),
    Timer.STOP: _row(CANNOT, _REST, _REST, CANNOT, Cell(_I)),
    Timer.LEASE: _row(CANNOT, CANNOT, CANNOT, _REST, CANNOT),
    Timer.LIFE: _row(
        CANNOT,
        Cell(_X, _outlive, recomputes=True),
        Cell(_X, _outlive, recomputes=True),
        Cell(_X, _outlive, recomputes=True),
        CANNOT),
}
# fmt: on

REASON_OF: dict[Input, Reason] = {
    Kind.KEYSTROKE: Reason.KEYSTROKE,
    Kind.THINKING: Reason.THINKING,
    Kind.HEARTBEAT: Reason.KEYSTROKE,
    Kind.THINKING_DONE: Reason.DONE,
    Kind.PAUSED: Reason.SILENCE,
    Kind.MESSAGE_SENT: Reason.MESSAGE,
    Kind.CLEARED: Reason.CLEARED,
    Kind.ACTOR_LEFT: Reason.ENDED,
    Kind.SESSION_ENDED: Reason.ENDED,
    Timer.DELAY: Reason.THINKING,
    Timer.PAUSE: Reason.SILENCE,
    Timer.STOP: Reason.SILENCE,
    Timer.LEASE: Reason.LEASE_LOST,
    Timer.LIFE: Reason.MAX_LIFE,
}

STALE = Cell(counted="stale")
DEAD_ID = Cell(counted="exhausted_id")


def step(actor: Actor, event: Input, now: Ms, activity: Activity | None, timings: Timings) -> Cell:
    """Apply the table's cell to the actor and return it."""
    cell = TABLE[event][actor.state]
    if type(cell) is Fork:
        cell = cell.yes if cell.asks(actor, now, activity, timings) else cell.no
    assert type(cell) is Cell
    cell.does(actor, now, activity, timings)
    if cell.to is not None:
        actor.state = cell.to
    return cell


def observe(actor: Actor, activity: Activity, now: Ms, timings: Timings) -> Cell:
    """The cell an in-order activity came to: thinking ids that outlived themselves stay dead."""
    kind = activity.kind
    if kind is _THINK and _is_exhausted(actor, activity.thinking_id, now):
        return DEAD_ID
    if kind is _SENT and not activity.is_final:
        return STAY
    return step(actor, kind, now, activity, timings)


def _is_exhausted(actor: Actor, thinking_id: str | None, now: Ms) -> bool:
    return actor.exhausted_ids is not None and actor.exhausted_ids.get(thinking_id, -NEVER) > now


def deadline(actor: Actor, timings: Timings) -> tuple[Ms, Timer]:
    """The actor's next timer and when it is due; (NEVER, …) for an idle one."""
    state = actor.state
    if state is _I:
        return NEVER, _STOP
    if state is _T:
        due, timer = actor.last + timings.pause_after_ms, _PAUSE
    elif state is _P:
        due, timer = actor.stop_at, _STOP
    elif state is _X:
        return actor.last + timings.stop_after_ms, _STOP
    elif not actor.is_counting:
        return actor.last + timings.thinking_delay_ms, _DELAY
    else:
        due, timer = actor.lease_until, _LEASE
    return (actor.life_until, _LIFE) if actor.life_until < due else (due, timer)
