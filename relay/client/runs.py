"""Runs of thinking: from a bot's first step to its answer, told by what is true now, never by what was queued.

    enter ──► to be said ──► thinking ──► every 5 s: heartbeat ──► leave ──► thinking_done, or message_sent
                  ▲                            │
                  └──── the relay was away, or has another connection: it may have forgotten ◄──┘

A run the relay never heard of is never told to have ended. Uses of one session and actor at the same time are one
run: the first opens it, the last closes it, those within only count.
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal, NamedTuple

from relay import wire
from relay.client.activity import ActorName, Kind, activity_event
from relay.client.answers import Answer
from relay.core.moments import NEVER, Ms

HEARTBEAT_MS: Ms = 5000
"""A third of the relay's default lease (15 s): two may be lost before a run is taken for dead."""

OVERDUE_MS: Ms = 5000
"""A heartbeat later than this, of a loop that stood still, may find the lease gone, and then revives nothing."""

ENDING_FRESH_MS: Ms = 15_000
"""A later end is nothing new: by then the lease has told the relay."""

Ending = Literal["thinking_done", "message_sent"]


class Known(Enum):
    """What the relay knows of a run."""

    NOTHING = auto()
    PERHAPS = auto()  # it was told, but did not answer or may have started anew: say `thinking` again
    SURELY = auto()


class Whose(NamedTuple):
    """Whom a run is for and who is in it; two of the same are one run."""

    session_id: str
    guest_id: str | None
    gateway: str | None
    actor: str | None
    communication_id: str | None = None
    agent_user_id: str | None = None


@dataclass(slots=True, eq=False)
class Run:
    """One run. Entered `depth` times and not left as often."""

    whose: Whose
    traceparent: str | None = None
    thinking_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    depth: int = 1
    known: Known = Known.NOTHING
    was_taken: bool = False
    """The relay has known it at one time, and may still: whoever refuses it now need not be the relay."""
    is_over: bool = False
    """Something else has ended it before it was left, like a message of its own session."""
    is_end_said: bool = False
    is_end_told: bool = False
    """Said and taken: whoever asks now has nothing to wait for."""
    ends_with: Ending = "thinking_done"
    expires_at: Ms = NEVER
    beat_at: Ms = 0
    sessions: frozenset[str] = field(init=False)
    is_alone: bool = False
    on_answer: list[Callable[[Answer], None]] = field(default_factory=list)
    _ending_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self.sessions = frozenset({self.whose.session_id})

    @property
    def is_open(self) -> bool:
        return self.depth > 0

    @property
    def is_end_news(self) -> bool:
        """Whether the relay would learn something from its end: it knows the run, or a message was posted."""
        return not self.is_end_told and (self.known is not Known.NOTHING or self.ends_with == "message_sent")

    def composed(self, now: Ms) -> Sequence[bytes]:
        """What there is to say, if it goes now. Called when it does: the next heartbeat is counted from here."""
        is_overdue = now > self.beat_at + OVERDUE_MS
        self.beat_at = now + HEARTBEAT_MS
        if not self.is_open:
            self.is_end_said = self.is_end_news
            return [self._event(self.ends_with, self._ending_id)] if self.is_end_news else []
        if self.is_over:
            return []
        # Said again, the same thought only extends its lease; where that is gone, it begins anew.
        kind: Kind = "heartbeat" if self.known is Known.SURELY and not is_overdue else "thinking"
        self.known = Known.SURELY if kind == "heartbeat" else Known.PERHAPS
        return [self._event(kind, uuid.uuid4().hex)]

    def _event(self, kind: Kind, event_id: str) -> bytes:
        whose, actor = self.whose, self.whose.actor
        return wire.dumps(
            activity_event(
                kind,
                whose.session_id,
                id=event_id,
                guestId=whose.guest_id,
                communicationId=whose.communication_id,
                agentUserId=whose.agent_user_id,
                gateway=whose.gateway,
                actor=None if actor is None else ActorName(id=actor, kind="bot"),
                thinkingId=None if kind == "message_sent" else self.thinking_id,
                traceparent=self.traceparent,
            )
        )


class Runs:
    """The open runs; at most `most`. A run that waits for its heartbeat stands in line here, others in `Waiting`."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._open: dict[Whose, Run] = {}
        self._resting: OrderedDict[Run, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, whose: Whose, traceparent: str | None = None) -> tuple[Run | None, bool]:
        """(the run, whether it is new); no run where there are too many."""
        run = self._open.get(whose)
        if run is not None and not run.is_over:
            run.depth += 1
            return run, False
        if run is None and len(self._open) >= self._most:
            return None, False
        # In place of one that is over: nothing more is told of that, and this is other work.
        self._open[whose] = run = Run(whose, traceparent)
        return run, True

    def leave(self, run: Run, now: Ms, ending: Ending | None = None) -> bool:
        """True if this was the last use: there is an end to be told. One whose client was closed has ended with it.

        `ending` is how this use ends, by default as was noted: of several the last one's is the run's.
        """
        if self._open.get(run.whose) is not run:
            return False
        run.depth -= 1
        run.ends_with = "thinking_done" if run.is_open else ending or run.ends_with
        if run.is_open:
            return False
        run.expires_at = now + ENDING_FRESH_MS
        self._resting.pop(run, None)
        del self._open[run.whose]
        return True

    def rest(self, run: Run) -> None:
        """Until its heartbeat. All rest equally long, so they stand in the order in which they are due."""
        if run.is_open and not run.is_over:
            self._resting[run] = None
            self._resting.move_to_end(run)

    def wake(self, run: Run) -> bool:
        """Whether it rested until its heartbeat; now it does no longer."""
        return self._resting.pop(run, NEVER) is None

    def due(self, now: Ms) -> Iterator[Run]:
        """Those whose heartbeat is due; they rest no longer."""
        while self._resting and (run := next(iter(self._resting))).beat_at <= now:
            del self._resting[run]
            yield run

    def next_beat_at(self) -> Ms:
        return next(iter(self._resting)).beat_at if self._resting else NEVER

    def doubt(self) -> list[Run]:
        """The relay may have started anew: the resting runs it surely knew, which are to be said again."""
        doubted = [run for run in self._resting if run.known is Known.SURELY]
        for run in doubted:
            run.known = Known.PERHAPS
            del self._resting[run]
        return doubted

    def end(self, session_id: object, actor: str | None) -> list[Run]:
        """This actor's message goes out, or it leaves: the runs still open, of which nothing more is told until their end."""
        ended = [
            run
            for run in self._open.values()
            if run.whose.session_id == session_id and run.whose.actor == actor and not run.is_over
        ]
        for run in ended:
            run.is_over = True
            self._resting.pop(run, None)
        return ended

    def resume(self, run: Run) -> bool:
        """What was to end it did not arrive: True if there is something to be told of it again."""
        run.is_over = self._open.get(run.whose) is not run
        return not run.is_over

    def all(self) -> list[Run]:
        return list(self._open.values())
