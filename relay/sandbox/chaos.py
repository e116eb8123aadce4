"""How the stand-in platform misbehaves: rates for chance, a script for certainty, both changeable while it runs."""

from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from relay.core.moments import Ms

What = Literal["typing", "session", "token"]


class Forced(BaseModel):
    """The next answer to a call of kind `on`, whatever else is switched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: What = "typing"
    status: int | None = Field(None, ge=200, le=599)
    """None: do as usual, apart from the delays and the reset below."""
    headers: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] | str | None = None
    """None: the usual error body of `status`."""
    delay_ms: float = Field(0, ge=0, le=3_600_000)
    """Of the answer; a typing call was applied when it arrived."""
    applies_after_ms: float = Field(0, ge=0, le=3_600_000)
    """Of the doing itself: a typing call applied after its caller may have given up."""
    is_applied: bool | None = None
    """Whether the guest sees it; None: as the status says."""
    reset: bool = False
    """Close the connection instead of answering, after the call was read."""


class Chaos(BaseModel):
    """The standing misbehaviour; the defaults are the ones a relay has to live with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 1
    rate_429: float = Field(0.02, ge=0, le=1)
    rate_5xx: float = Field(0.01, ge=0, le=1)
    latency_ms: float = Field(200, ge=0, le=60_000)
    """The slowest usual answer; most are much faster (the square of a uniform draw)."""
    retry_after_s: str = "1"
    """As the header says it: seconds, a fraction or an HTTP-date."""
    token_life_s: float = Field(3600, gt=0, le=172_800)
    min_interval_ms: int = Field(0, ge=0, le=3_600_000)
    """Of one session, from answer to arrival; 0: none. Broken, it is a 429 that names the session's limit."""
    session_status: str = "ACTIVE"
    """Of every session not named in `sessions`; empty: such sessions are unknown (404)."""
    sessions: dict[str, str] = Field(default_factory=dict)

    conversation_per_minute: int = Field(12, ge=1, le=100_000)
    """Typing calls of one conversation that any rolling minute admits."""
    client_per_minute: int = Field(300, ge=1, le=1_000_000)
    """Calls about conversations that any rolling minute admits, of the client and of each signed-in agent."""
    longest_duration_ms: int = Field(5000, ge=100, le=3_600_000)
    """What a guest sees of a longer one. Whether the real platform honours more than 5 s is not known."""
    ended_status: Literal[400, 404, 409] = 400
    """The answer to typing on a leg that is disconnected: which one the real platform gives is not known."""
    is_permitted: bool = True
    """Whether callers have a permission to type in conversations, and to bring guests in."""
    may_read: bool = True
    """Whether callers have `conversation:communication:view`, which reading a conversation's legs needs."""
    wants_users: bool = False
    """Whether only a signed-in agent may type; whether the real platform takes a client's token is not known."""

    guest_session_s: float = Field(259_200, gt=0, le=47_304_000)
    """How long a guest's session lives: 72 h, and 18 months at most."""
    guest_origins: tuple[str, ...] = ()
    """Whence a guest's socket may come; empty: from anywhere."""
    guest_may_type: bool = True
    """Whether guests' own typing is taken (`showUserTypingIndicator`)."""
    shows_agent_typing: bool = True
    """What the deployment's configuration says of `showAgentTypingIndicator`; it is for the guest's client to obey."""

    @classmethod
    def none(cls) -> Self:
        """A platform that behaves."""
        return cls(rate_429=0, rate_5xx=0, latency_ms=0)

    def changed(self, **changes: object) -> Self:
        """With `changes` checked and applied. Raises pydantic.ValidationError."""
        return type(self).model_validate(self.model_dump() | changes)


class Mischief:
    """Draws from a `Chaos`, in the order of the calls: the same seed and the same calls give the same faults."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self._random = Random(chaos.seed)
        self._script: deque[Forced] = deque(maxlen=10_000)

    def change(self, changes: Mapping[str, object]) -> None:
        """Change the standing misbehaviour; a new `seed` begins its sequence. Raises pydantic.ValidationError."""
        self.chaos = self.chaos.changed(**changes)
        if "seed" in changes:
            self._random = Random(self.chaos.seed)

    def force(self, *answers: Forced) -> None:
        """These answers come next, each to the first call of its kind."""
        self._script.extend(answers)

    def next_forced(self, on: What) -> Forced | None:
        for forced in self._script:
            if forced.on == on:
                self._script.remove(forced)
                return forced
        return None

    def fault(self) -> int | None:
        """A status to answer with instead of doing the work, by the standing rates."""
        draw = self._random.random()
        if draw < self.chaos.rate_429:
            return 429
        return 503 if draw < self.chaos.rate_429 + self.chaos.rate_5xx else None

    def delay_ms(self) -> Ms:
        return self.chaos.latency_ms * self._random.random() ** 2


def scaled(amount: float, *, seed: int = 1, token_life_s: float = 60) -> Chaos:
    """The usual misbehaviour times `amount`: 0 behaves, 1 is the default, 10 a bad day. Tokens live a minute."""
    usual = Chaos()
    if amount == 0:
        return Chaos.none()
    return usual.changed(
        seed=seed,
        rate_429=min(1.0, usual.rate_429 * amount),
        rate_5xx=min(1.0, usual.rate_5xx * amount),
        latency_ms=usual.latency_ms * amount,
        token_life_s=token_life_s,
    )
