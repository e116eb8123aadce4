"""How a client stands with its relay: when it may try again, and what is worth a line in the log.

       taken                  taken                        401, 403, 404 …
    ┌────────── WELL ◄─────────────────── AWAY ──────────────────────► REFUSED
    └──────────►  └── no answer, 429, 5xx ─►   (one line at each arrow)

One line per change, not per failure. A single failure that the next try heals is no change: a connection that was
closed while idle looks like that.
"""

import logging
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from relay.client.answers import Answer, Fault, Trouble
from relay.core.moments import NEVER, Ms

BACKOFF_MS: tuple[Ms, ...] = (50, 250, 1000, 2000, 5000)
"""The first is for the connection that was closed while idle, the last as long as a heartbeat may be late by."""

JITTER = 0.25
MOST_WAIT_MS: Ms = 60_000
"""A longer Retry-After is not a relay's: its own are seconds. A bot should not be silent for an hour by mistake."""

EARLY_MS: Ms = 1
"""A timer may fire early by the clock's resolution; what is due within it is due."""

SAID_AT = 2
HEALS_MS: Ms = 1000
"""Asked to wait for longer than this, a first failure is said at once: the next try is too far off to heal it unnoticed.
A second is what a source hears that is over its rate for a moment."""

MOST_SAID = 20


class Line(NamedTuple):
    level: int
    words: str


@dataclass(slots=True)
class Health:
    """Fed with every answer; `judge` returns the line to log, if there is one."""

    may_try_at: Ms = -NEVER
    fails: int = 0
    away: Trouble | None = None
    """Of the last failure, until something is taken: why nothing may be tried before its time."""
    _failed_at: Ms = -NEVER
    _said: str = ""
    _since: Ms = 0
    _said_of_events: set[str] = field(default_factory=set)

    def judge(self, answer: Answer, *, began: Ms, now: Ms, jitter: float) -> Line | None:
        """`began` is when the request left; of those that were on their way together one failure counts."""
        trouble = answer.trouble
        if trouble is None:
            return self._well(began, now)
        match trouble.fault:
            case Fault.AWAY:
                return self._away(trouble, began=began, now=now, jitter=jitter)
            case Fault.REFUSED:
                return self._refused(trouble, began=began, now=now)
            case Fault.CROWDED:
                return self._well(began, now) or self._once(
                    f"the relay has no room for more sessions: {trouble.words}"
                )
            case Fault.UNUSABLE:
                return self._well(began, now) or self._unusable(trouble)

    def silence(self, now: Ms, *, until: Ms) -> Trouble | None:
        """Why nothing may be tried before `until`: the last failure, for as long as it holds yet. None if something may."""
        if self.away is None or self.may_try_at < until:
            return None
        wait_s = (self.may_try_at - now) / 1000
        words = f"{self.away.words} (this was not sent: nothing will be for {wait_s:.0f} s)"
        return replace(self.away, words=words, retry_after_s=wait_s)

    def _well(self, began: Ms, now: Ms) -> Line | None:
        if began < self._failed_at:
            return None  # it was taken before the failure, whose wait holds
        self.fails, self.may_try_at, self.away = 0, now, None
        if not self._said:
            return None
        self._said = ""
        # As loud as its beginning was: Python's logging, not set up, shows no INFO, and the outage would seem to go on.
        return Line(
            logging.WARNING, f"the relay takes events again, after {(now - self._since) / 1000:.0f} s"
        )

    def _away(self, trouble: Trouble, *, began: Ms, now: Ms, jitter: float) -> Line | None:
        if began >= self._failed_at or not self.fails:  # or of one that another, which left later, has healed
            self.fails += 1
            self._failed_at = now
        self.away = trouble
        wait_ms = BACKOFF_MS[min(self.fails, len(BACKOFF_MS)) - 1] * (1 + JITTER * jitter)
        asked_ms = asked_wait_ms(trouble)
        self.may_try_at = max(self.may_try_at, now + max(wait_ms, asked_ms))
        if self.fails < SAID_AT and asked_ms <= HEALS_MS:
            return None
        words = f"the relay takes nothing{_how(trouble.status, asked_ms)}: {trouble.words}"
        return self._changed("away", now, logging.WARNING, words)

    def _refused(self, trouble: Trouble, *, began: Ms, now: Ms) -> Line | None:
        if began >= self._failed_at:
            self.away = None  # there was an answer since, and this is no longer why nothing is taken
        words = f"the relay refuses with {trouble.status}, and will until it is put right: {trouble.words}"
        return self._changed(f"refused {trouble.status}", now, logging.ERROR, words)

    def _changed(self, state: str, now: Ms, level: int, words: str) -> Line | None:
        if state == self._said:
            return None
        self._said, self._since = state, now
        return Line(level, f"{words}; this is said once")

    def _unusable(self, trouble: Trouble) -> Line | None:
        """One line for each way of being wrong, not for each event that is."""
        fields = "; ".join(f"{_unnumbered(place)}: {words}" for place, words in trouble.problems[:5])
        return self._once(f"the relay cannot use an event ({trouble.status}): {fields or trouble.words}")

    def _once(self, words: str) -> Line | None:
        if words in self._said_of_events or len(self._said_of_events) >= MOST_SAID:
            return None
        self._said_of_events.add(words)
        return Line(logging.ERROR, f"{words}; this is said once")


def asked_wait_ms(trouble: Trouble) -> Ms:
    """For how long the relay asks to be left alone, as far as that is believed."""
    return min((trouble.retry_after_s or 0) * 1000, MOST_WAIT_MS)


def _how(status: int, asked_ms: Ms) -> str:
    """` (429, for 30 s)`: as much of it as there is."""
    known = [str(status)] * bool(status) + [f"for {asked_ms / 1000:.0f} s"] * bool(asked_ms)
    return f" ({', '.join(known)})" if known else ""


def _unnumbered(place: str) -> str:
    first, _, rest = place.partition(".")
    return rest if first.isdecimal() else place
