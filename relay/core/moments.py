"""Two clocks, never compared with each other.

`Ms` is a point or a span on the event loop's monotonic clock, in milliseconds (fractions allowed): every
deadline lives on it. `UnixMs` is wall time in whole milliseconds since 1970: it is written into events, audit
rows and signatures, survives restarts, and orders nothing but what it was made for.
"""

from datetime import UTC, datetime

Ms = float
UnixMs = int

NEVER: Ms = float("inf")


def rfc3339(at: UnixMs) -> str:
    """`2026-11-22T10:00:00.123Z`: UTC, always three decimals (RFC 3339 section 5.6)."""
    whole_s, ms = divmod(at, 1000)
    return f"{datetime.fromtimestamp(whole_s, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"
