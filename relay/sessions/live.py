"""Sessions now alive, by id; one timer serves all that are awake, another forgets those at rest.

    arm(session) ─► wheel ─► one loop.call_at per tick ─► on_due(session, now) ─► armed again, or laid to rest
                                                                   at rest ─► woken by an activity, or forgotten

A keystroke moves a deadline later and never touches the wheel. A tick serves at most `SLICE` sessions or
`SLICE_MS` at a time and then lets the loop turn, so that a herd of deadlines stalls nobody.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from relay.core.deadlines import Wheel
from relay.core.indicator import Indicator, SessionKey
from relay.core.moments import Ms
from relay.core.rest import rest_of
from relay.core.session import Session
from relay.core.timings import TICK_MS
from relay.errors import Rejected
from relay.sessions.resting import Resting

log = logging.getLogger("relay.sessions")

SLICE = 2000
SLICE_MS: Ms = 3
"""The collector may look at all of a herd in the middle of one, which takes twice as long again."""
CHUNK = 100
"""Sessions between two looks at the clock."""

FORGET_EVERY_S = 1.0
FORGET_AT_ONCE = 1000
"""A millisecond's work, and seldom: each look begins at the front, over the places of those forgotten before."""

CAP_RETRY_S = 5.0


class LiveSessions:
    """`on_due(session, now)` is called for each session whose deadline passed; it returns nothing."""

    def __init__(
        self,
        *,
        most: int,
        of_source: Mapping[str, int] | None = None,
        on_due: Callable[[Session, Ms], None],
        on_lag: Callable[[Ms], None] | None = None,
    ) -> None:
        self._most = most
        self.of_source = of_source or {}
        """Of those, how many one source may have opened; may be replaced at any time."""
        self._on_due = on_due
        self._on_lag = on_lag or (lambda _: None)
        self.by_gateway: defaultdict[str, dict[str, Session]] = defaultdict(dict)
        """Those awake, by the gateway's name and their own id; to be read only. Each event asks twice, and where many
        are alive that costs what has to be fetched from memory, which is a fifth more where a pair is the key."""
        self.resting = Resting()
        self._wheel: Wheel[Session] = Wheel()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._forgetting: asyncio.TimerHandle | asyncio.Handle | None = None
        self._loop = asyncio.get_running_loop()
        self._wheel.start(self._now())
        self.by_state: Counter[Indicator] = Counter()
        self.by_source: Counter[str] = Counter()
        """Of those alive, by the source that opened them."""

    def __len__(self) -> int:
        return sum(map(len, self.by_gateway.values())) + len(self.resting)

    def __contains__(self, key: SessionKey) -> bool:
        return self.get(key) is not None or key in self.resting

    def get(self, key: SessionKey) -> Session | None:
        """The session of a key; None if it is at rest or not alive."""
        gateway, session_id = key
        of_one = self.by_gateway.get(gateway)
        return of_one.get(session_id) if of_one else None

    def awake(self) -> list[Session]:
        """Those not at rest; a copy, so that it may be walked across an await."""
        return [session for of_one in self.by_gateway.values() for session in of_one.values()]

    @property
    def room(self) -> int:
        """How many more sessions may be opened."""
        return self._most - len(self)

    def add(self, session: Session) -> Session:
        """Also one that was at rest, which it takes the place of. Raises Rejected (429) at the cap; those alive go on."""
        if not self.resting.discard(session.key):
            self.refuse_beyond(session.source, 1)
            self.by_state[session.stated] += 1
            self.by_source[session.source] += 1
        gateway, session_id = session.key
        self.by_gateway[gateway][session_id] = session
        return session

    def is_awake(self, session: Session) -> bool:
        """False once it was laid to rest or given up, also if another of its key has come since."""
        return self.get(session.key) is session

    def refuse_beyond(self, source: str, count: int, where: Callable[[], Sequence[str]] = tuple) -> None:
        """Raises Rejected (429) where that many more are too many, of all or of this source's; those alive go on.

        `where` finds the places of the events that would open them, so that the others may be sent again without them.
        """
        if not count:
            return  # to wake or to move needs no room, also where a cap has been lowered meanwhile
        if count > self.room:
            raise _full("", self._most, "server.max_sessions", where())
        most = self.of_source.get(source)
        if most is not None and self.by_source[source] + count > most:
            raise _full("of this source ", most, "sources.NAME.max_sessions", where())

    def restated(self, before: Indicator, after: Indicator) -> None:
        """Book a session's move from one state to another, for the count by state."""
        self.by_state[before] -= 1
        self.by_state[after] += 1

    def arm(self, session: Session, now: Ms) -> None:
        """Have `on_due` called at the session's next deadline."""
        if not self._wheel.live:
            self._wheel.start(now)  # it stood still while nobody waited
        self._wheel.arm(session, session.next_deadline(now))
        if self._timer is None and self._wheel.live:
            self._timer = self._loop.call_at(self._next_tick_s(), self._tick)

    def close(self) -> None:
        for timer in (self._timer, self._forgetting):
            if timer is not None:
                timer.cancel()
        self._timer = self._forgetting = None

    def _now(self) -> Ms:
        return self._loop.time() * 1000

    def _next_tick_s(self) -> float:
        return (self._wheel.tick + 1) * TICK_MS / 1000

    def _tick(self) -> None:
        """The timer has fired, so its tick has come, whatever the last digit of the clock says."""
        due = (self._wheel.tick + 1) * TICK_MS
        now = self._now()
        self._on_lag(max(0.0, now - due))
        self._go_on(max(now, due))

    def _go_on(self, now: Ms) -> None:
        """Serve a slice; what is left comes after a turn of the loop, at the clock's own time."""
        # `_timer` stands meanwhile, so that what is armed in there starts no other.
        if not self._serve(now):
            self._timer = self._loop.call_soon(lambda: self._go_on(self._now()))
        elif self._wheel.live:
            self._timer = self._loop.call_at(self._next_tick_s(), self._tick)
        else:
            self._timer = None

    def _serve(self, now: Ms) -> bool:
        """One slice; False if sessions that are due are left."""
        served, until = 0, self._now() + SLICE_MS
        while served < SLICE and self._now() < until:
            due = self._wheel.take(now, most=CHUNK)
            for session in due:
                self._serve_one(session, now)
            served += len(due)
            if len(due) < CHUNK:
                return True
        return False

    def _serve_one(self, session: Session, now: Ms) -> None:
        try:
            if session.rests_at() <= now:
                self._lay_to_rest(session, now)
            else:
                self._on_due(session, now)
                self.arm(session, now)
        except Exception:  # one session's fault must not stop the timer of all others: it alone is given up
            log.exception("session given up", extra={"fields": {"session_id": session.key[1]}})
            self._give_up(session)

    def _lay_to_rest(self, session: Session, now: Ms) -> None:
        if self.is_awake(session):
            self.resting.put(session.key, rest_of(session, now))
            self._drop(session)
            if self._forgetting is None:
                self._forgetting = self._loop.call_later(FORGET_EVERY_S, self._forget)

    def _give_up(self, session: Session) -> None:
        self._wheel.disarm(session)
        if self.is_awake(session):
            self._drop(session)
            self._discount(session.stated, session.source)

    def _drop(self, session: Session) -> None:
        gateway, session_id = session.key
        del self.by_gateway[gateway][session_id]

    def _forget(self) -> None:
        """A slice of those whose time is over; their clock is coarse, for nobody waits for it."""
        self._forgetting = None
        are_left = False
        try:
            sources = self.resting.forget(self._now(), most=FORGET_AT_ONCE)
            for source in sources:
                self._discount(Indicator.STOPPED, source)
            are_left = len(sources) == FORGET_AT_ONCE
        except Exception:  # as in `_serve_one`; what could not be read is looked at again a second later
            log.exception("sessions at rest could not be forgotten")
        if are_left:
            self._forgetting = self._loop.call_soon(self._forget)
        elif self.resting:
            self._forgetting = self._loop.call_later(FORGET_EVERY_S, self._forget)

    def _discount(self, stated: Indicator, source: str) -> None:
        self.by_state[stated] -= 1
        self.by_source[source] -= 1


def _full(whose: str, most: int, setting: str, places: Sequence[str]) -> Rejected:
    return Rejected(
        429,
        "Too many sessions",
        f"{most} sessions {whose}are alive, which is the limit ({setting}); a new one is taken when one has ended",
        problems=tuple((place, "this session is new, and there is no room for it") for place in places),
        retry_after_s=CAP_RETRY_S,
    )
