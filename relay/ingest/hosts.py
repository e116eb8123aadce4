"""Whether a request was meant for this listener: `Host`, `Origin`, `Sec-Fetch-Site`.

A browser can be made to send requests to loopback by any page it shows, directly (foreign `Origin`) or after its
name was rebound to our address (foreign `Host`). Both are refused; a caller that is no browser sends neither header
and is not concerned. Pages the operator listed (`origins` of a source) may knock; what they may do is the
credentials' to say. Used by both listeners.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import hdrs

from relay.errors import Rejected
from relay.settings.models import is_loopback

Headers = Mapping[str, str]
"""Whatever case their names are in."""

_REMEMBERED_AT_MOST = 256  # honest callers use a handful of names; others are judged anew each time
_OWN_FETCHES = frozenset({"same-origin", "none"})


_FORWARDED = ("forwarded", "x-forwarded-", "via", "x-real-ip")
"""What the name of a header begins with that only a proxy adds. RFC 9110 section 7.6.3 asks each for Via, and few add it;
many a recipe for nginx sets X-Real-IP and nothing else. A proxy that adds none of them cannot be seen from here."""


class HostRule:
    """One listener's names: its own, loopback's, and `allowed_hosts` (`name`, or `name:port` for just that port)."""

    def __init__(self, host: str, allowed_hosts: Iterable[str] = ()) -> None:
        self.origins: frozenset[str] = frozenset()
        """Foreign pages that are let through all the same."""
        self._names = {_unbracketed(name.lower()) for name in (host, *allowed_hosts)}
        self._any_address = host in {"0.0.0.0", "::", ""}  # noqa: S104 - asked about, not bound
        self._verdicts: dict[str, bool] = {}

    def check(self, headers: Headers) -> None:
        """Returns for a request that was meant for us. Raises Rejected (400, 403)."""
        host = headers.get(hdrs.HOST)
        if host is None:
            raise Rejected(400, "No Host", "a Host header is wanted (RFC 9110 section 7.2)")
        if not self._is_ours(host):
            raise Rejected(403, "Unknown host", "this name is not among the listener's; see allowed_hosts")
        page = foreign_page(headers)
        if page is not None:
            if page in self.origins:
                return
            raise Rejected(403, "Foreign origin", "requests from pages of another origin are refused")
        fetch = headers.get(hdrs.SEC_FETCH_SITE)
        if fetch is not None and fetch not in _OWN_FETCHES:
            raise Rejected(403, "Foreign origin", "requests from pages of another site are refused")

    def listed_page(self, headers: Headers) -> str | None:
        """The foreign page that sent this, if it is one of `origins`."""
        page = foreign_page(headers)
        return page if page in self.origins else None

    def _is_ours(self, host: str) -> bool:
        verdict = self._verdicts.get(host)
        if verdict is None:
            verdict = self._judged(host.lower())
            if len(self._verdicts) < _REMEMBERED_AT_MOST:
                self._verdicts[host] = verdict
        return verdict

    def _judged(self, host: str) -> bool:
        name = _name(host)
        if name is None:
            return False
        # An address as Host cannot be a rebound name. It is ours if we listen on every address of the machine.
        is_own_address = self._any_address and _is_address(name)
        return is_loopback(name) or is_own_address or bool({host, name} & self._names)


def is_forwarded(headers: Headers) -> bool:
    """True where a proxy says so: the caller is not on this machine then, whatever the connection looks like."""
    return any(name.lower().startswith(_FORWARDED) for name in headers)


def foreign_page(headers: Headers) -> str | None:
    """The origin of the page that sent this, if it is a page and not one of ours."""
    origin = headers.get(hdrs.ORIGIN)
    return None if origin is None or _is_same(origin, headers.get(hdrs.HOST, "")) else origin


def _name(host: str) -> str | None:
    """`host` without its port, an IPv6 address without its brackets; None if it is no host at all."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # refuses what is no number
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _unbracketed(host: str) -> str:
    """As `_name` has it, so that an IPv6 address without a port is meant with any, like a name."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_same(origin: str, host: str) -> bool:
    """`null`, and anything that is not http or https, is nobody we know."""
    scheme, _, rest = origin.partition("://")
    return scheme in {"http", "https"} and rest.lower() == host.lower()
