"""Look-ups on threads of one's own: few at once, and each gives its place back."""

import asyncio
import socket
from typing import Any

import pytest

from relay.names import MOST_LOOK_UPS, Names


async def test_every_address_of_a_name_is_found_however_often_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def two(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        assert host == "tracker.example"
        found = (("192.0.2.1", port), ("192.0.2.2", port))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    names = Names(timeout_s=5)
    for _ in range(MOST_LOOK_UPS + 1):
        found = await names.resolve("tracker.example", 443)
        assert [(one["host"], one["port"], one["hostname"]) for one in found] == [
            ("192.0.2.1", 443, "tracker.example"),
            ("192.0.2.2", 443, "tracker.example"),
        ]


async def test_a_name_that_is_none_is_an_oserror_and_costs_no_place() -> None:
    names = Names(timeout_s=5)
    for _ in range(MOST_LOOK_UPS + 1):
        with pytest.raises(socket.gaierror):
            await names.resolve("nobody.invalid", 443)


@pytest.mark.usefixtures("hanging")
async def test_look_ups_that_hang_are_few_and_end_within_their_time() -> None:
    names = Names(timeout_s=0.1)
    for _ in range(MOST_LOOK_UPS):
        with pytest.raises(OSError, match="took too long"):
            await names.resolve("dead.example", 443)
    with pytest.raises(OSError, match="earlier look-ups"):
        await asyncio.wait_for(names.resolve("live.example", 443), timeout=1)
    assert await Names(timeout_s=5).resolve("live.example", 443)
