"""Whether each listener's port can be had, or is held already, and by a relay or by something else."""

import errno
import http.client
import socket
from contextlib import closing

from relay import wire
from relay.core.destination import is_loopback
from relay.doctor.finding import Finding, fail, ok, warn
from relay.settings.models import Settings

ASK_S = 2.0

MARKS = {"server": ("/openapi.json", "openapi"), "operations": ("/readyz", "configGeneration")}
"""What each listener of ours answers, and the key by which its JSON is known."""


def ports(settings: Settings) -> list[Finding]:
    places = {
        "server": (settings.server.host, settings.server.port),
        "operations": (settings.operations.host, settings.operations.port),
    }
    return [
        verdict(
            f"{name} port {port}",
            problem := bind_errno(host, port),
            is_ours=problem is not None and _is_ours(name, host, port),
        )
        for name, (host, port) in places.items()
    ]


def verdict(about: str, problem: int | None, *, is_ours: bool) -> Finding:
    """`problem`: the system's word on binding it, None if it may be had."""
    if problem is None:
        return ok(about, "free")
    if problem == errno.EADDRINUSE and is_ours:
        return warn(
            about, "held by a running relay", "nothing, if that is this relay; else choose another port"
        )
    if problem == errno.EADDRINUSE:
        return fail(about, "held by another program", "stop that program, or choose another port")
    if problem == errno.EACCES:
        return fail(
            about, "this user may not listen there", "choose a port of 1024 or more, with a proxy before it"
        )
    fix = "set its host to an address of this machine"
    return fail(about, "this machine has no such address" if problem else "its host cannot be resolved", fix)


def bind_errno(host: str, port: int) -> int | None:
    """What keeps a listener from this address; 0 where the name is unknown. Nobody can connect meanwhile."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return 0
    for family, kind, protocol, _, address in found:
        with closing(socket.socket(family, kind, protocol)) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                one.bind(address)
            except OSError as why:
                return why.errno
    return None


def _is_ours(name: str, host: str, port: int) -> bool:
    path, mark = MARKS[name]
    where = host if is_loopback(host) else "127.0.0.1"
    try:
        with closing(http.client.HTTPConnection(where, port, timeout=ASK_S)) as connection:
            connection.request("GET", path)
            told = wire.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError, wire.NotJson):
        return False
    return isinstance(told, dict) and mark in told
