"""A bearer token's life, and who may ask for the next one.

    none ──ask──► asking ──granted──► fresh ──renew_at──► asking (the old one still serves until expires_at)
                    ▲  │                └──rejected (401)──► none
                    │  └──refused/failed──► pausing ──not_before──┐
                    └─────────────────────────────────────────────┘

One request at a time, whoever asks. A token that a platform rejects is compared with the one in hand: of thirty
calls rejected together the first drops the token, the others find it gone or already replaced.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from math import isfinite

from relay.core.moments import Ms

EARLY_MS: Ms = 60_000.0
"""A token is renewed this much before its end, or at half its life if that is later."""

DEFAULT_LIFE_MS: Ms = 300_000.0
"""For an answer without a usable `expires_in` (RFC 6749 section 5.1 only recommends it): the platform's shortest."""

LONGEST_LIFE_MS: Ms = 172_800_000.0
"""48 h, the platform's longest; more is a unit mistaken."""

PAUSE_MS: Ms = 30_000.0
"""Between two log-ins after a refusal: wrong credentials do not mend in a second, and lock-outs are real."""

FIRST_PAUSE_MS: Ms = 1000.0
"""After a log-in that got no answer; doubles up to PAUSE_MS."""


@dataclass(frozen=True, slots=True)
class Token:
    """`after_rejection`: asked for because its predecessor was rejected."""

    secret: str = field(repr=False)
    fetched_at: Ms
    life_ms: Ms
    after_rejection: bool = False

    @property
    def expires_at(self) -> Ms:
        return self.fetched_at + self.life_ms

    @property
    def renew_at(self) -> Ms:
        return self.expires_at - min(EARLY_MS, self.life_ms / 2)


def life_of(expires_in: object) -> Ms:
    """The life an answer's `expires_in` promises: seconds as a number or its digits, else DEFAULT_LIFE_MS."""
    if isinstance(expires_in, str) and expires_in.isascii() and expires_in.isdigit():
        expires_in = float(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return DEFAULT_LIFE_MS
    if not isfinite(expires_in) or expires_in < 1:
        return DEFAULT_LIFE_MS
    return min(expires_in * 1000.0, LONGEST_LIFE_MS)


class Remedy(Enum):
    """What to do about a rejected token."""

    USE_NEWER = auto()
    RENEW = auto()
    GIVE_UP = auto()


@dataclass(slots=True)
class TokenCache:
    """The token in hand, and when the next may be asked for. The shell asks; this says whether."""

    cached: Token | None = None
    is_asking: bool = False
    is_proven: bool = False
    not_before: Ms = float("-inf")
    failures: int = 0
    was_rejected: bool = False

    def usable(self, now: Ms) -> Token | None:
        """The token to call with, if there is one that has not expired."""
        return self.cached if self.cached is not None and now < self.cached.expires_at else None

    def may_ask(self, now: Ms) -> bool:
        return not self.is_asking and now >= self.not_before

    def next_at(self) -> Ms:
        """When a log-in is due without anybody waiting for it."""
        renew_at = float("-inf") if self.cached is None else self.cached.renew_at
        return max(renew_at, self.not_before)

    def asked(self) -> None:
        self.is_asking = True

    def granted(self, secret: str, *, life_ms: Ms, asked_at: Ms) -> Token:
        """Life counts from the asking: the platform's own count cannot have begun earlier."""
        self.cached = Token(secret, asked_at, life_ms, after_rejection=self.was_rejected)
        self.is_asking = self.is_proven = self.was_rejected = False
        self.failures = 0
        self.not_before = float("-inf")
        return self.cached

    def refused(self, now: Ms) -> None:
        """The platform knows us not."""
        self.is_asking = False
        self.failures += 1
        self.not_before = now + PAUSE_MS

    def failed(self, now: Ms, *, wait_ms: Ms | None = None) -> None:
        """No usable answer; `wait_ms` is the platform's Retry-After."""
        self.is_asking = False
        self.failures += 1
        pause_ms = min(FIRST_PAUSE_MS * 2 ** min(self.failures - 1, 5), PAUSE_MS)
        self.not_before = now + max(pause_ms, wait_ms or 0.0)

    def proven(self, token: Token) -> None:
        """A call made with `token` was accepted."""
        if token is self.cached:
            self.is_proven = True

    def has_given_up(self, token: Token, now: Ms) -> bool:
        """True while a rejection of `token` is put up with: until it is replaced or proven, or a pause is over."""
        is_doubtful = token is self.cached and token.after_rejection and not self.is_proven
        return is_doubtful and now < token.fetched_at + PAUSE_MS

    def rejected(self, token: Token, now: Ms) -> Remedy:
        """What a 401 on a call made with `token` asks for.

        A replacement that is rejected too, before any call proved it, is no matter of age: it is given up for
        PAUSE_MS rather than replaced at every call.
        """
        if self.cached is not None and token is not self.cached:
            return Remedy.USE_NEWER
        if self.cached is None:
            return Remedy.RENEW if self.is_asking or self.may_ask(now) else Remedy.GIVE_UP
        if self.has_given_up(token, now):
            return Remedy.GIVE_UP
        self.cached = None
        self.was_rejected = True
        return Remedy.RENEW if self.is_asking or self.may_ask(now) else Remedy.GIVE_UP
