"""Which headers an operator may add to a delivery: any that are not ours to say, and cannot break the request."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name (RFC 9110 5.6.2)."""

VALUE: Final = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?")
"""A header's value (RFC 9110 5.5): visible ASCII, spaces only inside. A line break would begin another header."""

OURS: Final = frozenset({"content-type", "user-agent", "traceparent"})

FRAMING: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""How the message is cut and carried (RFC 9110 7.6.1, RFC 9112 6): the connection's to say."""

MOST_BYTES: Final = 4096
"""All together: receivers commonly take heads of 8 KiB."""


def header_problems(headers: Mapping[str, str]) -> Iterator[str]:
    """What keeps these headers from being sent; without their values, which may be secrets."""
    names = [name.lower() for name in headers]
    if any(not TOKEN.fullmatch(name) for name in headers):
        yield "a name has other characters than letters, digits and !#$%&'*+-.^_`|~"
    if taken := sorted(name for name in names if is_ours(name)):
        yield f"{', '.join(taken)}: set by the relay itself, leave it out"
    if len(set(names)) < len(names):
        yield "a name stands there twice; upper and lower case are the same"
    if any(not VALUE.fullmatch(value) for value in headers.values()):
        yield "a value is empty, or has a line break, outer space or other than ASCII"
    if sum(len(name) + len(value) for name, value in headers.items()) > MOST_BYTES:
        yield f"they are longer than {MOST_BYTES} bytes together"


def is_ours(name: str) -> bool:
    """True for a lower-case name that only the relay may set."""
    return name in OURS or name in FRAMING or name.startswith("webhook-")
