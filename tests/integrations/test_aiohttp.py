"""A fulfilment webhook's request is the work on an answer. Bodies are after each platform's own documentation."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from relay import wire
from relay.client import RelayClient
from relay.integrations import Place
from relay.integrations.aiohttp import Whose, dialogflow_cx, dialogflow_es, lex, rasa, thinking_while
from tests.client.beside import GUEST, SESSION, beside
from tests.client.standing import standing

CX = {
    "detectIntentResponseId": "1",
    "fulfillmentInfo": {"tag": "order"},
    "sessionInfo": {
        "session": f"projects/p/locations/l/agents/a/sessions/{SESSION}",
        "parameters": {"guestId": GUEST},
    },
}
ES = {
    "responseId": "1",
    "session": f"projects/p/agent/sessions/{SESSION}",
    "queryResult": {"queryText": "?"},
    "originalDetectIntentRequest": {"source": "x", "payload": {"guestId": GUEST}},
}
RASA = {
    "next_action": "action_order",
    "sender_id": SESSION,
    "tracker": {"slots": {"guestId": GUEST, "x": None}},
}
LEX = {
    "sessionId": SESSION,
    "inputTranscript": "?",
    "sessionState": {"sessionAttributes": {"guestId": GUEST}},
}


@pytest.mark.parametrize(
    ("find", "body"),
    [(dialogflow_cx, CX), (dialogflow_es, ES), (rasa, RASA), (lex, LEX)],
    ids=["dialogflow_cx", "dialogflow_es", "rasa", "lex"],
)
def test_each_platforms_body_has_its_session_and_its_guest(find: Whose, body: dict[str, Any]) -> None:
    assert find(body) == Place(SESSION, GUEST)


@pytest.mark.parametrize(
    ("find", "body"),
    [
        (dialogflow_cx, {"sessionInfo": {"session": "projects/p/sessions/s1"}}),
        (dialogflow_es, {"session": "projects/p/agent/sessions/s1", "originalDetectIntentRequest": {}}),
        (rasa, {"sender_id": "s1", "tracker": {"slots": {"guestId": 7}}}),
        (lex, {"sessionId": "s1", "sessionState": {"sessionAttributes": None}}),
    ],
    ids=["dialogflow_cx", "dialogflow_es", "rasa", "lex"],
)
def test_a_guest_need_not_be_told(find: Whose, body: dict[str, Any]) -> None:
    assert find(body) == Place("s1", None)


Reading = Callable[[web.Request], Awaitable[bytes]]


@asynccontextmanager
async def webhook(
    client: RelayClient,
    *,
    takes_s: float = 0,
    find: Whose = dialogflow_cx,
    most_bytes: int = 2**20,
    read: Reading = web.Request.read,
    before: Sequence[Middleware] = (),
    buffered: int = 2**18,
    cancels: bool = True,
) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        body = await read(request)
        await asyncio.sleep(takes_s)
        if body == b"fail":
            raise web.HTTPBadRequest
        return web.Response(body=body)

    app = web.Application(middlewares=[*before, thinking_while(client, find)], client_max_size=most_bytes)
    app.router.add_route("*", "/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=cancels, read_bufsize=buffered)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def post(
    url: str,
    value: Any,  # Any: JSON
    content_type: str = "application/json",
    **more: str,
) -> tuple[int, bytes]:
    body = value if isinstance(value, bytes) else wire.dumps(value)
    headers = {"Content-Type": content_type} | {name.replace("_", "-"): text for name, text in more.items()}
    async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers) as response:
        return response.status, await response.read()


@pytest.mark.looptime
async def test_the_request_opens_and_its_response_closes() -> None:
    async with beside() as (relay, client), webhook(client, takes_s=7) as url:
        assert await post(url, CX) == (200, wire.dumps(CX))
        await asyncio.sleep(1)
        assert relay.timed() == [(0, "thinking"), (5, "heartbeat"), (7, "thinking_done")]
        await asyncio.sleep(2)
        assert relay.sees() is None


@pytest.mark.looptime
async def test_a_caller_that_hangs_up_ends_it() -> None:
    async with beside() as (relay, client), webhook(client, takes_s=60) as url:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await post(url, CX)
        await asyncio.sleep(1)
        assert relay.kinds() == ["thinking", "thinking_done"]


@pytest.mark.looptime
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"null", b'{"sessionInfo":7}', b'"x"', b"fail"])
async def test_a_body_without_a_session_reaches_the_application_untouched(body: bytes) -> None:
    async with standing() as relay, RelayClient(relay.url) as client, webhook(client) as url:
        assert await post(url, body) == ((400, b"400: Bad Request") if body == b"fail" else (200, body))
        await client.close()
        assert relay.requests == []


def finds_none(_: Any) -> Place | None:
    raise RuntimeError("the session is looked up elsewhere, and that is down")


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("find", "why"),
    [
        (finds_none, "RuntimeError"),
        (lambda _: (SESSION, GUEST), "TypeError"),
        (lambda _: SESSION, "TypeError"),
        (lambda _: None, None),
    ],
    ids=["raises", "a tuple", "a text", "none"],
)
async def test_a_function_that_finds_no_session_is_not_the_applications_answer(
    caplog: pytest.LogCaptureFixture, find: Whose, why: str | None
) -> None:
    """Whatever it raises, or gives: it was a 500."""

    async with standing() as relay, RelayClient(relay.url) as client, webhook(client, find=find) as url:
        assert [await post(url, CX) for _ in range(2)] == [(200, wire.dumps(CX))] * 2
    (said,) = [one.getMessage() for one in caplog.records if one.name == "relay.integrations"]
    assert said.startswith(
        f"no session to be found in a request's body{f' ({why})' if why else ''}: nobody is told"
    )


@pytest.mark.looptime
async def test_a_body_too_large_for_the_application_is_refused_by_it_as_before() -> None:
    """Escaped because every test's body was small: what was read and refused once was empty the next time."""

    async def in_peace(request: web.Request) -> bytes:
        await asyncio.sleep(1)  # what is begun and ended in one turn is told to nobody
        return await request.read()

    async with (
        standing() as relay,
        RelayClient(relay.url) as client,
        webhook(client, most_bytes=500, read=in_peace) as url,
    ):
        status, _ = await post(url, CX | {"payload": "x" * 1000})
        await client.close()
        assert (status, relay.requests) == (413, [])


@pytest.mark.looptime
async def test_what_is_no_json_is_not_looked_at() -> None:
    async with standing() as relay, RelayClient(relay.url) as client, webhook(client) as url:
        assert await post(url, CX, "text/plain") == (200, wire.dumps(CX))
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            assert response.status == 200
        await client.close()
        assert relay.requests == []


async def in_chunks(request: web.Request) -> bytes:
    return b"".join([chunk async for chunk in request.content.iter_chunked(7)])


async def at_once(request: web.Request) -> bytes:
    assert request.can_read_body
    return await request.content.read()


async def of_a_clone(request: web.Request) -> bytes:
    return await request.clone().read()


@pytest.mark.looptime
@pytest.mark.parametrize("read", [web.Request.read, in_chunks, at_once, of_a_clone])
@pytest.mark.parametrize("extra", [0, 900_000], ids=["small", "large"])
async def test_however_the_application_reads_it_the_whole_body_is_there(read: Reading, extra: int) -> None:
    """Escaped because the application of every test read as the middleware did, with `request.read`."""
    body = wire.dumps(CX | {"payload": "x" * extra})
    async with standing() as relay, RelayClient(relay.url) as client:
        async with webhook(client, takes_s=0.1, read=read) as url:
            assert await post(url, body) == (200, body)
        await client.close()
        assert relay.kinds() == ["thinking", "thinking_done"]


@pytest.mark.looptime
async def test_a_large_body_that_waits_behind_another_middleware_is_not_stuck() -> None:
    """The connection is told to stop at twice the buffer, long before the body is here."""

    @web.middleware
    async def dawdles(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(0.5)
        return await handler(request)

    body = wire.dumps(CX | {"payload": "x" * 900_000})
    async with standing() as relay, RelayClient(relay.url) as client:
        async with webhook(client, takes_s=0.1, before=[dawdles], buffered=2**14, read=in_chunks) as url:
            for _ in range(3):
                assert await post(url, body) == (200, body)
        await client.close()
        assert relay.kinds() == ["thinking", "thinking_done"] * 3


@pytest.mark.looptime
async def test_what_another_middleware_has_read_is_looked_at_too() -> None:
    @web.middleware
    async def reads(request: web.Request, handler: Handler) -> web.StreamResponse:
        await request.read()
        return await handler(request)

    async with standing() as relay, RelayClient(relay.url) as client:
        async with webhook(client, takes_s=0.1, before=[reads]) as url:
            assert await post(url, CX) == (200, wire.dumps(CX))
        await client.close()
        assert relay.kinds() == ["thinking", "thinking_done"]


@pytest.mark.looptime
@pytest.mark.parametrize(
    "body",
    [gzip.compress(wire.dumps(CX | {"payload": "x" * 5000})), wire.dumps(CX)],
    ids=["beyond the limit once it is unpacked", "packed by nobody"],
)
async def test_a_packed_body_is_the_applications_alone(body: bytes) -> None:
    async def says_ok(_: web.Request) -> bytes:
        return b"ok"

    async with standing() as relay, RelayClient(relay.url) as client:
        async with webhook(client, most_bytes=1000, read=says_ok) as url:
            assert await post(url, body, Content_Encoding="gzip") == (200, b"ok")
        await client.close()
        assert relay.requests == []


@pytest.mark.looptime
async def test_a_body_as_large_as_the_application_takes_is_no_413() -> None:
    body = wire.dumps(CX)
    async with (
        standing() as relay,
        RelayClient(relay.url) as client,
        webhook(client, most_bytes=len(body), read=in_chunks) as url,
    ):
        assert await post(url, body) == (200, body)


async def half_posted(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2].strip("/")))
    head = "POST / HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 99", "", "{"
    writer.write("\r\n".join(head).encode())
    return reader, writer


@pytest.mark.looptime
async def test_a_body_that_does_not_come_keeps_the_application_from_no_answer() -> None:
    async def says_ok(_: web.Request) -> bytes:
        return b"ok"

    async with standing() as relay, RelayClient(relay.url) as client, webhook(client, read=says_ok) as url:
        reader, writer = await half_posted(url)
        async with asyncio.timeout(3):
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await client.close()
        assert relay.requests == []


@pytest.mark.looptime
async def test_a_body_that_is_cut_off_is_for_the_application_to_see() -> None:
    seen: list[type[Exception]] = []

    async def notes(request: web.Request) -> bytes:
        try:
            return await request.content.read()
        except (aiohttp.ClientError, OSError) as why:
            seen.append(type(why))
            raise

    async with (
        standing() as relay,
        RelayClient(relay.url) as client,
        webhook(client, read=notes, cancels=False) as url,
    ):
        _, writer = await half_posted(url)
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.sleep(0.5)
    assert relay.requests == []
    assert len(seen) == 1


@pytest.mark.looptime
async def test_a_relay_that_is_down_delays_no_answer() -> None:
    client = RelayClient("http://127.0.0.1:1")
    async with webhook(client) as url:
        began = asyncio.get_running_loop().time()
        for _ in range(20):
            assert (await post(url, CX))[0] == 200
        assert asyncio.get_running_loop().time() - began < 0.5
