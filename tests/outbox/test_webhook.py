"""One POST against a real receiver, verified by the reference libraries; and everything a bad receiver may do."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import standardwebhooks
import svix.webhooks
from aiohttp import web
from aiohttp.abc import AbstractResolver
from yarl import URL

from relay import __version__
from relay.core.delivery import Answer, Failure, Trigger
from relay.core.destination import LOOPBACK, Network
from relay.core.signature import Keys
from relay.outbox.store import Lease
from relay.outbox.webhook import Target, Webhook
from tests.outbox.receiver import NEW_SECRET, SECRET, Receiver

BODY = b'{"type":"session.typing","timestamp":"2026-11-22T10:00:00.123Z","data":{"guestId":"zo\xc3\xab"}}'


def lease(*, traceparent: str | None = None) -> Lease:
    return Lease(
        delivery_id=1,
        claim=1,
        endpoint="tracker",
        event_id="msg_01a20657",
        event_type="session.typing",
        key=("guest", "s1"),
        body=BODY,
        traceparent=traceparent,
        number=1,
        attempts=1,
        trigger=Trigger.SCHEDULE,
    )


def wall() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def webhook(
    url: str,
    *secrets: str,
    timeout_s: float = 15.0,
    connect_timeout_s: float = 5.0,
    allow: tuple[Network, ...] = LOOPBACK,
    headers: Mapping[str, str] | None = None,
    proxy: str | None = None,
    tls: ssl.SSLContext | None = None,
    resolver: AbstractResolver | None = None,
) -> AsyncIterator[Webhook]:
    target = Target(
        url,
        Keys(secrets or [SECRET]),
        timeout_s=timeout_s,
        connect_timeout_s=connect_timeout_s,
        allow=allow,
        headers=headers or {},
        proxy=proxy,
        tls=tls,
    )
    loop = asyncio.get_running_loop()
    hook = Webhook(target, wall=wall, now=lambda: loop.time() * 1000, resolver=resolver)
    try:
        yield hook
    finally:
        await hook.close()


@asynccontextmanager
async def raw_server(talk: Callable[[asyncio.StreamWriter], None]) -> AsyncIterator[str]:
    """Says what it likes as soon as it is asked, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        talk(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"


async def failure_at(url: str, *, timeout_s: float = 15.0) -> Failure | None:
    async with webhook(url, timeout_s=timeout_s) as hook:
        attempt, answer = await hook.send(lease())
    assert attempt.failure is answer.failure
    return answer.failure


@pytest.mark.parametrize("oracle", [standardwebhooks.Webhook, svix.webhooks.Webhook])
@pytest.mark.parametrize("held", [SECRET, NEW_SECRET])
async def test_the_reference_libraries_verify_with_the_old_secret_and_the_new(
    receiver: Receiver, oracle: type[standardwebhooks.Webhook], held: str
) -> None:
    async with webhook(receiver.url, NEW_SECRET, SECRET) as hook:
        await hook.send(lease())
    (got,) = receiver.got
    oracle(held).verify(got.body.decode(), got.headers)
    with pytest.raises(Exception, match="No matching signature"):
        oracle(held).verify(got.body.decode() + " ", got.headers)


async def test_the_request_is_as_the_specification_has_it(receiver: Receiver) -> None:
    async with webhook(receiver.url) as hook:
        await hook.send(lease(traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
    (got,) = receiver.got
    assert got.body == BODY
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"] == f"typing-relay/{__version__}"
    assert got.headers["webhook-id"] == "msg_01a20657"
    assert got.headers["webhook-timestamp"].isdecimal()
    assert got.headers["traceparent"] == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_an_endpoints_own_headers_are_sent_along_and_replace_none_of_ours(receiver: Receiver) -> None:
    headers = {"Authorization": "Bearer of-the-tracker", "webhook-id": "msg_of_another"}
    async with webhook(receiver.url, headers=headers) as hook:
        await hook.send(lease())
    (got,) = receiver.got
    assert got.headers["authorization"] == "Bearer of-the-tracker"
    assert got.headers["webhook-id"] == "msg_01a20657"


def test_a_target_never_prints_its_secrets() -> None:
    target = Target("https://x", Keys([SECRET]), headers={"authorization": "canary"}, proxy="http://canary@x")
    assert "canary" not in repr(target)


async def test_a_success_is_an_attempt_without_failure(receiver: Receiver) -> None:
    async with webhook(receiver.url) as hook:
        attempt, answer = await hook.send(lease())
    assert (answer.status, answer.failure, attempt.failure) == (200, None, None)
    assert attempt.headers_ms is not None
    assert 0 <= attempt.headers_ms <= attempt.total_ms


async def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Receiver) -> None:
    receiver.answers = [307]
    receiver.headers = {"Location": receiver.url}
    assert await failure_at(receiver.url) is Failure.STATUS
    assert len(receiver.got) == 1


async def test_retry_after_is_read(receiver: Receiver) -> None:
    receiver.answers = [429]
    receiver.headers = {"Retry-After": "7"}
    async with webhook(receiver.url) as hook:
        _, answer = await hook.send(lease())
    assert (answer.status, answer.hint_ms) == (429, 7000)


async def test_cookies_are_not_kept(receiver: Receiver) -> None:
    receiver.headers = {"Set-Cookie": "a=b"}
    async with webhook(receiver.url) as hook:
        await hook.send(lease())
        await hook.send(lease())
    assert "cookie" not in receiver.got[1].headers


async def test_of_an_endless_answer_16_kib_are_read_and_4_kept(receiver: Receiver) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 2**30:
            await response.write(b"x" * 4096)
            sent += 4096
        return response

    receiver.answers = [endless]
    async with webhook(receiver.url) as hook:
        attempt, answer = await hook.send(lease())
    assert (len(attempt.excerpt), answer.status, answer.failure) == (4096, 200, None)
    assert sent < 2**24, "what the kernel's buffers hold, and not a gigabyte"


async def test_a_compressed_answer_is_kept_as_it_came(receiver: Receiver) -> None:
    async def bomb(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"not really gzip", headers={"Content-Encoding": "gzip"})

    receiver.answers = [bomb]
    async with webhook(receiver.url) as hook:
        attempt, answer = await hook.send(lease())
    assert (attempt.excerpt, answer.failure) == (b"not really gzip", None)


async def test_a_dripping_answer_is_cut_off_by_the_total_time(receiver: Receiver) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

    receiver.answers = [drip]
    assert await failure_at(receiver.url, timeout_s=0.3) is Failure.TIMEOUT


async def test_a_receiver_that_never_answers_is_a_timeout(receiver: Receiver) -> None:
    receiver.hold = asyncio.Event()
    assert await failure_at(receiver.url, timeout_s=0.2) is Failure.TIMEOUT


async def test_a_refused_connection_is_classed_connect() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/hook"
    assert await failure_at(url) is Failure.CONNECT


async def test_a_name_that_does_not_resolve_is_classed_dns() -> None:
    assert await failure_at("https://tracker.invalid/hook") is Failure.DNS


async def test_plain_text_where_tls_was_expected_is_classed_tls(receiver: Receiver) -> None:
    assert await failure_at(receiver.url.replace("http:", "https:")) is Failure.TLS


async def test_a_connection_closed_without_an_answer_is_classed_connect() -> None:
    async with raw_server(lambda writer: None) as url:  # noqa: ARG005 - says nothing
        assert await failure_at(url) is Failure.CONNECT


async def test_an_answer_that_is_not_http_is_classed_protocol() -> None:
    async with raw_server(lambda writer: writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) as url:
        assert await failure_at(url) is Failure.PROTOCOL


async def test_a_header_line_without_end_is_classed_too_large() -> None:
    async with raw_server(lambda w: w.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")) as url:
        assert await failure_at(url) is Failure.TOO_LARGE


async def test_a_success_whose_body_breaks_off_is_not_believed() -> None:
    async with raw_server(lambda w: w.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")) as url:
        assert await failure_at(url) is Failure.CONNECT


async def test_what_a_head_said_holds_though_its_body_breaks_off(receiver: Receiver) -> None:
    """The Retry-After went with the body: three requests in twenty seconds to one who had asked for ten minutes."""

    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=429, headers={"Retry-After": "600", "Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"x")
        assert request.transport
        request.transport.close()
        return response

    receiver.answers = [broken]
    async with webhook(receiver.url) as hook:
        _, answer = await hook.send(lease())
    assert answer == Answer(429, Failure.CONNECT, 600_000)


@pytest.mark.usefixtures("hanging")
async def test_names_that_hang_hold_up_their_own_endpoint_only_and_no_longer_than_a_connection_may_take(
    receiver: Receiver,
) -> None:
    """Six of them had all of the loop's threads: a tracker that was well waited ten seconds for its name."""
    port = URL(receiver.url).port
    async with AsyncExitStack() as hooks:
        dead = [
            await hooks.enter_async_context(
                webhook(f"http://dead{n}.example:{port}/hook", connect_timeout_s=1)
            )
            for n in range(40)
        ]
        well = await hooks.enter_async_context(webhook(f"http://well.example:{port}/hook"))
        began = time.monotonic()
        sending = [asyncio.create_task(hook.send(lease())) for hook in dead]
        _, answer = await well.send(lease())
        assert answer.failure is None
        await asyncio.to_thread(lambda: None)
        assert time.monotonic() - began < 1, "nor is a thread of the platform's taken"
        answers = [answer for _, answer in await asyncio.gather(*sending)]
        assert {answer.failure for answer in answers} == {Failure.DNS}
        assert time.monotonic() - began < 5


@pytest.mark.usefixtures("hanging")
async def test_an_endpoint_whose_look_ups_hang_begins_no_third(receiver: Receiver) -> None:
    url = f"http://dead.example:{URL(receiver.url).port}/hook"
    async with webhook(url, connect_timeout_s=0.1) as hook:
        for _ in range(5):
            _, answer = await hook.send(lease())
            assert answer.failure is Failure.DNS
        assert sum(thread.name == "dns" for thread in threading.enumerate()) == 2


async def test_a_look_up_that_found_no_thread_is_over_and_costs_an_attempt(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was counted for ever: after two the endpoint's name was never looked up again."""

    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with webhook(f"http://localhost:{URL(receiver.url).port}/hook") as hook:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            for _ in range(2):
                _, answer = await hook.send(lease())
                assert answer.failure is Failure.DNS
        _, answer = await hook.send(lease())
        assert answer.failure is None
