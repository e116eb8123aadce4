"""Through a proxy the operator named: it is used, its own troubles are told apart, and a name is its to look up."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trustme

from relay.core.delivery import Failure
from tests.outbox.canary import Names, listening_canary
from tests.outbox.receiver import receiving
from tests.outbox.test_webhook import lease, webhook


@dataclass
class ForwardProxy:
    """Leads every request to one place, whatever was asked for; or answers `refusal`."""

    to_port: int
    refusal: bytes = b""
    url: str = ""
    heads: list[bytes] = field(default_factory=list)
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="forward-proxy")
        self.serving.add(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._lead(reader, writer)
        writer.close()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if self.refusal:
            writer.write(self.refusal)
            return
        back, forth = await asyncio.open_connection("127.0.0.1", self.to_port)
        if head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            forth.write(head.replace(b"http://tracker.example/hook", b"/hook", 1))
        try:
            await asyncio.gather(_copy(reader, forth), _copy(back, writer))
        finally:
            forth.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65_536):
            sink.write(data)
    sink.close()


@asynccontextmanager
async def proxying(to_port: int, *, refusal: bytes = b"") -> AsyncIterator[ForwardProxy]:
    proxy = ForwardProxy(to_port, refusal)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        proxy.url = f"http://relay:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield proxy
        if proxy.serving:
            await asyncio.wait(proxy.serving, timeout=5)


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1].partition("/")[0])


async def test_deliveries_go_through_the_proxy_and_the_name_is_its_to_look_up() -> None:
    names = Names(["192.0.2.1"])
    async with receiving() as receiver, proxying(port_of(receiver.url)) as proxy:
        async with webhook("http://tracker.example/hook", proxy=proxy.url, resolver=names) as hook:
            attempt, _ = await hook.send(lease())
        assert attempt.status == 200
        assert len(receiver.got) == 1
    assert proxy.heads[0].startswith(b"POST http://tracker.example/hook HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " in proxy.heads[0]
    assert names.asked == 0


async def test_over_https_the_proxy_sees_neither_headers_nor_body() -> None:
    authority, server, client = trustme.CA(), *_contexts()
    authority.issue_cert("tracker.example").configure_cert(server)
    authority.configure_trust(client)
    async with receiving(tls=server) as receiver, proxying(port_of(receiver.url)) as proxy:
        async with webhook("https://tracker.example/hook", proxy=proxy.url, tls=client) as hook:
            attempt, _ = await hook.send(lease())
        assert (attempt.status, attempt.failure) == (200, None)
    assert proxy.heads[0].startswith(b"CONNECT tracker.example:443 HTTP/1.1\r\n")
    assert b"webhook-" not in b"".join(proxy.heads)


async def test_where_a_proxy_leads_is_the_proxys_duty() -> None:
    """Said in the settings: a name that resolves to loopback there reaches what stands behind it."""
    with listening_canary() as canary:
        async with proxying(canary.port) as proxy:
            url = "http://tracker.example/hook"
            async with webhook(url, proxy=proxy.url, timeout_s=0.2) as hook:
                await hook.send(lease())
        assert canary.connections() == 1


async def test_a_proxy_that_refuses_the_tunnel_is_classed_proxy() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    async with (
        proxying(9, refusal=refusal) as proxy,
        webhook("https://tracker.example/hook", proxy=proxy.url) as hook,
    ):
        _, answer = await hook.send(lease())
    assert answer.failure is Failure.PROXY


async def test_a_proxy_that_is_not_there_is_classed_proxy() -> None:
    async with proxying(9) as proxy:
        gone = proxy.url
    async with webhook("http://tracker.example/hook", proxy=gone) as hook:
        _, answer = await hook.send(lease())
    assert answer.failure is Failure.PROXY


def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(a server's, a client's) that trust nobody yet."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
