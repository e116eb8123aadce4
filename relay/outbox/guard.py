"""The last look before a connection: every address, however it was come by, is judged where the socket is made.

A check of the url sees no name's address, and a look-up of its own may be answered differently from the connection's
(DNS rebinding). aiohttp asks its socket factory for each address it is about to connect to: written out, resolved or
a proxy's.
"""

import errno
import socket
from collections.abc import Callable
from ipaddress import ip_address

from aiohappyeyeballs import AddrInfoType

from relay.core.destination import Network, verdict


class ForbiddenAddressError(OSError):
    """Nothing may be sent to this address; no packet was."""

    def __init__(self) -> None:
        # Always the same words: of several different errors aiohttp makes one of its own, and the kind is lost.
        super().__init__(errno.EACCES, "the address is not one deliveries may go to")


def guarded(allow: tuple[Network, ...]) -> Callable[[AddrInfoType], socket.socket]:
    """A socket factory that raises ForbiddenAddressError for what `core.destination` denies."""

    def make(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if verdict(ip_address(address[0]), allow):
            raise ForbiddenAddressError
        return socket.socket(family, kind, protocol)

    return make
