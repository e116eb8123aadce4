import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from aiohttp.web import WebSocketResponse

from relay import wire
from relay.core.activity import Kind
from relay.core.indicator import Address
from relay.core.moments import UnixMs, rfc3339
from relay.errors import Rejected, Unavailable
from relay.ingest import Credentials
from relay.ingest.streams import PROTOCOL, TICKETED_S
from relay.settings.models import Settings
from tests.ingest.house import EVENT, SESSION, WALL, House, key_settings, opened, settings, sure, until
from tests.ingest.test_stream import HANDSHAKE, closed, framed, said, send
from tests.ingest.test_tickets import PAGE, PLAIN, desk, ticket

OTHER = "5f0c2f9e-6f7a-4c1e-9a39-0c8d6a3b1f01"


async def refused(house: House, *protocols: str, **more: str) -> int:
    with pytest.raises(WSServerHandshakeError) as caught:
        await house.stream(*protocols, **more)
    return caught.value.status


async def taken(house: House, count: int) -> list[Kind]:
    await until(lambda: len(house.taken) >= count)
    return [one.kind for one in house.taken]


async def test_a_stream_wants_a_key() -> None:
    async with opened() as house:
        assert [await refused(house, key=key) for key in ("trk_x", sure(seed=9).key)] == [401] * 2


async def test_without_sources_this_machine_may_open_one() -> None:
    async with opened(settings(sources={})) as house:
        socket = await house.stream()
        await send(socket, EVENT)
        await taken(house, 1)
        assert house.taken[0].source == "local"
        await socket.close()


@pytest.mark.looptime
async def test_a_page_opens_one_with_its_ticket_and_the_ticket_is_not_repeated() -> None:
    async with opened(desk()) as house:
        socket = await house.stream(PROTOCOL, await ticket(house), Origin=PAGE)
        assert socket.protocol == PROTOCOL
        await send(socket, PLAIN)
        assert await said(socket) == {"ack": 1}
        await send(socket, PLAIN | {"actor": {"id": "agent-8"}})
        assert (await said(socket))["error"]["status"] == 403
        assert [one.actor for one in house.taken] == ["agent-7"]
        await socket.close()


async def test_a_ticket_opens_nothing_from_elsewhere_or_when_it_is_over() -> None:
    async with opened(desk()) as house:
        text = await ticket(house)
        assert await refused(house, PROTOCOL, text, Origin="https://other.example") == 401
        assert await refused(house, PROTOCOL, text, Origin="https://evil.example") == 403
        assert await refused(house, PROTOCOL, text) == 401
        assert await refused(house, PROTOCOL, "trt_x", Origin=PAGE) == 401
        assert await refused(house, PROTOCOL, Origin=PAGE) == 401
        house.wall = WALL + 300_000
        assert await refused(house, PROTOCOL, text, Origin=PAGE) == 401


async def test_a_page_that_offers_only_its_ticket_is_told_what_to_offer_and_nothing_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened(desk()) as house:
        text = await ticket(house)
        assert await refused(house, text, Origin=PAGE) == 400
    assert text not in caplog.text


async def test_an_open_stream_outlives_its_ticket() -> None:
    async with opened(desk()) as house:
        socket = await house.stream(PROTOCOL, await ticket(house), Origin=PAGE)
        house.wall = WALL + 3_600_000
        await send(socket, PLAIN)
        await taken(house, 1)
        await socket.close()


@pytest.mark.looptime
async def test_an_id_from_a_page_s_stream_is_no_other_event_s() -> None:
    async with opened(desk()) as house:
        socket = await house.stream(PROTOCOL, await ticket(house), Origin=PAGE)
        await send(socket, PLAIN | {"id": "a"}, [PLAIN | {"id": "b"}], PLAIN | {"id": "a"})
        assert await said(socket) == {"ack": 3}
        assert len(house.taken) == 2
        assert (await (await house.post([EVENT | {"id": "a"}, EVENT | {"id": "b"}])).json())["accepted"] == 2
        await socket.close()


async def test_tickets_of_one_actor_in_one_session_hold_four_streams_and_no_more() -> None:
    async with opened(desk(max_streams=6)) as house:
        text, again = await ticket(house), await ticket(house, lifeS=60)
        mine = [await house.stream(PROTOCOL, one, Origin=PAGE) for one in (text, again, text, again)]
        assert await refused(house, PROTOCOL, text, Origin=PAGE) == 429
        others = [await house.stream(PROTOCOL, await ticket(house, actor={"id": "b"}), Origin=PAGE)]
        others.append(await house.stream())
        await mine.pop().close()
        await until(lambda: house.counted('relay_streams{source="crm"}') == 5)
        others.append(await house.stream(PROTOCOL, text, Origin=PAGE))
        for socket in mine + others:
            await socket.close()


@pytest.mark.looptime
async def test_an_array_by_ticket_is_no_larger_than_a_ticket_s_batch() -> None:
    async with opened(desk()) as house:
        socket = await house.stream(PROTOCOL, await ticket(house), Origin=PAGE)
        await send(socket, [PLAIN] * 41, [PLAIN] * 40)
        assert (await said(socket))["error"]["status"] == 413
        assert await said(socket) == {"ack": 40}
        await socket.close()


async def test_what_a_ticket_sends_comes_by_itself() -> None:
    """It is paid for in two lines, a frame at a time."""
    async with opened(desk()) as house:
        socket = await house.stream(PROTOCOL, await ticket(house), Origin=PAGE)
        for _ in range(10):
            await socket.send_str(wire.dumps(PLAIN).decode())
        await until(lambda: len(house.taken) == 10)
        assert house.accepted_at_once == 1
        await socket.close()


@pytest.mark.looptime
async def test_a_flood_on_a_ticket_s_stream_is_read_slowly_and_the_source_s_own_is_not() -> None:
    async with opened(desk(events_per_s=100), is_timed=True) as house:
        page, own = await house.stream(PROTOCOL, await ticket(house), Origin=PAGE), await house.stream()
        began = asyncio.get_running_loop().time()
        await send(page, *([PLAIN] * 140))
        await send(own, *([EVENT] * 100))
        await until(lambda: sum(one.actor == "crm" for one in house.taken) == 100)
        assert asyncio.get_running_loop().time() - began < 0.3
        await until(lambda: len(house.taken) == 240)
        assert asyncio.get_running_loop().time() - began == pytest.approx((140 - 40) / 20, abs=0.3)
        await page.close()
        await own.close()


HANDSHAKES: list[tuple[bytes, bytes]] = [
    (b"", b"426"),
    (b"Upgrade: h2c\r\nConnection: upgrade, close\r\n", b"426"),
    (b"Upgrade: websocket\r\n", b"400"),
    (b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"400"),
    (b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 12\r\n", b"400"),
    (b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: kanarienvogel\r\n", b"400"),
    (b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: kanarienvogel\r\n", b"400"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "status"), HANDSHAKES, ids=range(len(HANDSHAKES)))
async def test_what_is_no_handshake_is_refused_without_repeating_it(
    house: House, more: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    raw = b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + sure().key.encode()
    answer = await house.said(
        raw + b"\r\n" + more + (b"" if b"Connection" in more else b"Connection: close\r\n") + b"\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert b"application/problem+json" in answer
    assert b"kanarienvogel" not in answer + caplog.text.encode()


async def test_a_query_nobody_knows_is_refused() -> None:
    async with opened() as house:
        assert [
            await refused(house, query=query) for query in ("?x=1", "?leaveOnClose=no", "?leaveOnClose=")
        ] == [400] * 3


async def test_opening_a_stream_is_a_request_of_its_source() -> None:
    crm = {"keys": [key_settings(sure())], "requests_per_s": 1}
    async with opened(settings(sources={"crm": crm})) as house:
        sockets = [await house.stream() for _ in range(2)]
        assert await refused(house) == 429
        for socket in sockets:
            await socket.close()


async def test_a_source_has_as_many_streams_open_as_it_may_and_gets_one_back_for_one_closed() -> None:
    crm = {"keys": [key_settings(sure())], "max_streams": 2}
    async with opened(settings(sources={"crm": crm})) as house:
        first, second = await house.stream(), await house.stream()
        assert await refused(house) == 429
        assert house.counted('relay_streams{source="crm"}') == 2
        await first.close()
        await until(lambda: house.counted('relay_streams{source="crm"}') == 1)
        third = await house.stream()
        for socket in (second, third):
            await socket.close()


async def test_closing_the_last_stream_of_an_actor_lets_it_leave() -> None:
    async with opened() as house:
        first, second = await house.stream(), await house.stream()
        await send(first, EVENT)
        await send(second, EVENT)
        await taken(house, 2)
        await first.close()
        await send(second, EVENT)
        assert await taken(house, 3) == [Kind.KEYSTROKE] * 3
        await second.close()
        assert (await taken(house, 4))[-1] is Kind.ACTOR_LEFT
        assert (house.taken[-1].actor, house.taken[-1].address) == ("crm", house.taken[0].address)
        assert house.counted('relay_stream_ends_total{reason="caller"}') == 2


@pytest.mark.parametrize("again", [lambda one: one, lambda one: [one]], ids=["alone", "in an array"])
async def test_a_message_that_comes_twice_lets_nobody_stay_who_thinks_again(
    again: Callable[[dict[str, Any]], Any],
) -> None:
    message = EVENT | {"type": "message_sent", "id": "m-1"}
    async with opened() as house:
        socket = await house.stream()
        await send(socket, message)
        await send(socket, EVENT | {"type": "thinking", "thinkingId": "t-1"})
        await taken(house, 2)
        await send(socket, again(message))
        await socket.close()
        assert (await taken(house, 3))[-1] is Kind.ACTOR_LEFT


async def test_a_caller_that_is_cut_off_leaves_too() -> None:
    async with opened() as house:
        socket = await house.stream()
        await send(socket, [EVENT | {"actor": {"id": f"a{number}"}} for number in range(3)])
        await taken(house, 3)
        connection = socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()
        assert (await taken(house, 6))[3:] == [Kind.ACTOR_LEFT] * 3


@pytest.mark.parametrize(
    ("setting", "query", "leaves"),
    [(True, "?leaveOnClose=false", False), (False, "", False), (False, "?leaveOnClose=true", True)],
)
async def test_leaving_can_be_declined_by_the_source_or_the_stream(
    setting: bool,  # noqa: FBT001 - a table's column
    query: str,
    leaves: bool,  # noqa: FBT001 - as above
) -> None:
    crm = {"keys": [key_settings(sure())], "leave_on_close": setting}
    async with opened(settings(sources={"crm": crm})) as house:
        socket = await house.stream(query=query)
        await send(socket, EVENT)
        await taken(house, 1)
        await socket.close()
        await until(lambda: house.counted('relay_stream_ends_total{reason="caller"}') == 1)
        await asyncio.sleep(0.05)
        assert [one.kind for one in house.taken][1:] == [Kind.ACTOR_LEFT] * leaves


async def test_nobody_leaves_a_session_that_is_over() -> None:
    async with opened() as house:
        socket = await house.stream()
        await send(socket, EVENT)
        await taken(house, 1)
        house.taken.clear()
        house.sessions.clear()  # forgotten meanwhile
        await socket.close()
        await until(lambda: house.counted('relay_stream_ends_total{reason="caller"}') == 1)
        await asyncio.sleep(0.05)
        assert house.taken == []


async def test_nobody_leaves_a_session_that_is_told_elsewhere_by_now() -> None:
    """It went back to the address it had come from."""
    async with opened() as house:
        socket = await house.stream()
        await send(socket, EVENT, EVENT | {"sessionId": OTHER})
        await taken(house, 2)
        house.sessions["guest"][SESSION].address = Address(SESSION, "another-guest")
        await socket.close()
        await until(lambda: house.counted('relay_stream_ends_total{reason="caller"}') == 1)
        await taken(house, 3)
        assert [one.address.session_id for one in house.taken if one.kind is Kind.ACTOR_LEFT] == [OTHER]


@pytest.mark.parametrize("why", [Rejected(422, "x", "another address now"), Unavailable("stopping")])
async def test_a_leave_that_is_refused_troubles_nobody(why: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as house:
        socket = await house.stream()
        await send(socket, EVENT)
        await taken(house, 1)
        house.refuses = why
        await socket.close()
        await until(lambda: house.counted('relay_stream_ends_total{reason="caller"}') == 1)
        house.refuses = None
        assert (await house.post(EVENT)).status == 202
    assert caplog.records == []


async def test_a_stopping_relay_closes_streams_with_1001_and_lets_their_sessions_be_stopped_by_its_drain() -> (
    None
):
    async with opened() as house:
        sockets = [await house.stream() for _ in range(3)]
        await send(sockets[0], EVENT)
        await taken(house, 1)
        assert house.doors is not None
        endings = [asyncio.create_task(closed(socket)) for socket in sockets]
        async with asyncio.timeout(3):
            await house.doors.drain()
        assert {await one for one in endings} == {(1001, "the relay is stopping: open the stream again")}
        assert await refused(house) == 503
        assert [one.kind for one in house.taken] == [Kind.KEYSTROKE]
        assert house.counted('relay_stream_ends_total{reason="draining"}') == 3


async def test_a_stopping_relay_waits_for_no_stream_that_does_not_answer() -> None:
    async with opened() as house:
        socket = await house.stream()  # reads nothing, so it does not answer the close
        assert house.doors is not None
        async with asyncio.timeout(3):
            await house.doors.drain()
        await socket.close()


def used(house: House, fresh: Settings) -> None:
    assert house.doors is not None
    house.doors.prepared(fresh, Credentials(fresh, wall=_wall, tickets=house.doors.credentials.tickets))()


def _wall() -> UnixMs:
    return WALL


async def test_a_stream_whose_key_is_revoked_is_closed_and_the_others_go_on() -> None:
    both = {"crm": {"keys": [key_settings(sure())]}, "bot": {"keys": [key_settings(sure("bot", seed=2))]}}
    async with opened(settings(sources=both)) as house:
        crm, bot = await house.stream(), await house.stream(key=sure("bot", seed=2).key)
        used(house, settings(sources={"crm": {}, "bot": both["bot"]}))
        assert await closed(crm) == (1008, "these credentials are no longer good")
        await send(bot, EVENT)
        await taken(house, 1)
        await bot.close()


def expiring(*, after_s: int) -> Settings:
    not_after = rfc3339(WALL + after_s * 1000)
    return settings(sources={"crm": {"keys": [key_settings(sure(), not_after=not_after)]}})


async def slept(house: House, seconds: float) -> None:
    """On both clocks."""
    house.wall += round(seconds * 1000)
    await asyncio.sleep(seconds)


@pytest.mark.looptime
async def test_nothing_is_taken_for_a_key_that_is_revoked_while_its_last_ack_is_left_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def stuck(*_: Any) -> None:
        await asyncio.sleep(3600)

    async with opened() as house:
        socket = await house.stream()
        await send(socket, EVENT)
        await taken(house, 1)
        monkeypatch.setattr(WebSocketResponse, "send_frame", stuck)
        used(house, settings(sources={"bot": {"keys": [key_settings(sure("bot", seed=2))]}}))
        for _ in range(8):
            await asyncio.sleep(0.5)
            await send(socket, EVENT)
        assert [one.kind for one in house.taken] == [Kind.KEYSTROKE]
        monkeypatch.undo()
        await socket.close()


@pytest.mark.looptime
async def test_a_stream_ends_with_its_key_though_nobody_reads_the_settings_again() -> None:
    async with opened(expiring(after_s=90)) as house:
        socket = await house.stream()
        answering = asyncio.create_task(answered(socket))
        for _ in range(89):
            await slept(house, 1)
        assert not answering.done()
        await slept(house, 1.1)
        assert await answering == (1008, "these credentials are no longer good")
        await until(lambda: house.counted('relay_stream_ends_total{reason="revoked"}') == 1)


@pytest.mark.looptime
async def test_a_stream_whose_end_is_brought_nearer_by_a_clock_that_is_set_ends_within_a_minute() -> None:
    async with opened(expiring(after_s=7200)) as house:
        answering = asyncio.create_task(answered(await house.stream()))
        await slept(house, 1)
        house.wall += 7_200_000
        async with asyncio.timeout(61):
            assert (await answering)[0] == 1008


@pytest.mark.looptime
async def test_a_key_that_is_good_for_longer_lets_its_stream_live_longer() -> None:
    async with opened(expiring(after_s=5)) as house:
        socket = await house.stream()
        answering = asyncio.create_task(answered(socket))
        used(house, expiring(after_s=15))
        await slept(house, 10)
        assert not answering.done()
        await slept(house, 5.1)
        assert (await answering)[0] == 1008


@pytest.mark.looptime
async def test_a_stream_by_ticket_lives_twelve_hours_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TICKETED_S == 12 * 3600
    monkeypatch.setattr("relay.ingest.streams.TICKETED_S", 90)
    async with opened(desk()) as house:
        socket = await house.stream(PROTOCOL, await ticket(house, lifeS=1), Origin=PAGE)
        answering = asyncio.create_task(answered(socket))
        for _ in range(89):
            await slept(house, 1)
        assert not answering.done()
        await slept(house, 1.1)
        assert (await answering)[0] == 1008


async def answered(socket: ClientWebSocketResponse) -> tuple[int | None, str]:
    """Every ping, until the end; its code and words."""
    while (message := await socket.receive()).type is WSMsgType.PING:
        await socket.pong(message.data)
    return socket.close_code, str(message.extra or "")


async def test_a_stream_by_ticket_lives_as_long_as_its_page_is_listed() -> None:
    async with opened(desk()) as house:
        socket = await house.stream(PROTOCOL, await ticket(house), Origin=PAGE)
        house.wall = WALL + 3_600_000
        used(house, desk(requests_per_s=5))
        await send(socket, PLAIN)
        await taken(house, 1)
        used(house, desk(origins=["https://new.example"]))
        assert (await closed(socket))[0] == 1008


async def test_a_frame_on_the_heels_of_the_handshake_is_taken(house: House) -> None:
    """Before the answer is known: a caller may be that sure of itself."""
    frame = framed(wire.dumps(EVENT))
    close = b"\x88\x82" + bytes(4) + (1000).to_bytes(2, "big")
    answer = await house.said(HANDSHAKE + frame + close)
    assert answer.startswith(b"HTTP/1.1 101")
    assert house.taken[0].kind is Kind.KEYSTROKE


@pytest.mark.looptime
async def test_a_frame_that_waits_for_its_turn_is_not_taken_once_its_key_is_revoked() -> None:
    slow = {"keys": [key_settings(sure())], "events_per_s": 0.5}
    async with opened(settings(sources={"crm": slow}), is_timed=True) as house:
        socket = await house.stream()
        await send(socket, EVENT, EVENT)
        await taken(house, 1)
        await asyncio.sleep(0.5)
        used(house, settings(sources={"crm": {"events_per_s": 0.5}}))
        assert (await closed(socket))[0] == 1008
        await until(lambda: len(house.taken) == 2, within_s=1)  # and not when its turn would have come
        assert [one.kind for one in house.taken] == [Kind.KEYSTROKE, Kind.ACTOR_LEFT]
