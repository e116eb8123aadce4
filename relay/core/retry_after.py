"""How long a peer asks us to wait: the one reading of `Retry-After` for platforms and receivers alike."""

import re
from datetime import UTC, datetime
from email.utils import parsedate

from relay.core.moments import Ms, UnixMs

MAX_WAIT_MS: Ms = 3_600_000.0
"""A longer wish is cut to this: beyond an hour a peer's clock is likelier to be wrong than its wish to be meant."""

_SECONDS = re.compile(r"[0-9]{1,64}(\.[0-9]{1,64})?")
# RFC 9110 section 5.6.7: IMF-fixdate and the two obsolete forms a recipient must still read.
_HTTP_DATE = re.compile(
    r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    r"|[A-Z][a-z]{5,8}, [0-9]{2}-[A-Z][a-z]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}"
)


def parse_retry_after(value: str | None, wall: UnixMs) -> Ms | None:
    """Milliseconds to wait from now, 0..MAX_WAIT_MS, in whole ones and never rounded down; None if unreadable.

    Seconds (RFC 9110 section 10.2.3), fractions of them (not in the RFC, but sent), or an HTTP-date against
    `wall`; a date that has passed asks for no wait.
    """
    if value is None:
        return None
    text = value.strip(" \t")
    wait_ms = _of_seconds(text) if _SECONDS.fullmatch(text) else _until_date(text, wall)
    return None if wait_ms is None else min(wait_ms, MAX_WAIT_MS)


def _of_seconds(text: str) -> Ms:
    whole, _, fraction = text.partition(".")
    # Decimal digits, not a float: 1.001 s must not become 1000.9999 ms and then 1001 by luck.
    thousandths = int((fraction + "000")[:3])
    is_rest = fraction[3:].strip("0") != ""
    return min(float(int(whole) * 1000 + thousandths + is_rest), MAX_WAIT_MS)


def _until_date(text: str, wall: UnixMs) -> Ms | None:
    parsed = parsedate(text) if _HTTP_DATE.fullmatch(text) else None
    if parsed is None:
        return None
    try:
        at = datetime(*parsed[:6], tzinfo=UTC)
    except ValueError:
        return None  # the thirtieth of February
    return float(max(0, int(at.timestamp()) * 1000 - wall))
