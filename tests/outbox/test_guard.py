"""A canary on loopback sees no connection, however its address is come by."""

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_network
from urllib.parse import urlsplit

import pytest

from relay.core.delivery import Failure
from relay.core.destination import DENIED, LOOPBACK, WRAPPED, Address, Network
from relay.outbox.guard import ForbiddenAddressError, guarded
from tests.outbox.canary import Canary, Names, listening_canary
from tests.outbox.receiver import Receiver, receiving
from tests.outbox.test_webhook import lease, webhook

PUBLIC = "127.0.0.2"
"""Stands for a public address: on this machine, so that nothing leaves it, and allowed, as public ones are."""

ONLY_PUBLIC: tuple[Network, ...] = (ip_network("127.0.0.2/32"),)


@pytest.fixture
def canary() -> Iterator[Canary]:
    with listening_canary() as canary:
        yield canary


async def failure_at(
    url: str,
    *,
    allow: tuple[Network, ...] = (),
    names: Names | None = None,
    proxy: str | None = None,
    timeout_s: float = 5,
) -> Failure | None:
    async with webhook(url, allow=allow, resolver=names, proxy=proxy, timeout_s=timeout_s) as hook:
        attempt, answer = await hook.send(lease())
    assert attempt.failure is answer.failure
    return answer.failure


async def test_the_canary_sees_what_is_allowed(canary: Canary) -> None:
    await failure_at(f"http://127.0.0.1:{canary.port}/", allow=LOOPBACK, timeout_s=0.2)
    await failure_at(f"http://[::1]:{canary.port}/", allow=LOOPBACK, timeout_s=0.2)
    assert canary.connections() in (1, 2), "one on a machine without IPv6"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "127.1",
        "0x7f000001",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "127.0.0.1.",
        "0.0.0.0",
        "0",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:0.0.0.0]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1%25lo]",
        "10.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
async def test_no_spelling_of_a_private_address_is_connected_to(canary: Canary, host: str) -> None:
    assert await failure_at(f"http://{host}:{canary.port}/") is Failure.BLOCKED_ADDRESS
    assert canary.connections() == 0


async def test_nor_is_one_that_only_some_systems_look_up(canary: Canary) -> None:
    failure = await failure_at(f"http://localhost.:{canary.port}/")
    assert failure in {Failure.BLOCKED_ADDRESS, Failure.DNS}
    assert canary.connections() == 0


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "169.254.169.254", "10.0.0.1"]
)
async def test_no_name_leads_to_a_private_address(canary: Canary, address: str) -> None:
    url = f"http://tracker.example:{canary.port}/"
    assert await failure_at(url, names=Names([address])) is Failure.BLOCKED_ADDRESS
    assert canary.connections() == 0


def every_denied_address() -> Iterator[Address]:
    """The ends of each row of the table, and an IPv4 one in all its clothes."""
    for row in DENIED:
        for address in (row.network[0], row.network[-1]):
            yield address
            if address.version == 4:
                yield from (
                    IPv6Address(int(form.network[0]) | int(address) << form.shift) for form in WRAPPED
                )


async def test_the_whole_table_is_neither_connected_to_nor_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written out and by a name. Were one let through, it would be caught before a packet leaves."""
    tried: list[object] = []

    async def caught(_loop: object, _socket: object, address: object) -> None:
        tried.append(address)
        raise OSError("caught by the test")

    monkeypatch.setattr(type(asyncio.get_running_loop()), "sock_connect", caught)
    for address in every_denied_address():
        host = f"[{address}]" if address.version == 6 else str(address)
        for url, names in ((f"http://{host}:9/", None), ("http://tracker.example:9/", Names([str(address)]))):
            assert await failure_at(url, names=names) is Failure.BLOCKED_ADDRESS, url
    assert tried == []
    assert await failure_at("http://tracker.example:9/", names=Names(["1.1.1.1"])) is Failure.CONNECT
    assert len(tried) == 1, "what is public is tried, and caught"


async def test_of_several_addresses_only_the_open_ones_are_tried(canary: Canary) -> None:
    """Nobody listens at the public one, so every other is tried in its stead; as with an attacker's two A records."""
    url = f"http://tracker.example:{canary.port}/"
    for addresses in ([PUBLIC, "127.0.0.1", "::1"], ["::1", "127.0.0.1", PUBLIC], ["::1", PUBLIC]):
        failure = await failure_at(url, allow=ONLY_PUBLIC, names=Names(addresses))
        assert failure in {Failure.CONNECT, Failure.BLOCKED_ADDRESS}
    assert canary.connections() == 0


async def test_two_different_reasons_are_still_told_as_one(canary: Canary) -> None:
    names = Names(["127.0.0.1", "::1", "10.0.0.1", "fe80::1"])
    assert await failure_at(f"http://tracker.example:{canary.port}/", names=names) is Failure.BLOCKED_ADDRESS


async def test_a_name_that_was_public_and_is_private_at_the_next_look_up_is_refused_then(
    canary: Canary,
) -> None:
    names = Names([PUBLIC], ["127.0.0.1"], [PUBLIC], ["::1"])
    async with receiving(PUBLIC) as receiver:
        url = f"http://tracker.example:{urlsplit(receiver.url).port}/hook"
        said = [await failure_at(url, allow=ONLY_PUBLIC, names=names) for _ in range(4)]
        assert len(receiver.got) == 2
    assert said == [None, Failure.BLOCKED_ADDRESS, None, Failure.BLOCKED_ADDRESS]
    assert names.asked == 4
    assert canary.connections() == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_leads_nowhere(canary: Canary, status: int) -> None:
    async with receiving(PUBLIC) as receiver:
        receiver.answers = [status]
        receiver.headers = {"Location": f"http://127.0.0.1:{canary.port}/"}
        assert await failure_at(receiver.url, allow=LOOPBACK) is Failure.STATUS
        assert len(receiver.got) == 1
    assert canary.connections() == 0


async def test_the_environments_proxies_are_not_asked(
    canary: Canary, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
        monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{canary.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert await failure_at(receiver.url, allow=LOOPBACK) is None
    assert len(receiver.got) == 1
    assert canary.connections() == 0


async def test_a_proxy_is_connected_to_only_where_deliveries_may_go(canary: Canary) -> None:
    proxy = f"http://proxy.example:{canary.port}"
    failure = await failure_at("http://tracker.example/", proxy=proxy, names=Names(["127.0.0.1"]))
    assert failure is Failure.BLOCKED_ADDRESS
    assert canary.connections() == 0


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("::1", 80, 0, 0), ("fe80::1%1", 80, 0, 1)])
def test_no_socket_is_made_for_what_is_refused(address: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with pytest.raises(ForbiddenAddressError) as caught:
        guarded(())((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address))
    assert address[0] not in str(caught.value)
