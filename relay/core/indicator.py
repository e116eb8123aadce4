"""What a guest may be shown, why the platform is told, and which telling gives way when the budget is short."""

from enum import IntEnum, StrEnum
from typing import NamedTuple


class Indicator(StrEnum):
    """The Guest API's words (`type` of its typing call)."""

    TYPING = "typing"
    PAUSED = "paused"
    STOPPED = "typing_stopped"


# Looked up once: through its class a member costs 95 ns a time (Python 3.11), and these are met at every step.
_TYPING, _PAUSED, _STOPPED = Indicator


def stronger(one: Indicator, other: Indicator) -> Indicator:
    """Typing, else paused, else stopped: the join of two actors, whatever their order."""
    if one is _TYPING or other is _TYPING:
        return _TYPING
    return _PAUSED if one is _PAUSED or other is _PAUSED else _STOPPED


class Cause(StrEnum):
    """Why one broadcast was made; `cause` of `typing_indicator.broadcast`."""

    START = "start"
    REFRESH = "refresh"
    PAUSE = "pause"
    STOP = "stop"
    DIRECT = "direct"


class Rank(IntEnum):
    """Order of service when permits are short: lowest first, so a stop is dropped last."""

    STOP = 0
    START = 1
    REFRESH = 2
    PAUSE = 3


class Wish(NamedTuple):
    """One indicator to show now. What is sent is built when a permit is in hand; only an order is kept until then.

    A named tuple: it is built at every look at a session that has something to tell, for half of a frozen dataclass's
    price.
    """

    indicator: Indicator
    duration_ms: int
    cause: Cause


class Address(NamedTuple):
    """The ids of one session on one platform; which of them are needed is the gateway's to say.

    A named tuple, since each event brings one: half of a frozen dataclass's price to make, a third to compare.
    """

    session_id: str
    guest_id: str | None = None
    communication_id: str | None = None
    agent_user_id: str | None = None


ADDRESS_FIELDS = ("sessionId", "guestId", "communicationId", "agentUserId")
"""The wire's names of an address's ids, in its order."""


def field_of(problem: str) -> str | None:
    """Which of an address's ids a gateway's words about it are about: they begin with its name, where they are about one."""
    field = problem.split(maxsplit=1)[0].rstrip(":")
    return field if field in ADDRESS_FIELDS else None


SessionKey = tuple[str, str]
"""(gateway name, session id)."""
