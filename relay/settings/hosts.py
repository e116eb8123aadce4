"""The names a listener answers to, as a `Host` header has them; anything else there would match no request."""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Annotated

from pydantic import AfterValidator

# No name of a container network is too odd for a Host header: `_` occurs, and a full stop at the end.
_HOST = re.compile(
    r"([a-z0-9_][a-z0-9._-]*|\[(?P<ipv6>[0-9a-f:.]+)\])(:(?P<port>[0-9]{1,5}))?", re.ASCII | re.IGNORECASE
)


def _host(value: str) -> str:
    if not _is_host(value):
        raise ValueError(
            "a host is what a Host header has: relay.example, 192.0.2.7 or [2001:db8::7], with :port for just that "
            "port; no scheme, no path; `*` is nobody"
        )
    return value


def _is_host(value: str) -> bool:
    found = _HOST.fullmatch(value)
    if found is None or (found["ipv6"] and not _is_ipv6(found["ipv6"])):
        return False
    return found["port"] is None or 1 <= int(found["port"]) <= 65535


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


Host = Annotated[str, AfterValidator(_host)]
"""Whatever case it is in."""
