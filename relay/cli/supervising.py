"""What a service manager is told: sd_notify(3), by hand since it is one datagram."""

import os
import socket
from contextlib import suppress

VARIABLE = "NOTIFY_SOCKET"


def told(state: str) -> None:
    """Sends `state` (as in `READY=1`) to whoever started us and wants to know; nothing where nobody does."""
    address = os.environ.get(VARIABLE, "")
    if address.startswith(("/", "@")):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
            way.settimeout(0)  # a manager that does not read holds nobody up
            way.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
