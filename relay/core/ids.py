"""Identifiers: which ones are taken in, how they go into a path, and how ours are made."""

import re
from collections.abc import Sequence
from urllib.parse import quote

from relay.core.moments import UnixMs

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$"
"""Session, guest and actor ids. The first character rules out `.`, `..` and the empty id; no `/`, `?`, `#`, `%`
or control character can reach a path. Without look-around, so that pydantic's engine reads it too."""

UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
"""RFC 9562 section 4's text form, any version and variant: platforms mint ids that newer validators refuse.

In lower case, as programs are to write it there. Two spellings of one session would be two, each with a pace of its own.
"""

TRACEPARENT_PATTERN = r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
"""W3C Trace Context section 3.2, version 00. The all-zero ids it also matches are for `is_traceparent`."""

_ID = re.compile(ID_PATTERN)
_IDS = re.compile(f"{ID_PATTERN[1:-1]}(?:\n{ID_PATTERN[1:-1]})*")
_UUID = re.compile(UUID_PATTERN)
_TRACEPARENT = re.compile(TRACEPARENT_PATTERN)
_DOTS = frozenset({"", ".", ".."})


def is_id(value: str) -> bool:
    return _ID.fullmatch(value) is not None


def are_ids(values: Sequence[str]) -> bool:
    """`is_id` of each, in one look: a third of the price. Raises TypeError for what is no text."""
    joined = "\n".join(values)
    return not values or (_IDS.fullmatch(joined) is not None and joined.count("\n") == len(values) - 1)


def is_uuid(value: str) -> bool:
    """True for 8-4-4-4-12 hexadecimal digits in lower case."""
    return _UUID.fullmatch(value) is not None


def is_traceparent(value: str) -> bool:
    """True for a traceparent that names a trace and a span: W3C forbids all-zero ids."""
    if _TRACEPARENT.fullmatch(value) is None:
        return False
    _, trace_id, span_id, _ = value.split("-")
    return trace_id.strip("0") != "" and span_id.strip("0") != ""


def path_segment(value: str) -> str:
    """`value` percent-encoded (RFC 3986 section 3.3) so that it is exactly one segment of a path.

    Raises ValueError for the empty segment, `.` and `..`: no encoding keeps a server from resolving them.
    """
    if value in _DOTS:
        raise ValueError("an empty or dotted id cannot be a path segment; check the id's pattern first")
    return quote(value, safe="")


def uuid7_ms(text: str) -> UnixMs | None:
    """When a UUID version 7 was made; None for any other text."""
    if _UUID.fullmatch(text) is None or text[14] != "7":
        return None
    return int(text[:8] + text[9:13], 16)


def uuid7(unix_ms: UnixMs, random_bits: int) -> str:
    """A UUID version 7 (RFC 9562 section 5.7): sorts by `unix_ms`, the low 74 bits of `random_bits` fill the rest."""
    time_bits = unix_ms & (1 << 48) - 1
    rand_a = random_bits >> 62 & 0xFFF
    rand_b = random_bits & (1 << 62) - 1
    digits = f"{time_bits << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
