"""What is written down of a machine's life: calls and what came of them, clearings, crashes, changes of state."""

from dataclasses import dataclass

from relay.core.indicator import Cause, Indicator, Wish
from relay.core.moments import Ms
from relay.core.outcome import Shown, Unreachable
from relay.core.session import Change
from relay.core.settling import Settled
from tests.core.answers import Answer


@dataclass(slots=True)
class Sent:
    """One request: `desired` is what the public actors added up to at that instant, `life` which process sent it."""

    at: Ms
    wish: Wish
    desired: Indicator
    answer: Answer
    life: int
    done_at: Ms | None = None
    settled: Settled | None = None

    @property
    def indicator(self) -> Indicator:
        return self.wish.indicator

    @property
    def arrives_at(self) -> Ms | None:
        return None if self.answer.arrives_ms is None else self.at + self.answer.arrives_ms

    @property
    def is_direct(self) -> bool:
        return self.wish.cause is Cause.DIRECT

    @property
    def is_accepted(self) -> bool:
        return self.done_at is not None and isinstance(self.answer.outcome, Shown)

    @property
    def is_unknown(self) -> bool:
        outcome = self.answer.outcome
        return self.done_at is not None and isinstance(outcome, Unreachable) and outcome.is_unknown


@dataclass(frozen=True, slots=True)
class Cleared:
    """The platform took the indicator away because the agent's message arrived."""

    at: Ms


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process died; its successor's gate opens at `gate_at`."""

    at: Ms
    gate_at: Ms


@dataclass(frozen=True, slots=True)
class Freed:
    """The session had nothing left to do or to remember, and was dropped."""

    at: Ms


Entry = Sent | Cleared | Crashed | Freed
"""The diary's order is that of completions, clearings, crashes and forgettings."""


@dataclass(frozen=True, slots=True)
class Told:
    """A change of the session's state; `known` diary entries preceded it, `may_send`: the gate was open."""

    change: Change
    life: int
    session_no: int
    may_send: bool
    known: int
