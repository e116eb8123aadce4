"""Where the running relay's operations listener is, as far as the environment tells; no settings are read for it."""

import os
from collections.abc import Mapping
from ipaddress import ip_address

VARIABLE = "RELAY_OPERATIONS_URL"
DEFAULT = "http://127.0.0.1:9180, or as RELAY_OPERATIONS__HOST and RELAY_OPERATIONS__PORT say"
"""What --help says of `default_url`."""

_HOST, _PORT = "127.0.0.1", "9180"


def default_url() -> str:
    """The address where neither an option nor RELAY_OPERATIONS_URL says one."""
    return url_from(os.environ)


def url_from(environ: Mapping[str, str]) -> str:
    """As `serve` with this environment would listen; `environ` may say what is no address at all."""
    host = _reachable(environ.get("RELAY_OPERATIONS__HOST", "").strip() or _HOST)
    port = environ.get("RELAY_OPERATIONS__PORT", "").strip() or _PORT
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _reachable(host: str) -> str:
    """Who listens on every address is asked on this machine's own."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "::1" if address.version == 6 else _HOST
