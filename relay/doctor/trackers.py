"""The way to each endpoint, up to TLS: its name, its address, its certificate. No request is sent.

What a tracker makes of a signed event is `typing-relay endpoints test`'s to find out.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

from aiohttp.abc import ResolveResult
from yarl import URL

from relay.core.destination import verdict
from relay.core.moments import UnixMs
from relay.doctor.finding import Finding, fail, ok, warn
from relay.names import Names
from relay.outbox.tls import tls_context
from relay.settings.endpoint import Endpoint

WAY_S = 5.0
EXPIRY_WARN_DAYS = 14
DAY_MS = 86_400_000


async def way_to(name: str, endpoint: Endpoint, *, wall: UnixMs) -> Finding:
    """Whether deliveries to this endpoint could begin, within five seconds."""
    about = f"endpoint {name}, way"
    if endpoint.proxy is not None:
        return warn(
            about, "not tried: its proxy makes the connection", f"try it: typing-relay endpoints test {name}"
        )
    try:
        async with asyncio.timeout(WAY_S):
            return await _tried(about, endpoint, wall)
    except (OSError, ValueError) as why:
        return fail(about, *_problem(why))


def _problem(why: OSError | ValueError) -> tuple[str, str]:
    """(what was seen, what to do)."""
    match why:
        case TimeoutError():
            return f"no connection within {WAY_S:.0f} s", "check its URL, the firewall and the way out"
        case socket.gaierror():
            return "its name is not known to this machine's resolver", "check its URL and DNS"
        case ssl.SSLError():
            said = getattr(why, "verify_message", "") or why.reason or "it failed"
            fix = "check its certificate and name, or set ca_file for an authority of your own"
            return f"no TLS: {said.replace('_', ' ').lower()}", fix
        case OSError():
            said = os.strerror(why.errno) if why.errno else type(why).__name__
            return f"no connection: {said}", "is the tracker running? check its URL and the firewall"
        case _:
            return "its certificate files cannot be used", str(why)


async def _tried(about: str, endpoint: Endpoint, wall: UnixMs) -> Finding:
    url = URL(endpoint.url)
    host, port = url.host or "", url.port or 443
    # Twice the time there is: who waits for all of it is told so, and nobody waits for the thread.
    found = await Names(timeout_s=2 * WAY_S).resolve(host, port, socket.AF_UNSPEC)
    open_ones = [one for one in found if not verdict(ip_address(one["host"]), endpoint.allow_cidrs)]
    if not open_ones:
        why = verdict(ip_address(found[0]["host"]), endpoint.allow_cidrs)
        return fail(
            about, f"its address is {why}", "if deliveries should go there, name its network in allow_cidrs"
        )
    context = _context(endpoint) if url.scheme == "https" else None
    async with connected_to_one_of(open_ones, context, host) as writer:
        secured: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        return ok(about, "it accepts connections") if secured is None else _certificate(about, secured, wall)


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    own = tls_context(endpoint.ca_file, endpoint.client_cert, endpoint.client_key)
    return own or ssl.create_default_context()


@asynccontextmanager
async def connected_to_one_of(
    found: Sequence[ResolveResult], context: ssl.SSLContext | None, host: str
) -> AsyncIterator[asyncio.StreamWriter]:
    """The first address that accepts; raises OSError with the last one's reason where none does."""
    *others, last = found
    for one in others:
        with suppress(OSError):  # no IPv6 on this machine, or nobody on that one of the name's addresses
            writer = await _connected(one, context, host)
            break
    else:
        writer = await _connected(last, context, host)
    try:
        yield writer
    finally:
        writer.transport.abort()  # nothing was said, so there is nothing to end politely


async def _connected(one: ResolveResult, context: ssl.SSLContext | None, host: str) -> asyncio.StreamWriter:
    """To the very address that was judged: a second look-up may be answered differently."""
    connection = socket.socket(one["family"], socket.SOCK_STREAM, one["proto"])
    connection.settimeout(0)  # as loops want it
    try:
        await asyncio.get_running_loop().sock_connect(connection, (one["host"], one["port"]))
        _, writer = await asyncio.open_connection(
            sock=connection, ssl=context, server_hostname=host if context else None
        )
    except BaseException:
        connection.close()
        raise
    return writer


def _certificate(about: str, secured: ssl.SSLObject, wall: UnixMs) -> Finding:
    seen = f"it accepts connections, {secured.version()}"
    ends = (secured.getpeercert() or {}).get("notAfter")
    if isinstance(ends, str):
        days = (ssl.cert_time_to_seconds(ends) * 1000 - wall) // DAY_MS
        if days < EXPIRY_WARN_DAYS:
            return warn(about, f"its certificate ends in {days} days", "renew it before it stops deliveries")
    return ok(about, seen)
