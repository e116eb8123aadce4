"""What the relay asks of a messaging platform, whichever it is."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from relay.core.indicator import Address, Wish
from relay.core.liveness import Liveness
from relay.core.moments import Ms
from relay.core.outcome import Outcome
from relay.core.pacer import Reach, reach_of
from relay.core.timings import Timings

__all__ = ["Capabilities", "Gateway", "Health", "HealthState", "Hold", "Liveness"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the platform can show. `honours_duration` False: that it displays longer than its profile says is not proven."""

    shows_paused: bool
    can_stop: bool
    message_clears: bool
    honours_duration: bool = True

    def reach(self, timings: Timings) -> Reach:
        """That, with the mode the operator chose; where durations are not honoured, displays last as in `timings`."""
        return reach_of(
            timings.stop_mode,
            shows_paused=self.shows_paused,
            can_stop=self.can_stop,
            message_clears=self.message_clears,
            longest_ms=None if self.honours_duration else timings.duration_ms,
        )


class HealthState(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"  # no token can be had, or the platform rejects the one we were given
    COOLING = "cooling"  # the platform asked everybody to wait, or counts our calls near their limit
    CIRCUIT_OPEN = "circuit_open"


@dataclass(frozen=True, slots=True)
class Health:
    """`reason` is for the operator: what was seen and what to do; empty if all is well."""

    state: HealthState
    reason: str = ""


class Hold(StrEnum):
    """Why nothing is sent for the moment; the value of `CIRCUIT_OPEN` is what trackers are told."""

    CIRCUIT_OPEN = "breaker_open"
    COOLING = "cooling_off"


class Gateway(Protocol):
    """One identity on one platform. Deadlines are points on the event loop's clock, in milliseconds."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def start(self) -> None:
        """Open connections and ask for a token in the background; does not wait for the platform."""
        ...

    async def close(self) -> None:
        """Abandon what is in flight. Nothing is sent afterwards."""
        ...

    def validate(self, address: Address) -> str | None:
        """What is wrong with `address` on this platform, in words and without its values; None if usable."""
        ...

    async def probe(self, address: Address, *, deadline_ms: Ms) -> Liveness:
        """Whether the session is still there: from memory where that is fresh, else asked once for all callers.

        Never later than `deadline_ms` nor half a second: an answer that is not in by then is `UNKNOWN`.
        """
        ...

    def forget(self, address: Address) -> None:
        """The session has ended: remember nothing of it."""
        ...

    async def show(self, address: Address, wish: Wish, *, deadline_ms: Ms) -> Outcome:
        """One HTTP call, never repeated.

        `Expired` means that nothing was shown and a new token is in hand: choose the payload again, take another
        permit and call once more inside the same deadline. A second `Expired` is to be read as `Unauthorised`.
        `Held`: nothing was sent, as everybody was asked to wait after `held_by` had been asked, or no request was left
        of the budget for what has to be known first, or the other end is not there yet.
        """
        ...

    def held_by(self, wish: Wish) -> Hold | None:
        """What keeps this from being sent now; None if it may be. To be asked before anything is booked as sent.

        While the platform asks everybody to wait, all is held; while its circuit is open, all but stops and one
        trial per 10 s, which is whichever call is made first.
        """
        ...

    def health(self) -> Health: ...
