"""Where deliveries may go: public addresses, and those the operator names.

An endpoint's url leads wherever its host says, and a relay stands inside somebody's network: without these rules it
would carry a request to the metadata service, the router or the database for whoever can change a url or a DNS record.

    url ──at load──► url_problems: scheme, credentials, an address written out
    name ──resolved──► address ──at connect──► verdict: None, or why not

`ipaddress.is_global` is no such rule: it calls multicast, 64:ff9b::/96 and fec0::/10 global, and knows the registries
of the day its Python was released. The table below is complete instead: whatever it does not deny is unicast that
the IANA special-purpose registries (RFC 6890) say nothing about.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Denied:
    """A network nothing is sent to, what it is, and who says so."""

    network: Network
    what: str
    source: str


def _denied(network: str, what: str, source: str) -> Denied:
    return Denied(ip_network(network), what, source)


DENIED: Final = (
    _denied("0.0.0.0/8", "this host on this network", "RFC 1122 3.2.1.3"),
    _denied("10.0.0.0/8", "private", "RFC 1918"),
    _denied("100.64.0.0/10", "a carrier's shared space", "RFC 6598"),
    _denied("127.0.0.0/8", "loopback", "RFC 1122 3.2.1.3"),
    _denied("168.63.129.16/32", "Azure's host", "learn.microsoft.com, What is IP address 168.63.129.16"),
    _denied("169.254.0.0/16", "link-local", "RFC 3927"),
    _denied("172.16.0.0/12", "private", "RFC 1918"),
    _denied("192.0.0.0/24", "for protocols", "RFC 6890"),
    _denied("192.0.2.0/24", "documentation", "RFC 5737"),
    _denied("192.31.196.0/24", "a name server's sink", "RFC 7535"),
    _denied("192.52.193.0/24", "multicast relays", "RFC 7450"),
    _denied("192.88.99.0/24", "6to4 relays", "RFC 7526"),
    _denied("192.168.0.0/16", "private", "RFC 1918"),
    _denied("192.175.48.0/24", "a name server's sink", "RFC 7534"),
    _denied("198.18.0.0/15", "benchmarking", "RFC 2544"),
    _denied("198.51.100.0/24", "documentation", "RFC 5737"),
    _denied("203.0.113.0/24", "documentation", "RFC 5737"),
    _denied("224.0.0.0/4", "multicast", "RFC 5771"),
    _denied("240.0.0.0/4", "reserved, or broadcast", "RFC 1112 4, RFC 919"),
    _denied("::/128", "unspecified", "RFC 4291 2.5.2"),
    _denied("::1/128", "loopback", "RFC 4291 2.5.3"),
    _denied("::/96", "IPv4-compatible, whatever it holds", "RFC 4291 2.5.5.1"),
    # Where the IPv4 address stands in it is the network's own choice (RFC 6052 2.2): it cannot be unwrapped.
    _denied("64:ff9b:1::/48", "a network's own NAT64", "RFC 8215"),
    _denied("100::/64", "discarded", "RFC 6666"),
    _denied("100:0:0:1::/64", "a dummy", "RFC 9780"),
    # A Teredo client stands behind a home router; nobody receives webhooks there, whichever address is inside.
    _denied("2001::/32", "Teredo", "RFC 4380"),
    _denied("2001::/23", "for protocols", "RFC 2928"),
    _denied("2001:db8::/32", "documentation", "RFC 3849"),
    _denied("2620:4f:8000::/48", "a name server's sink", "RFC 7534"),
    _denied("3fff::/20", "documentation", "RFC 9637"),
    _denied("5f00::/16", "segment routing", "RFC 9602"),
    _denied("fc00::/7", "private", "RFC 4193"),
    _denied("fe80::/10", "link-local", "RFC 4291 2.5.6"),
    _denied("fec0::/10", "site-local", "RFC 3879"),
    _denied("ff00::/8", "multicast", "RFC 4291 2.7"),
    # IANA gives out global unicast from 2000::/3 only; these three are everything beside it.
    _denied("::/3", "not global unicast", "RFC 4291 2.4"),
    _denied("4000::/2", "not global unicast", "RFC 4291 2.4"),
    _denied("8000::/1", "not global unicast", "RFC 4291 2.4"),
)
"""The first row that holds an address names it, so the narrow ones stand before those around them."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """IPv6 addresses that lead to the IPv4 address in them, `shift` bits from the right."""

    network: IPv6Network
    shift: int
    source: str


WRAPPED: Final = (
    Wrapped(IPv6Network("::ffff:0:0/96"), 0, "IPv4-mapped, RFC 4291 2.5.5.2"),
    Wrapped(IPv6Network("64:ff9b::/96"), 0, "NAT64, RFC 6052 2.1"),
    Wrapped(IPv6Network("2002::/16"), 80, "6to4, RFC 3056 2"),
)

LOOPBACK: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
LOCALHOST: Final[tuple[Address, ...]] = (ip_address("127.0.0.1"), ip_address("::1"))
"""What `localhost` may mean (RFC 6761 6.3)."""

HEXADECIMAL: Final = frozenset("0123456789abcdef")


def unwrapped(address: Address) -> Address:
    """Where packets for this address end: the IPv4 address in it, or itself."""
    for form in WRAPPED:
        if address in form.network:
            return IPv4Address(int(address) >> form.shift & 0xFFFFFFFF)
    return address


def verdict(address: Address, allow: Iterable[Network] = ()) -> str | None:
    """Why nothing may be sent to this address; None if it may.

    `allow` opens exactly what it names, and whatever wraps that: with 10.0.0.0/8 also ::ffff:10.0.0.1, which is the
    same machine.
    """
    destination = unwrapped(address)
    if any(address in network or destination in network for network in allow):
        return None
    row = next((row for row in DENIED if destination in row.network), None)
    return f"{row.what} ({row.source})" if row else None


def written_out(host: str) -> tuple[Address, ...]:
    """The addresses a host stands for without being looked up: one for a literal, two for `localhost`, or none."""
    if host.lower().rstrip(".") == "localhost":
        return LOCALHOST
    try:
        return (ip_address(host),)
    except ValueError:
        return ()


def is_loopback(host: str) -> bool:
    """True for `localhost` and a literal loopback address; a name is never looked up."""
    return any(unwrapped(address).is_loopback for address in written_out(host))


def opened_by(host: str) -> tuple[Network, ...]:
    """What an operator who gives nothing but a url has opened with it: this machine, where it leads there."""
    return LOOPBACK if is_loopback(host) else ()


def url_problems(
    scheme: str, host: str | None, *, has_credentials: bool, allow_http: bool, allow: tuple[Network, ...]
) -> list[str]:
    """What keeps a url of these parts from being an endpoint's, in words and without the url."""
    problems = [
        _protocol_problem(scheme, host or "", allow_http=allow_http),
        _host_problem(host or "", allow),
        "it holds credentials: take them out, deliveries are proven by their signature"
        if has_credentials
        else None,
    ]
    return [problem for problem in problems if problem]


def proxy_problems(scheme: str, host: str | None, *, allow: tuple[Network, ...]) -> Iterator[str]:
    """What keeps a url of these parts from being a proxy's; it may hold credentials."""
    if scheme not in ("http", "https") or not host:
        yield "it is neither http:// nor https:// and a host: no other proxy is spoken to"
    elif problem := _host_problem(host, allow):
        yield problem


def _protocol_problem(scheme: str, host: str, *, allow_http: bool) -> str | None:
    if scheme not in ("http", "https") or not host:
        return "it is neither https:// nor http:// and a host: no other scheme is spoken"
    if scheme == "http" and not (allow_http or is_loopback(host)):
        return "it is plain http to another machine: use https, or set allow_http for a trusted network"
    return None


def _host_problem(host: str, allow: tuple[Network, ...]) -> str | None:
    verdicts = [verdict(address, allow) for address in written_out(host)]
    if verdicts and all(verdicts):
        return f"its address is {verdicts[0]}: if deliveries should go there, name its network in allow_cidrs"
    if not verdicts and _ends_in_a_number(host):
        return "its host is a number, and not an address as it is usually written: use four decimal numbers"
    return None


def _ends_in_a_number(host: str) -> bool:
    """True for what a resolver may take for an IPv4 address: 127.1, 0x7f000001 (WHATWG URL, "ends in a number").

    No name is lost by it: there is no numeric top-level domain.
    """
    last = host.lower().removesuffix(".").rpartition(".")[2]
    return last.isdecimal() or (last.startswith("0x") and set(last[2:]) <= HEXADECIMAL)
