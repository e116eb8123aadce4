"""Two clocks, never compared with each other.

`Ms` is a point or a span on the event loop's monotonic clock, in milliseconds (fractions allowed): every
deadline lives on it. `UnixMs` is wall time in whole milliseconds since 1970: it is written into events, audit
rows and signatures, survives restarts, and orders nothing but what it was made for.
"""

from datetime import UTC, datetime, timedelta

Ms = float
UnixMs = int

NEVER: Ms = float("inf")

RFC3339_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)
"""RFC 3339 section 5.6, capitals only, at most nanoseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def rfc3339(at: UnixMs) -> str:
    """`2026-11-22T10:00:00.123Z`: UTC, always three decimals (RFC 3339 section 5.6)."""
    whole_s, ms = divmod(at, 1000)
    return f"{datetime.fromtimestamp(whole_s, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def from_rfc3339(text: str) -> UnixMs:
    """The instant of a text that matches `RFC3339_PATTERN`, cut to the millisecond.

    Raises ValueError where there is no such day, hour or offset.
    """
    return (datetime.fromisoformat(text) - _EPOCH) // _MS


def unix_ms_of(moment: datetime | None) -> UnixMs | None:
    """An aware `datetime`, cut to the millisecond; None is none."""
    return None if moment is None else (moment - _EPOCH) // _MS
