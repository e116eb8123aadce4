"""One session in virtual time against a platform of our own making, with everything that happened written down.

    m = Machine(timings, answers=script(accepted(), cool_off(5000)))
    m.keystroke(at=0)
    m.finish()
    assert m.told() == ["0 typing", "5000 typing_stopped"]

The driver does what a shell must do and no more: it asks `wish` after every input, completion and wake, and
lets the wheel (or, with `ticks=False`, the exact deadline) decide when to look again. `invariants` reads the
diary it leaves.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from relay.core import pacer as pacing
from relay.core import settling
from relay.core.activity import Activity, Kind
from relay.core.actor import Actor, State
from relay.core.deadlines import Wheel
from relay.core.engagement import Reason
from relay.core.indicator import Address, Cause, Indicator, Wish, stronger
from relay.core.moments import NEVER, Ms
from relay.core.pacer import Pacer, Reach
from relay.core.rest import Rest, actors_of, rest_of
from relay.core.session import Change, Session, Verdict
from relay.core.timings import TICK_MS, Timings
from tests.core.answers import Answer, script
from tests.core.diary import Cleared, Crashed, Entry, Freed, Sent, Told

ADDRESS = Address("chat-1", "guest-1")
GUEST = Reach()
TERMINAL = Reach(is_explicit=False)
CONVERGES_MS: Ms = 900_000
"""A finite script must have come to rest by then; nothing a default timing remembers is longer."""


def activity(kind: Kind, actor: str = "ann", **fields: Any) -> Activity:  # the fields of Activity, by name
    return Activity("guest", ADDRESS, "test", actor, kind, **fields)


@dataclass(slots=True, repr=False)
class Machine:
    timings: Timings = field(default_factory=Timings)
    reach: Reach = GUEST
    answers: Iterator[Answer] = field(default_factory=script)
    ticks: bool = True
    jitter: Callable[[], float] = lambda: 0.0
    now: Ms = 0.0
    session: Session | None = None
    rest: Rest | None = None
    flight: Sent | None = None
    sent: list[Sent] = field(default_factory=list)
    diary: list[Entry] = field(default_factory=list)
    changes: list[Told] = field(default_factory=list)
    inputs: list[tuple[Ms, Activity, Verdict]] = field(default_factory=list)
    wheel: Wheel[Session] = field(default_factory=Wheel)
    life: int = 0
    sessions: int = 0
    gate_at_start: Ms = -NEVER
    alarm: Ms = NEVER
    circuit_open_until: Ms = -NEVER
    watch: Callable[["Machine"], None] | None = None

    def __repr__(self) -> str:
        heard = [f"{at:g} {act.actor} {act.kind}" for at, act, _ in self.inputs]
        return f"Machine({self.timings}, {self.reach}, heard={heard}, told={self.told()})"

    # Talk.

    def keystroke(self, *, at: Ms | None = None, actor: str = "ann", is_public: bool = True) -> Verdict:
        return self.act(Kind.KEYSTROKE, at=at, actor=actor, is_public=is_public)

    def message(self, *, at: Ms | None = None, actor: str = "ann", is_final: bool = True) -> Verdict:
        return self.act(Kind.MESSAGE_SENT, at=at, actor=actor, is_final=is_final)

    def think(self, thinking_id: str = "t1", *, at: Ms | None = None, actor: str = "bot") -> Verdict:
        return self.act(Kind.THINKING, at=at, actor=actor, thinking_id=thinking_id)

    def act(  # the wire's fields, as keywords
        self,
        kind: Kind,
        *,
        at: Ms | None = None,
        actor: str = "ann",
        is_public: bool = True,
        is_final: bool = True,
        thinking_id: str | None = None,
        seq: int | None = None,
        epoch: int = 0,
        client_at: int | None = None,
        duration_ms: int | None = None,
    ) -> Verdict:
        activity = Activity(
            "guest",
            ADDRESS,
            "test",
            actor,
            kind,
            epoch,
            seq,
            client_at,
            thinking_id,
            is_final,
            is_public,
            duration_ms,
        )
        return self.hear(activity, at=at)

    def hear(self, activity: Activity, *, at: Ms | None = None) -> Verdict:
        """Bring the world up to `at`, then hand the session the activity."""
        self.run_until(self.now if at is None else at)
        session = self._session()
        if session.absorb(activity, self.now):
            self.inputs.append((self.now, activity, Verdict.APPLIED))
            return Verdict.APPLIED
        changes: list[Change] = []
        verdict = session.observe(activity, self.now, changes)
        self.inputs.append((self.now, activity, verdict))
        if self.reach.message_clears and activity.kind is Kind.MESSAGE_SENT and activity.is_public:
            self.diary.append(Cleared(self.now))
        self._reconcile(changes)
        return verdict

    def order(
        self, indicator: Indicator, *, at: Ms | None = None, duration_ms: int = 3000
    ) -> Ms | str | None:
        """A direct order; what refused it, None if it went."""
        self.run_until(self.now if at is None else at)
        session = self._session()
        refusal = pacing.refusal_of_order(session.pacer, self.now, self.timings)
        if refusal is None:
            session.pacer.order = Wish(indicator, duration_ms, Cause.DIRECT)
        self._reconcile([])
        return refusal

    def crash(self, *, at: Ms | None = None) -> None:
        """The process dies; a new one starts at once, and knows when the old one was last alive.

        What was on its way is aborted by that, and so applied within `late_ms` if at all.
        """
        self.run_until(self.now if at is None else at)
        if self.flight is not None and self.flight.answer.arrives_ms is not None:
            latest_ms = self.now - self.flight.at + self.timings.late_ms
            arrives_ms = min(self.flight.answer.arrives_ms, latest_ms)
            self.flight.answer = replace(self.flight.answer, arrives_ms=arrives_ms)
        self.gate_at_start = self.now + self.timings.restart_ms
        self.session, self.rest, self.flight, self.wheel = None, None, None, Wheel()
        self.wheel.start(self.now)
        self.life += 1
        self.diary.append(Crashed(self.now, self.gate_at_start))

    def drain(self, *, at: Ms | None = None) -> None:
        self.run_until(self.now if at is None else at)
        changes: list[Change] = []
        self._session().end(Reason.SHUTDOWN, self.now, changes)
        self._reconcile(changes)

    def finish(self) -> None:
        """No more inputs: run until the session is freed."""
        self.run_until(self.now + CONVERGES_MS)

    # Reading.

    def told(self) -> list[str]:
        return [f"{sent.at:g} {sent.indicator}" for sent in self.sent]

    def states(self) -> list[str]:
        return [f"{told.change.at:g} {told.change.state} {told.change.reason}" for told in self.changes]

    def public_indicators(self) -> list[Indicator]:
        return [a.indicator() for a in self.actors() if a.is_public]

    def actors(self) -> tuple[Actor, ...]:
        return self.session.actors if self.session else ()

    def state_of(self, actor: str) -> State:
        return next(a.state for a in self.actors() if a.id == actor)

    @property
    def pacer(self) -> Pacer:
        assert self.session is not None
        return self.session.pacer

    # Time.

    def run_until(self, end: Ms) -> None:
        """Everything due before `end`; what is due at `end` waits, for ties go to the input."""
        while (due := min(self._completion(), self._wake())) < end:
            self.now = max(self.now, due)
            if self._completion() <= self.now:
                self._complete()
            else:
                self._look()
        self.now = max(self.now, end)

    def _completion(self) -> Ms:
        return self.flight.at + self.flight.answer.after_ms if self.flight else NEVER

    def _wake(self) -> Ms:
        if self.session is None:
            return self.rest.until if self.rest else NEVER
        if self.ticks:
            return self.session.armed_tick * TICK_MS if self.session.armed_tick else NEVER
        return self.alarm

    def _look(self) -> None:
        if self.session is None:
            self.rest = None
            return
        if self.ticks and not self.wheel.take(self.now, most=10):
            return
        session, changes = self.session, list[Change]()
        session.lapse(self.now, changes)
        self._reconcile(changes)
        is_at_rest = self.rest is not None
        assert is_at_rest or self.alarm > self.now, f"would spin: woken at {self.alarm} to do nothing"

    # Steps.

    def _session(self) -> Session:
        if self.session is None:
            if self.sessions == 0:
                self.wheel.start(self.now)
            self.sessions += self.rest is None
            actors = actors_of(self.rest) if self.rest else ()
            self.session = Session(
                ("guest", ADDRESS.session_id),
                ADDRESS,
                "test",
                self.timings,
                self.reach,
                Pacer(gate_at=self.gate_at_start),
                actors=actors,
            )
            self.rest = None
        return self.session

    def _reconcile(self, changes: list[Change]) -> None:
        assert self.session is not None
        is_open = pacing.standing(self.session.pacer, self.now).value.endswith(".o")
        # An order that waited for the circuit goes first.
        may_send = is_open and self.now >= self.circuit_open_until and self.session.pacer.order is None
        known = len(self.diary)
        self.changes += [Told(change, self.life, self.sessions, may_send, known) for change in changes]
        self._tell(self.session)
        if self.now >= self.session.rests_at():
            self.wheel.disarm(self.session)
            self.rest, self.session = rest_of(self.session, self.now), None
            self.diary.append(Freed(self.now))
        else:
            self.alarm = self.session.next_deadline(self.now)
            if self.ticks:
                self.wheel.arm(self.session, self.alarm)
        if self.watch:
            self.watch(self)

    def _tell(self, session: Session) -> None:
        wish = session.wish(self.now)
        if wish is None:
            return
        assert self.flight is None, "two requests in flight"
        if self.now < self.circuit_open_until:
            pacing.hold(session.pacer, self.now, self.timings)
            return
        settling.send(session.pacer, wish, self.now, self.timings, jitter=self.jitter())
        desired = reduce(stronger, self.public_indicators(), Indicator.STOPPED)
        self.flight = Sent(self.now, wish, desired, next(self.answers), self.life)
        self.sent.append(self.flight)
        if self.flight.answer.after_ms == 0:
            self._settle(session)
            self._tell(session)

    def _complete(self) -> None:
        assert self.session is not None, "forgotten with a request in flight"
        self._settle(self.session)
        self._reconcile([])

    def _settle(self, session: Session) -> None:
        sent, self.flight = self.flight, None
        assert sent is not None
        sent.done_at = self.now
        self.diary.append(sent)
        sent.settled = settling.settle(
            session.pacer, sent.answer.outcome, self.now, self.timings, self.reach, jitter=self.jitter()
        )


def typed(
    keys: Iterable[Ms],
    timings: Timings,
    *,
    reach: Reach = GUEST,
    answers: Iterator[Answer] | None = None,
    ticks: bool = True,
) -> Machine:
    """A machine that lived through one actor's keystrokes, and came to rest."""
    machine = Machine(timings, reach, answers or script(), ticks=ticks)
    for at in keys:
        machine.keystroke(at=at)
    machine.finish()
    return machine
