"""Where the running relay's listeners are: what was said of them, or what the environment tells.

No settings are read for it: `healthcheck` must stay light.
"""

import os
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from relay.cli.common import Command

VARIABLE = "RELAY_OPERATIONS_URL"
DEFAULT = "http://127.0.0.1:9180, or as RELAY_OPERATIONS__HOST and RELAY_OPERATIONS__PORT say"
"""What --help says of `default_url`."""

WANTED = "wanted is http://HOST:PORT of a relay's operations listener, as `serve` prints it after operations="
FROM_PARTS = "RELAY_OPERATIONS__HOST and RELAY_OPERATIONS__PORT make none"

_HOST = "127.0.0.1"


class Listener(NamedTuple):
    """One of the relay's two: how its settings begin in the environment, and its usual port."""

    section: str
    port: str


PUBLIC, OPERATIONS = Listener("SERVER", "8080"), Listener("OPERATIONS", "9180")


class Address(NamedTuple):
    """A listener that can be asked. `path` is empty where none was said."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        """As a person may see it: whatever else the URL held may be a secret."""
        return _url(self.host, str(self.port))


def an_address(ctx: click.Context, param: click.Parameter, value: str) -> Address:
    """Click's callback for an option that takes one."""
    try:
        return address_of(value)
    except ValueError:
        is_made = ctx.get_parameter_source(param.name or "") is ParameterSource.DEFAULT
        words = f"{FROM_PARTS}; {WANTED}" if is_made else WANTED
        raise click.BadParameter(words, ctx, param) from None


def address_option(name: str, words: str) -> Callable[[Command], Command]:
    """The option `name` of a command that asks a running relay; `words` say what for."""
    return click.option(
        name,
        default=default_url,
        show_default=DEFAULT,
        envvar=VARIABLE,
        show_envvar=True,
        callback=an_address,
        help=words,
    )


def address_of(url: str) -> Address:
    """Raises ValueError for what is no http://HOST:PORT; user-info, query and fragment are left out."""
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port
    if parts.scheme != "http" or not host or not port or not host.isprintable() or " " in host:
        raise ValueError(WANTED)
    return Address(host, port, parts.path.rstrip("/"))


def unanswered(address: Address, why: Exception, option: str) -> str:
    """What is said where nothing answers at `address`, which `option` tells."""
    seen = getattr(why, "strerror", None) or type(why).__name__
    return f"no answer at {address}: {seen}; is the relay running, and is this its operations listener? {option} says where"


def default_url() -> str:
    """The address where neither an option nor RELAY_OPERATIONS_URL says one."""
    return url_from(os.environ, OPERATIONS)


def url_from(environ: Mapping[str, str], listener: Listener) -> str:
    """As `serve` with this environment would listen; `environ` may say what is no address at all."""
    host = _reachable(environ.get(f"RELAY_{listener.section}__HOST", "").strip() or _HOST)
    return _url(host, environ.get(f"RELAY_{listener.section}__PORT", "").strip() or listener.port)


def _url(host: str, port: str) -> str:
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
