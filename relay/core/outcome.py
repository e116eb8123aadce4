"""What came of one broadcast: an expected answer is a value, never an exception.

    Shown         2xx: the platform accepted it
    CoolOff       429, or 503 with Retry-After: nothing was shown; wait
    Held          not sent at all, for now: no try was made; decide again
    Expired       401 and the token has just been renewed: nothing was shown; choose the payload afresh
    Unauthorised  401 with a fresh token too: nothing was shown
    Refused       any other 4xx (or 3xx), or the probe says gone: the platform will not have this session
    Unreachable   5xx, or no answer: `is_unknown` where the platform may have applied it all the same

`advice` is for the operator (what to grant, what to check); `message` is the platform's own word.
"""

from dataclasses import dataclass
from enum import StrEnum

from relay.core.moments import Ms


@dataclass(frozen=True, slots=True)
class Shown:
    status: int
    latency_ms: Ms


@dataclass(frozen=True, slots=True)
class CoolOff:
    """`wait_ms` is the platform's Retry-After, None if it named none. `for_session`: only this session waits.

    `status` None: a direct order that was held.
    """

    status: int | None
    wait_ms: Ms | None = None
    for_session: bool = False
    message: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing was sent, and nothing is the platform's fault: in `wait_ms` what is wanted then may be."""

    wait_ms: Ms
    message: str = ""
    status: None = None


@dataclass(frozen=True, slots=True)
class Expired:
    status: int = 401


@dataclass(frozen=True, slots=True)
class Unauthorised:
    status: int = 401
    message: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """`code` is `status` in words or the platform's own code; 400, 403, 404, 409, 410 are the usual ones."""

    status: int | None
    code: str
    message: str = ""
    advice: str = ""


class Failure(StrEnum):
    """Where an unanswered or failed call broke; a metric label."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    SERVER = "server"  # 5xx
    LOGIN = "login"  # no token could be had


@dataclass(frozen=True, slots=True)
class Unreachable:
    """`is_unknown`: the request may have reached the platform (timeout or reset after it was sent)."""

    kind: Failure
    status: int | None = None
    is_unknown: bool = False
    message: str = ""
    advice: str = ""


Outcome = Shown | CoolOff | Held | Expired | Unauthorised | Refused | Unreachable
