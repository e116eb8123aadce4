"""Why a listener could not have its address, and what whoever chose it can do: the same words for every listener."""

import errno
import os
import socket

from relay.errors import SettingsError

_REMEDIES = {
    errno.EADDRINUSE: "choose another port",
    errno.EACCES: "choose a port of 1024 or more",
    errno.EADDRNOTAVAIL: "choose a host that is an address of this machine",
}


def not_bound(host: str, port: int, why: OSError | UnicodeError) -> SettingsError:
    """`why` is what binding failed with; a host that can be no name at all fails as a UnicodeError."""
    seen, remedy = _read(why)
    return SettingsError(f"cannot listen on {host} port {port}: {seen}; {remedy}")


def _read(why: OSError | UnicodeError) -> tuple[str, str]:
    """What was seen, and what to do."""
    if isinstance(why, UnicodeError | socket.gaierror):
        return "its host cannot be resolved", _REMEDIES[errno.EADDRNOTAVAIL]
    number = why.errno or errno.EADDRNOTAVAIL  # newer asyncio tells no number where no address could be bound
    return os.strerror(number), _REMEDIES.get(number, "choose another host or port")
