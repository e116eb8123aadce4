"""Whatever keeps a request from its answer is told as one; no exception of aiohttp's or below it gets past here."""

import asyncio
import inspect
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator

import pytest
import trustme
from aiohttp import web

from relay.client import Answer, BlockingRelayClient, Fault, RelayClient
from relay.client.connection import Connection
from tests.client.standing import standing

EVENT = {"sessionId": "s1", "guestId": "g1", "type": "keystroke"}
UNUSABLE = ["http://someone:canary@127.0.0.1:1", "http://canary..example", f"http://{'canary' * 11}.example"]


def connection(url: str) -> Connection:
    return Connection(url, "trk_canary", timeout_s=2, wall=lambda: time.time_ns() // 1_000_000)


async def answers(it: Connection) -> AsyncIterator[Answer]:
    yield (await it.post(b"{}")).answer
    opened = await it.open_stream("")
    assert isinstance(opened, Answer)
    yield opened


@pytest.mark.parametrize("url", UNUSABLE)
async def test_a_url_of_which_no_request_can_be_made_is_answered_and_not_repeated_aloud(url: str) -> None:
    it = connection(url)
    async for answer in answers(it):
        assert answer.trouble is not None
        assert (answer.trouble.fault, answer.trouble.status) == (Fault.AWAY, 0)
        assert "Error" in answer.trouble.words, "of what kind it was"
        assert "canary" not in answer.trouble.words
    await it.close()


async def test_a_program_that_ends_and_resolves_no_name_any_more_hears_no_exception(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Escaped because only what a connection raises was foreseen, not what looks up its names."""

    def refuses(*_: object, **__: object) -> None:
        raise RuntimeError("cannot look up any more")

    monkeypatch.setattr(socket, "getaddrinfo", refuses)
    it = connection("http://localhost:1")
    async for answer in answers(it):
        assert answer.trouble is not None
        assert "RuntimeError" in answer.trouble.words
    await it.close()
    async with RelayClient("http://localhost:1", patience_s=0.2) as client:
        assert not (await client.send(EVENT)).is_taken
    assert "Traceback" not in caplog.text


def test_a_name_that_is_looked_up_for_ever_keeps_no_program_from_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was looked up in the loop's executor, whose end `asyncio.run` waits for."""

    def hangs(*_: object, **__: object) -> None:
        is_over.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    async def program() -> None:
        async with RelayClient("http://relay.example") as client:
            client.say(EVENT)
            await asyncio.sleep(0.1)

    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    began = time.monotonic()
    asyncio.run(program())
    assert time.monotonic() - began < 10
    is_over.set()


async def test_a_closed_connection_says_that_it_is() -> None:
    it = connection("http://127.0.0.1:1")
    await it.close()
    async for answer in answers(it):
        assert answer.trouble is not None
        assert answer.trouble.words == "this client is closed"


async def test_a_stream_that_is_entered_after_its_client_was_closed_is_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with standing() as relay:
        client = RelayClient(relay.url)
        stream = client.stream()
        await client.close()
        async with stream:
            stream.typing("s1", "g1")
            await asyncio.sleep(0.05)
    assert stream.counts.dropped == 1
    assert "fault of its own" not in caplog.text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_it_is_led_to_no_other_address(status: int) -> None:
    """A stream was, though a request was not: what people do would be told to whoever stands there."""

    async def lead(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=status, headers={"location": "/elsewhere/v1/stream"})

    asked: list[str] = []
    runner = web.ServerRunner(web.Server(lead), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it = connection(f"http://127.0.0.1:{runner.addresses[0][1]}")
    async for answer in answers(it):
        assert answer.trouble is not None
        assert (answer.trouble.fault, answer.trouble.status) == (Fault.REFUSED, status)
        assert "public address" in answer.trouble.words
    assert asked == ["/v1/events", "/v1/stream"]
    await it.close()
    await runner.cleanup()


async def test_a_relay_whose_authority_is_of_ones_own_is_believed_where_the_client_is_told_so() -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with standing(tls=context) as relay:
        assert await is_taken(relay.url, trusting(authority))
        assert await asyncio.to_thread(is_taken_there, relay.url, trusting(authority))
        assert not await is_taken(relay.url, trusting(stranger))
        assert not await is_taken(relay.url, None)


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def is_taken(url: str, context: ssl.SSLContext | None) -> bool:
    async with RelayClient(url, patience_s=0.5, ssl=context) as client:
        return (await client.send(EVENT)).is_taken


def is_taken_there(url: str, context: ssl.SSLContext | None) -> bool:
    with BlockingRelayClient(url, patience_s=0.5, ssl=context) as client:
        return client.send(EVENT).is_taken


def test_both_clients_are_made_with_the_same_arguments() -> None:
    blocking, client = inspect.signature(BlockingRelayClient), inspect.signature(RelayClient)
    assert str(blocking) == str(client)
