"""How much of its limit a platform says is used, and how long to wait so that it is not used up.

Genesys Cloud's answers carry `inin-ratelimit-count` (calls so far), `-allowed` (the limit) and `-reset` (seconds until
they are forgiven). Our own budget keeps our calls inside the limit; the count also knows of those that others make
with the same client.
"""

import re
from collections.abc import Mapping

from relay.core.moments import Ms

COUNT, ALLOWED, RESET = "inin-ratelimit-count", "inin-ratelimit-allowed", "inin-ratelimit-reset"

SCARCE = 4
"""From the last quarter of the limit on, what is left is spread over the time until it is whole again."""

LONGEST_RESET_S = 120
"""The limits are per minute; 61 s were seen. A larger number is not a reset to be obeyed."""

_WHOLE = re.compile(r"[0-9]{1,9}")


def pause_ms(headers: Mapping[str, str]) -> Ms:
    """How long to make no call after an answer with these headers; 0.0 where nothing is short or nothing is said."""
    count, allowed, reset_s = (_whole(headers.get(name)) for name in (COUNT, ALLOWED, RESET))
    if count is None or not allowed or reset_s is None or reset_s > LONGEST_RESET_S:
        return 0.0
    left = allowed - count
    if left * SCARCE > allowed:
        return 0.0
    return reset_s * 1000.0 / max(1, left)


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and _WHOLE.fullmatch(value.strip()) else None
