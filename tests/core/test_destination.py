"""The address table against the registries it answers to: IANA's IPv4 and IPv6 special-purpose address registries
(iana.org/assignments/iana-ipv4-special-registry, iana-ipv6-special-registry), multicast and site-local beside them.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
import ssrfguard
from hypothesis import given
from hypothesis import strategies as st

from relay.core.destination import (
    DENIED,
    LOOPBACK,
    WRAPPED,
    Address,
    Network,
    is_loopback,
    opened_by,
    proxy_problems,
    unwrapped,
    url_problems,
    verdict,
)

IPV4_REGISTRY = """
0.0.0.0/8           RFC 791     0.0.0.0/32          RFC 1122    10.0.0.0/8          RFC 1918
100.64.0.0/10       RFC 6598    127.0.0.0/8         RFC 1122    169.254.0.0/16      RFC 3927
172.16.0.0/12       RFC 1918    192.0.0.0/24        RFC 6890    192.0.0.0/29        RFC 7335
192.0.0.8/32        RFC 7600    192.0.0.9/32        RFC 7723    192.0.0.10/32       RFC 8155
192.0.0.170/32      RFC 7050    192.0.0.171/32      RFC 7050    192.0.2.0/24        RFC 5737
192.31.196.0/24     RFC 7535    192.52.193.0/24     RFC 7450    192.88.99.0/24      RFC 7526
192.88.99.2/32      RFC 6751    192.168.0.0/16      RFC 1918    192.175.48.0/24     RFC 7534
198.18.0.0/15       RFC 2544    198.51.100.0/24     RFC 5737    203.0.113.0/24      RFC 5737
240.0.0.0/4         RFC 1112    255.255.255.255/32  RFC 919     224.0.0.0/4         RFC 5771
"""

IPV6_REGISTRY = """
::1/128             RFC 4291    ::/128              RFC 4291    64:ff9b:1::/48      RFC 8215
100::/64            RFC 6666    100:0:0:1::/64      RFC 9780    2001::/23           RFC 2928
2001::/32           RFC 4380    2001:1::1/128       RFC 7723    2001:1::2/128       RFC 8155
2001:1::3/128       RFC 9665    2001:2::/48         RFC 5180    2001:3::/32         RFC 7450
2001:4:112::/48     RFC 7535    2001:10::/28        RFC 4843    2001:20::/28        RFC 7343
2001:30::/28        RFC 9374    2001:db8::/32       RFC 3849    2620:4f:8000::/48   RFC 7534
3fff::/20           RFC 9637    5f00::/16           RFC 9602    fc00::/7            RFC 4193
fe80::/10           RFC 4291    fec0::/10           RFC 3879    ff00::/8            RFC 4291
"""

BLOCKS = [word for word in (IPV4_REGISTRY + IPV6_REGISTRY).split() if "/" in word]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2001:db7:ffff:ffff::1",
    "2001:db9::1",
    "2606:4700:4700::1111",
    "2620:4f:7fff::1",
    "2a00:1450:4001::1",
    "3ffe:ffff::1",
]
"""Well-known ones, and the neighbours of what is denied."""

METADATA = {
    "Amazon, Azure, Google, …": "169.254.169.254",
    "Amazon, containers": "169.254.170.2",
    "Amazon, IPv6": "fd00:ec2::254",
    "Google, IPv6": "fd20:ce::254",
    "Alibaba": "100.100.100.200",
    "Oracle": "192.0.0.192",
    "Azure, the host": "168.63.129.16",
}
"""Where clouds keep a machine's credentials."""

IS_GLOBAL_IS_WRONG = [
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.250",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "::7f00:1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "5f00::1",
]
"""What `ipaddress` of 3.11.7 calls global; a later Python may have learned some of it."""


def networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


def edges(block: str) -> list[Address]:
    network = ip_network(block)
    return [network[0], network[network.num_addresses // 2], network[-1]]


def neighbours(block: str) -> list[Address]:
    network = ip_network(block)
    outside = int(network[0]) - 1, int(network[-1]) + 1
    return [type(network[0])(n) for n in outside if 0 <= n < 2**network.max_prefixlen]


def wrappings(address: str) -> list[Address]:
    """IPv6 forms that lead to an IPv4 address, built bit by bit as the RFCs draw them."""
    bits = int(IPv4Address(address))
    return [
        IPv6Address(f"::ffff:{address}"),
        IPv6Address((0x0064_FF9B << 96) | bits),
        IPv6Address((0x2002 << 112) | (bits << 80) | 1),
    ]


@pytest.mark.parametrize("block", BLOCKS)
def test_nothing_is_sent_into_a_block_of_the_registries(block: str) -> None:
    assert all(verdict(address) for address in edges(block))


@pytest.mark.parametrize("block", [block for block in BLOCKS if ":" not in block])
def test_nothing_is_sent_there_in_ipv6_clothes_either(block: str) -> None:
    assert all(verdict(form) for address in edges(block) for form in wrappings(str(address)))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_open(address: str) -> None:
    assert verdict(ip_address(address)) is None


@pytest.mark.parametrize("address", [address for address in PUBLIC if ":" not in address])
def test_a_public_address_is_open_in_ipv6_clothes(address: str) -> None:
    assert [verdict(form) for form in wrappings(address)] == [None, None, None]


@pytest.mark.parametrize("place", METADATA)
def test_no_cloud_gives_away_its_credentials(place: str) -> None:
    assert verdict(ip_address(METADATA[place]))


@pytest.mark.parametrize("address", ["::8.8.8.8", "64:ff9b:1::808:808", "2001:0:808:808::f7f7:f7f7"])
def test_forms_that_lead_nowhere_certain_are_denied_with_a_public_address_in_them(address: str) -> None:
    """IPv4-compatible, a network's own NAT64, Teredo."""
    assert verdict(ip_address(address))


@pytest.mark.parametrize(
    "address", ["::2", "1::1", "1fff:ffff::1", "4000::1", "8000::1", "e000::1", "fbff::1"]
)
def test_of_ipv6_only_global_unicast_is_open(address: str) -> None:
    """RFC 4291 2.4 and IANA's IPv6 address space registry: 2000::/3."""
    assert verdict(ip_address(address))


def test_is_global_would_have_let_pass_what_is_denied_here() -> None:
    addresses = [ip_address(address) for address in IS_GLOBAL_IS_WRONG]
    assert all(verdict(address) for address in addresses)
    assert any(address.is_global for address in addresses), (
        "if Python has learned them all, this table may go"
    )


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_whatever_is_open_is_global_to_python_too(address: Address) -> None:
    if verdict(address) is None:
        assert unwrapped(address).is_global


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_an_open_address_is_in_no_block_of_the_registries(address: Address) -> None:
    is_listed = any(unwrapped(address) in ip_network(block) for block in BLOCKS)
    assert not (is_listed and verdict(address) is None)


@pytest.mark.parametrize("block", ssrfguard.DEFAULT_DENIED.blocks, ids=lambda block: str(block.network))
def test_whatever_another_guards_table_denies_is_denied(block: ssrfguard.Block) -> None:
    """At its edges, inside and just outside; only where it opens what IANA reserves do we deny more."""
    theirs = ssrfguard.DEFAULT_DENIED
    around = edges(str(block.network)) + neighbours(str(block.network))
    assert [a for a in around if theirs.classify(a).blocked and verdict(a) is None] == []


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_an_open_address_is_open_to_another_guard(address: Address) -> None:
    if verdict(address) is None:
        assert not ssrfguard.DEFAULT_DENIED.classify(address).blocked


def test_a_verdict_says_what_the_address_is_and_who_says_so() -> None:
    assert verdict(ip_address("10.1.2.3")) == "private (RFC 1918)"
    assert verdict(ip_address("::ffff:127.0.0.1")) == "loopback (RFC 1122 3.2.1.3)"


def test_every_row_can_be_the_first_that_holds_an_address() -> None:
    hidden = [
        row
        for n, row in enumerate(DENIED)
        if any(
            row.network.version == other.network.version
            and row.network[0] in other.network
            and row.network[-1] in other.network
            for other in DENIED[:n]
        )
    ]
    assert hidden == []


def test_every_row_has_its_source() -> None:
    assert all(row.source.startswith(("RFC ", "learn.microsoft.com")) for row in DENIED)
    assert all("RFC " in form.source for form in WRAPPED)


@pytest.mark.parametrize("address", ["10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1"])
def test_what_is_allowed_is_open_in_all_its_clothes(address: str) -> None:
    assert verdict(ip_address(address), networks("10.0.0.0/8")) is None


@pytest.mark.parametrize("address", ["10.0.1.0", "::a00:1", "11.0.0.1", "192.168.0.1"])
def test_nothing_else_is_opened_with_it(address: str) -> None:
    is_public = address == "11.0.0.1"
    assert (verdict(ip_address(address), networks("10.0.0.0/24")) is None) is is_public


def test_a_form_that_is_never_unwrapped_is_opened_by_its_own_network() -> None:
    assert verdict(ip_address("64:ff9b:1::808:808"), networks("64:ff9b:1::/48")) is None


def problems(
    scheme: str = "https", host: str | None = "tracker.example", *, allow: tuple[Network, ...] = ()
) -> list[str]:
    return url_problems(scheme, host, has_credentials=False, allow_http=False, allow=allow)


def test_https_to_a_name_has_no_problem() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST.", "::ffff:7f00:1"]
)
def test_this_machine_is_allowed_like_any_other_and_then_plain_http_will_do(host: str) -> None:
    assert problems("http", host, allow=LOOPBACK) == []
    (problem,) = problems("http", host)
    assert "loopback" in problem
    assert "allow_cidrs" in problem


def test_one_of_localhosts_two_addresses_is_enough() -> None:
    assert problems("http", "localhost", allow=networks("127.0.0.1/32")) == []


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "::", "fe80::1%eth0", "2001:db8::1"])
def test_an_address_written_out_is_judged_before_anything_is_sent(host: str) -> None:
    (problem,) = problems(host=host)
    assert "allow_cidrs" in problem
    assert host not in problem.split()


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "0x7f000001",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "127.0.0.1.",
        "0",
        "0x",
        "a.1",
        "1.2.3.4.5",
    ],
)
def test_an_address_in_an_odd_spelling_is_no_host(host: str) -> None:
    """WHATWG URL, host parsing: whatever ends in a number is taken for an IPv4 address."""
    (problem,) = problems(host=host, allow=LOOPBACK)
    assert "four decimal numbers" in problem


@pytest.mark.parametrize("host", ["1.example", "0x7f.example", "tracker.example.", "xn--p1ai", "x0"])
def test_a_name_that_only_holds_a_number_is_a_name(host: str) -> None:
    assert problems(host=host) == []


@pytest.mark.parametrize(
    ("scheme", "host"), [("ftp", "tracker.example"), ("", None), ("https", None), ("https", "")]
)
def test_only_http_is_spoken_and_to_somebody(scheme: str, host: str | None) -> None:
    (problem,) = problems(scheme, host)
    assert "no other scheme" in problem


def test_plain_http_to_another_machine_is_to_be_asked_for() -> None:
    assert "allow_http" in problems("http")[0]
    assert url_problems("http", "tracker.example", has_credentials=False, allow_http=True, allow=()) == []


def test_an_allowed_network_does_not_allow_plain_http() -> None:
    (problem,) = problems("http", "10.0.0.1", allow=networks("10.0.0.0/8"))
    assert "allow_http" in problem


def test_credentials_in_a_url_are_refused() -> None:
    (problem,) = url_problems("https", "tracker.example", has_credentials=True, allow_http=False, allow=())
    assert "credentials" in problem


def test_a_proxy_stands_where_deliveries_may_go() -> None:
    assert list(proxy_problems("http", "proxy.example", allow=())) == []
    assert list(proxy_problems("http", "10.0.0.1", allow=networks("10.0.0.0/8"))) == []
    assert "allow_cidrs" in next(proxy_problems("http", "10.0.0.1", allow=()))
    assert "four decimal" in next(proxy_problems("https", "10.1", allow=()))
    assert "no other proxy" in next(proxy_problems("socks5", "proxy.example", allow=()))


def test_a_lone_url_opens_this_machine_where_it_leads_there_and_nothing_else() -> None:
    assert opened_by("localhost") == opened_by("127.0.0.1") == opened_by("::1") == LOOPBACK
    assert opened_by("10.0.0.1") == opened_by("tracker.example") == opened_by("") == ()


def test_a_name_is_never_looked_up_to_tell_whether_it_is_loopback() -> None:
    assert not is_loopback("localhost.example")
