import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from relay.core.answer import Answer
from relay.core.outcome import Failure
from relay.errors import SettingsError
from relay.gateway.http import HttpDoor, Lost, base_url_problem
from relay.sandbox.serving import Listener
from tests.gateway.rig import now_ms

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]
Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def door_to(base_url: str) -> AsyncIterator[HttpDoor]:
    door = HttpDoor(base_url, name="guest", carriers=4)
    await door.start()
    try:
        yield door
    finally:
        await door.close()


@asynccontextmanager
async def door_to_server(respond: Respond, host: str = "127.0.0.1") -> AsyncIterator[HttpDoor]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    listener = Listener(app, host="127.0.0.1", port=0)
    await listener.start()
    try:
        async with door_to(listener.base_url.replace("127.0.0.1", host)) as door:
            yield door
    finally:
        await listener.close()


@asynccontextmanager
async def door_to_socket(converse: Converse, scheme: str = "http") -> AsyncIterator[HttpDoor]:
    """A peer that speaks bytes, for what no HTTP server would send."""
    writers: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await converse(reader, writer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        async with door_to(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}") as door:
            yield door
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def get(door: HttpDoor, path: str = "/", *, within_ms: float = 1000) -> Answer | Lost:
    return await door.call("GET", path, headers={}, deadline_ms=now_ms() + within_ms)


async def post(door: HttpDoor, path: str = "/", *, within_ms: float = 1000) -> Answer | Lost:
    return await door.call("POST", path, headers={}, body=b"{}", deadline_ms=now_ms() + within_ms)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.mypurecloud.com",
        "https://api.mypurecloud.com/prefix",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://localhost",
        "http://localhost.",
        "http://[::ffff:127.0.0.1]",
    ],
)
def test_https_and_loopback_are_usable(base_url: str) -> None:
    assert base_url_problem(base_url) is None


@pytest.mark.parametrize(
    ("base_url", "word"),
    [
        ("http://api.example.com", "clear"),
        ("http://127.0.0.1.example.com", "clear"),
        ("http://10.0.0.1", "clear"),
        ("ftp://api.example.com", "web address"),
        ("api.example.com", "web address"),
        ("", "web address"),
        ("https://id:secret@api.example.com", "credentials"),
        ("https://api.example.com?x=1", "query"),
        ("https://api.example.com#x", "fragment"),
        ("https://[::1", "URL"),
    ],
)
def test_any_other_base_url_is_refused_and_not_repeated(base_url: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word) as caught:
        HttpDoor(base_url, name="guest", carriers=1)
    assert base_url == "" or base_url not in str(caught.value)


def test_http_elsewhere_needs_leave() -> None:
    assert base_url_problem("http://gateway.internal", allow_http=True) is None


async def test_an_answer_carries_status_headers_and_json() -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.json_response({"message": "slow down"}, status=429, headers={"Retry-After": "2"})

    async with door_to_server(respond) as door:
        answer = await get(door)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers.get("retry-after"), answer.message) == (429, "2", "slow down")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"text"', b"\xff\xfe", b'{"message": '])
async def test_a_body_that_is_no_json_object_is_an_answer_all_the_same(body: bytes) -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.Response(body=body, status=502)

    async with door_to_server(respond) as door:
        answer = await get(door)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (502, {})


async def test_an_endless_body_is_cut_and_its_status_kept() -> None:
    sent = 0

    async def respond(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        while sent < 64_000_000:
            await response.write(b"x" * 65_536)
            sent += 65_536
        return response

    async with door_to_server(respond) as door:
        answer = await get(door)
    assert isinstance(answer, Answer)
    assert answer.status == 400
    assert sent < 64_000_000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_never_followed(status: int) -> None:
    paths = []

    async def respond(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, headers={"location": "/elsewhere"})

    async with door_to_server(respond) as door:
        answer = await post(door, "/here")
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert paths == ["/here"]


async def test_an_encoded_path_reaches_the_platform_as_it_was_encoded() -> None:
    paths = []

    async def respond(request: web.Request) -> web.Response:
        paths.append(request.raw_path)
        return web.Response()

    async with door_to_server(respond) as door:
        await get(door, "/guests/a%2F..%2Fb%3Fc%3Ad/typing")
    assert paths == ["/guests/a%2F..%2Fb%3Fc%3Ad/typing"]


async def test_no_cookie_is_kept_and_nothing_compressed_is_asked_for() -> None:
    asked = []

    async def respond(request: web.Request) -> web.Response:
        asked.append((request.headers.get("cookie"), request.headers["accept-encoding"]))
        response = web.Response()
        response.set_cookie("session", "1")
        return response

    async with door_to_server(respond, "localhost") as door:  # no jar keeps the cookies of a bare address
        await get(door)
        await get(door)
    assert asked == [(None, "identity")] * 2


async def test_the_environments_proxy_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    async def respond(_: web.Request) -> web.Response:
        return web.Response()

    async with door_to_server(respond) as door:
        assert isinstance(await get(door), Answer)


async def test_a_refused_connection_was_certainly_not_sent() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with door_to(f"http://127.0.0.1:{port}") as door:
        assert await post(door) == Lost(Failure.CONNECT, was_sent=False)


async def test_a_host_without_address_was_certainly_not_sent() -> None:
    async with door_to("https://no-such-host.invalid") as door:  # RFC 6761: never resolves
        assert await post(door, within_ms=10_000) == Lost(Failure.DNS, was_sent=False)


async def test_a_peer_that_speaks_no_tls_was_certainly_not_sent() -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with door_to_socket(converse, "https") as door:
        assert await post(door) == Lost(Failure.TLS, was_sent=False)


@pytest.mark.looptime
async def test_a_peer_that_never_answers_is_given_up_at_the_deadline() -> None:
    """The tutorial's calls had no timeout: a hung platform held them for ever."""

    async def converse(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with door_to_socket(converse) as door:
        began = now_ms()
        assert await post(door, within_ms=2000) == Lost(Failure.TIMEOUT, was_sent=True)
        assert now_ms() - began == pytest.approx(2000, abs=50)


@pytest.mark.looptime
async def test_a_body_that_drips_past_the_deadline_is_a_timeout() -> None:
    async def respond(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" ")
            await asyncio.sleep(1)
        return response

    async with door_to_server(respond) as door:
        assert await post(door, within_ms=2000) == Lost(Failure.TIMEOUT, was_sent=True)


async def test_a_connection_reset_after_the_send_may_have_been_applied() -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.transport.abort()

    async with door_to_socket(converse) as door:
        assert await post(door) == Lost(Failure.RESET, was_sent=True)


@pytest.mark.parametrize(
    "rubbish",
    [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"\x00" * 100, b""],
)
async def test_rubbish_instead_of_http_is_a_lost_answer_not_an_exception(rubbish: bytes) -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(rubbish)

    async with door_to_socket(converse) as door:
        assert await post(door) == Lost(Failure.RESET, was_sent=True)


async def test_a_closed_door_sends_nothing() -> None:
    door = HttpDoor("http://127.0.0.1:1", name="guest", carriers=1)
    assert await post(door) == Lost(Failure.CONNECT, was_sent=False)
    await door.start()
    await door.close()
    assert await post(door) == Lost(Failure.CONNECT, was_sent=False)


async def test_cancelling_a_call_cancels_it() -> None:
    async def converse(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with door_to_socket(converse) as door:
        call = asyncio.create_task(post(door))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_call_for_whose_look_up_there_is_no_thread_is_lost_and_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was raised, though a call never is: a log-in it was part of was under way for ever."""

    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with door_to("http://localhost:9") as door:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            lost = await door.call("GET", "/", headers={}, deadline_ms=now_ms() + 1000)
    assert lost == Lost(Failure.DNS, was_sent=False)


@pytest.mark.usefixtures("hanging")
async def test_a_look_up_that_hangs_is_waited_for_no_longer_than_its_call_nor_by_the_end_of_the_loop() -> (
    None
):
    """It had a thread of the loop's, which ends when they do: a stopped relay stayed for as long as the look-up hung."""
    async with door_to("https://dead.example:9") as door:
        lost = await door.call("GET", "/", headers={}, deadline_ms=now_ms() + 100)
    assert lost == Lost(Failure.TIMEOUT, was_sent=False)
    async with asyncio.timeout(1):
        await asyncio.get_running_loop().shutdown_default_executor()
