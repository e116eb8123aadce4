"""The way to a tracker, on real sockets with real certificates."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from aiohttp.abc import ResolveResult

from relay.doctor.finding import Finding, Level
from relay.doctor.trackers import connected_to_one_of, way_to
from relay.settings.endpoint import Endpoint

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_795_435_200_000


async def way(url: str, *, wall: int = NOW, allow: str | None = "127.0.0.0/8", **more: object) -> Finding:
    known = {"url": url, "secrets": [SECRET], "allow_cidrs": [allow] if allow else []}
    return await way_to("tracker", Endpoint.model_validate(known | more), wall=wall)


class Told(asyncio.Protocol):
    """What one visitor said until it left."""

    def __init__(self, book: asyncio.Queue[bytes]) -> None:
        self._book = book
        self._said = b""

    def data_received(self, data: bytes) -> None:
        self._said += data

    def connection_lost(self, _why: Exception | None) -> None:
        self._book.put_nowait(self._said)


async def listening(
    context: ssl.SSLContext | None = None,
) -> tuple[asyncio.Server, int, asyncio.Queue[bytes]]:
    book: asyncio.Queue[bytes] = asyncio.Queue()
    server = await asyncio.get_running_loop().create_server(lambda: Told(book), "127.0.0.1", 0, ssl=context)
    return server, server.sockets[0].getsockname()[1], book


async def test_a_tracker_that_listens_is_connected_to_and_told_nothing() -> None:
    server, port, book = await listening()
    async with server:
        found = await way(f"http://127.0.0.1:{port}/hooks?token=a-canary")
        assert await book.get() == b""
    assert found.level is Level.OK
    assert "a-canary" not in found.line


async def test_a_tracker_that_is_not_there_is_said_to_be_so() -> None:
    server, port, _ = await listening()
    server.close()
    await server.wait_closed()
    found = await way(f"http://127.0.0.1:{port}/")
    assert found.level is Level.FAIL
    assert "Connection refused" in found.seen


async def test_a_name_that_leads_where_nothing_is_sent_is_not_connected_to() -> None:
    found = await way("https://localhost.localdomain:9/", allow=None)
    assert found.level is Level.FAIL
    assert "loopback" in found.seen or "not known" in found.seen


async def test_a_certificate_must_be_known_and_may_not_end_soon(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority.issue_cert("127.0.0.1", not_after=datetime(2030, 1, 15, tzinfo=UTC))
    certificate.configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server, port, _ = await listening(context)
    async with server:
        url = f"https://127.0.0.1:{port}/"
        stranger = await way(url)
        known = await way(url, ca_file=tmp_path / "ca.pem")
        second_of_january = int(datetime(2030, 1, 2, tzinfo=UTC).timestamp() * 1000)
        soon = await way(url, ca_file=tmp_path / "ca.pem", wall=second_of_january)
    assert (stranger.level, "ca_file" in stranger.fix) == (Level.FAIL, True)
    assert (known.level, "TLSv1.3" in known.seen) == (Level.OK, True)
    assert (soon.level, "13 days" in soon.seen) == (Level.WARN, True)


async def test_behind_a_proxy_nothing_is_tried() -> None:
    assert (await way("https://tracker.example/", proxy="http://proxy.example:3128")).level is Level.WARN


@pytest.mark.usefixtures("hanging")
async def test_a_name_whose_look_up_hangs_is_given_up_and_does_not_keep_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.doctor.trackers.WAY_S", 0.1)
    found = await way("https://dead.example/")
    assert (found.level, "no connection within" in found.seen) == (Level.FAIL, True)
    async with asyncio.timeout(1):
        await asyncio.get_running_loop().shutdown_default_executor()


def address(port: int) -> ResolveResult:
    return ResolveResult(
        hostname="tracker.example", host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
    )


async def test_of_a_names_addresses_the_one_that_accepts_is_enough() -> None:
    """`localhost` is ::1 first where there is IPv6, and a tracker may listen on 127.0.0.1 alone."""
    gone, closed_port, _ = await listening()
    gone.close()
    await gone.wait_closed()
    server, port, book = await listening()
    closed, accepting = address(closed_port), address(port)
    async with server:
        for found in ([closed, accepting], [accepting, closed]):
            async with connected_to_one_of(found, None, "tracker.example"):
                pass
            assert await book.get() == b""
    with pytest.raises(ConnectionRefusedError):
        async with connected_to_one_of([closed, closed], None, "tracker.example"):
            pass
