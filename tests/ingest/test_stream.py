import asyncio
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, web

from relay import wire
from relay.core.activity import Kind
from relay.errors import Rejected, Unavailable
from relay.ingest.stream import ALIVE_S, PING_AFTER_S, PONG_WITHIN_S, TURN_EVENTS
from tests.ingest.house import EVENT, key_settings, narrow, opened, settings, sure, until

Heard = dict[str, Any]


async def said(stream: ClientWebSocketResponse) -> Heard:
    """The next frame of text."""
    async with asyncio.timeout(30):
        message = await stream.receive()
    assert message.type is WSMsgType.TEXT, message
    heard: Heard = wire.loads(message.data)
    return heard


async def closed(stream: ClientWebSocketResponse) -> tuple[int | None, str]:
    """Its code and words, past whatever is said before."""
    async with asyncio.timeout(60):
        while (message := await stream.receive()).type in {WSMsgType.TEXT, WSMsgType.PING}:
            pass
    return stream.close_code, str(message.extra or "")


async def send(stream: ClientWebSocketResponse, *events: object) -> None:
    for event in events:
        await stream.send_str(wire.dumps(event).decode())


HANDSHAKE = (
    "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    f"Authorization: Bearer {sure().key}\r\n\r\n"
).encode()


def framed(text: bytes) -> bytes:
    """RFC 6455 section 5.2, as a client sends it; masked with zeros."""
    size = (
        bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
    )
    return b"\x81" + size + bytes(4) + text


@pytest.mark.looptime
async def test_events_one_by_one_and_in_arrays_are_taken_in_order() -> None:
    async with opened() as house:
        stream = await house.stream()
        await send(stream, EVENT | {"seq": 1}, [EVENT | {"seq": 2}, EVENT | {"seq": 3}], EVENT | {"seq": 4})
        assert await said(stream) == {"ack": 4}
        assert [one.seq for one in house.taken] == [1, 2, 3, 4]
        assert {one.source for one in house.taken} == {"crm"}
        await stream.close()


@pytest.mark.looptime
async def test_an_ack_comes_a_second_after_the_first_event_it_counts_and_only_when_there_is_news() -> None:
    async with opened() as house:
        stream, began = await house.stream(), asyncio.get_running_loop().time()
        await send(stream, EVENT)
        assert await said(stream) == {"ack": 1}
        assert asyncio.get_running_loop().time() - began == pytest.approx(1, abs=0.1)
        with pytest.raises(TimeoutError):
            await stream.receive(timeout=10)
        await stream.close()


@pytest.mark.looptime
async def test_an_ack_comes_after_a_hundred_events_at_once() -> None:
    async with opened() as house:
        stream, began = await house.stream(), asyncio.get_running_loop().time()
        await send(stream, *([EVENT] * 250))
        assert [await said(stream) for _ in range(2)] == [{"ack": 100}, {"ack": 200}]
        assert asyncio.get_running_loop().time() - began < 0.5
        assert await said(stream) == {"ack": 250}
        await stream.close()


@pytest.mark.looptime
async def test_a_duplicate_is_acknowledged_and_has_no_effect() -> None:
    async with opened() as house:
        stream = await house.stream()
        await send(stream, EVENT | {"id": "a"}, EVENT | {"id": "a"})
        assert await said(stream) == {"ack": 2}
        assert len(house.taken) == 1
        assert (await (await house.post(EVENT | {"id": "a"})).json())["duplicates"] == 1
        await stream.close()


@pytest.mark.looptime
@pytest.mark.parametrize("refused", [0, 4, 9])
async def test_of_frames_that_come_together_each_has_its_own_answer(refused: int) -> None:
    async with opened() as house:
        stream = await house.stream()
        events: list[object] = [EVENT | {"seq": number} for number in range(10)]
        events[refused] = EVENT | {"seq": -1}
        await send(stream, *events)
        error = (await said(stream))["error"]
        assert (error["status"], error["frame"]) == (422, refused + 1)
        assert await said(stream) == {"ack": 9}
        assert [one.seq for one in house.taken] == [number for number in range(10) if number != refused]
        assert house.counted('relay_stream_frames_total{source="crm"}') == 10
        assert house.counted('relay_stream_errors_total{source="crm"}') == 1
        await stream.close()


@pytest.mark.looptime
async def test_frames_that_come_together_are_taken_together() -> None:
    async with opened() as house:
        stream = await house.stream()
        await send(stream, *([EVENT] * 50))
        assert await said(stream) == {"ack": 50}
        assert len(house.taken) == 50
        assert house.accepted_at_once > 1
        await stream.close()


@pytest.mark.looptime
async def test_of_frames_that_come_together_none_is_taken_before_its_turn() -> None:
    crm = {"keys": [key_settings(sure())], "events_per_s": 5}
    async with opened(settings(sources={"crm": crm}), is_timed=True) as house:
        stream = await house.stream()
        await send(stream, *([EVENT] * 30))
        assert await said(stream) == {"ack": 10}  # two seconds' worth at once, and then no more
        assert len(house.taken) == 10
        await stream.close()


@pytest.mark.looptime
async def test_frames_that_come_together_pay_for_their_bytes() -> None:
    crm = {"keys": [key_settings(sure())], "bytes_per_s": 4096}
    size = len(wire.dumps(EVENT))
    async with opened(settings(sources={"crm": crm}), is_timed=True) as house:
        stream = await house.stream()
        await send(stream, *([EVENT] * 200))
        await said(stream)
        assert len(house.taken) * size <= 2 * 4096  # two seconds' worth
        await until(lambda: len(house.taken) == 200)
        assert asyncio.get_running_loop().time() == pytest.approx(200 * size / 4096 - 2, abs=0.5)
        await stream.close()


@pytest.mark.looptime
async def test_what_is_no_plain_event_keeps_its_place_among_those_that_are() -> None:
    async with opened() as house:
        stream = await house.stream()
        await send(stream, *({"seq": n} | EVENT for n in range(5)))
        await stream.send_bytes(b"x")
        await send(stream, *({"seq": n} | EVENT for n in range(5, 8)))
        await stream.ping(b"p")
        await send(stream, EVENT | {"seq": -1}, [EVENT | {"seq": 8}])
        heard = [await said(stream)]
        pong = await stream.receive()
        heard += [await said(stream), await said(stream)]
        assert (pong.type, pong.data) == (WSMsgType.PONG, b"p")
        assert [one["error"]["frame"] for one in heard[:2]] == [6, 10]
        assert heard[2] == {"ack": 9}
        assert [one.seq for one in house.taken] == list(range(9))
        await stream.close()


@pytest.mark.looptime
async def test_who_was_carried_by_frames_that_came_together_leaves_with_the_stream() -> None:
    async with opened() as house:
        stream = await house.stream()
        await send(stream, *([EVENT | {"actor": {"id": f"a{n}"}} for n in range(10)]))
        await said(stream)
        assert house.accepted_at_once > 1
        await stream.close()
        await until(lambda: len(house.taken) == 20)
        assert {one.actor for one in house.taken[10:]} == {f"a{n}" for n in range(10)}
        assert {one.kind for one in house.taken[10:]} == {Kind.ACTOR_LEFT}


@pytest.mark.looptime
async def test_of_frames_that_the_flow_refuses_together_none_is_carried() -> None:
    async with opened() as house:
        stream = await house.stream()
        house.refuses = Rejected(422, "x", "x")
        await send(stream, *([EVENT] * 10))
        assert [(await said(stream))["error"]["frame"] for _ in range(10)] == list(range(1, 11))
        house.refuses = None
        await stream.close()
        await asyncio.sleep(1)
        assert house.taken == []


BAD: list[tuple[bytes, int]] = [
    (b"{", 400),
    (b"", 400),
    (b'"kanarienvogel"', 422),
    (wire.dumps(EVENT | {"type": "kanarienvogel"}), 422),
    (wire.dumps([EVENT, EVENT | {"seq": -1}]), 422),
    (wire.dumps([EVENT] * 501), 413),
    (wire.dumps(EVENT | {"text": "kanarienvogel"}), 422),
    (wire.dumps(EVENT | {"gateway": "eu"}), 422),
]


@pytest.mark.looptime
@pytest.mark.parametrize(("frame", "status"), BAD, ids=range(len(BAD)))
async def test_a_bad_frame_is_one_error_and_the_stream_goes_on(frame: bytes, status: int) -> None:
    async with opened() as house:
        stream = await house.stream()
        await stream.send_str(frame.decode())
        error = (await said(stream))["error"]
        assert (error["status"], error["frame"], error["type"]) == (status, 1, "about:blank")
        assert "kanarienvogel" not in str(error)
        await send(stream, EVENT)
        assert await said(stream) == {"ack": 1}
        assert len(house.taken) == 1
        assert house.counted('relay_stream_errors_total{source="crm"}') == 1
        assert house.counted('relay_stream_frames_total{source="crm"}') == 2
        await stream.close()


@pytest.mark.looptime
async def test_a_frame_of_bytes_is_an_error_and_the_stream_goes_on() -> None:
    async with opened() as house:
        stream = await house.stream()
        await stream.send_bytes(wire.dumps(EVENT))
        assert (await said(stream))["error"]["status"] == 415
        await send(stream, EVENT)
        assert await said(stream) == {"ack": 1}
        await stream.close()


@pytest.mark.looptime
async def test_what_cannot_be_taken_now_says_when_to_come_back() -> None:
    async with opened() as house:
        stream = await house.stream()
        house.refuses = Unavailable("the outbox is full", retry_after_s=2.5)
        await send(stream, EVENT | {"id": "a"})
        error = (await said(stream))["error"]
        assert (error["status"], error["retryAfterS"]) == (503, 2.5)
        house.refuses = None
        await send(stream, EVENT | {"id": "a"})
        assert await said(stream) == {"ack": 1}
        await stream.close()


async def test_a_frame_past_64_kib_ends_the_stream() -> None:
    async with opened() as house:
        stream = await house.stream()
        await stream.send_str(wire.dumps(EVENT).decode().ljust(65_536))
        assert await said(stream) == {"ack": 1}
        await stream.send_str(wire.dumps(EVENT).decode().ljust(65_537))
        assert (await closed(stream))[0] == 1009
        await until(lambda: [one.kind for one in house.taken] == [Kind.KEYSTROKE, Kind.ACTOR_LEFT])


async def test_nothing_is_compressed() -> None:
    async with opened() as house:
        assert house.client is not None
        stream = await house.client.ws_connect(
            house.base_url + "/v1/stream", headers={"Authorization": f"Bearer {sure().key}"}, compress=15
        )
        assert stream.compress == 0
        await stream.close()


@pytest.mark.looptime
async def test_an_idle_stream_is_pinged_and_lives_as_long_as_it_answers() -> None:
    async with opened() as house:
        stream, loop = await house.stream(), asyncio.get_running_loop()
        for turn in range(1, 4):
            message = await stream.receive(timeout=60)
            assert message.type is WSMsgType.PING
            assert loop.time() == pytest.approx(turn * PING_AFTER_S, abs=0.5)
            await stream.pong(message.data)
        await send(stream, EVENT)
        assert await said(stream) == {"ack": 1}
        await stream.close()


@pytest.mark.looptime
async def test_a_stream_that_answers_no_ping_is_taken_for_gone() -> None:
    async with opened() as house:
        stream, loop = await house.stream(), asyncio.get_running_loop()
        await send(stream, EVENT)
        assert await closed(stream) == (1008, "no ping was answered")
        assert loop.time() == pytest.approx(PING_AFTER_S + PONG_WITHIN_S, abs=0.5)
        await until(lambda: [one.kind for one in house.taken] == [Kind.KEYSTROKE, Kind.ACTOR_LEFT])
        assert house.counted('relay_stream_ends_total{reason="silent"}') == 1
        await stream.close()


@pytest.mark.looptime
async def test_our_own_pings_are_answered() -> None:
    async with opened() as house:
        stream = await house.stream()
        await stream.ping(b"are you there")
        message = await stream.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.PONG, b"are you there")
        await stream.close()


@pytest.mark.looptime
async def test_a_stream_that_sends_too_fast_is_read_more_slowly_and_loses_nothing() -> None:
    crm = {"keys": [key_settings(sure())], "events_per_s": 10}
    async with opened(settings(sources={"crm": crm}), is_timed=True) as house:
        stream, began = await house.stream(), asyncio.get_running_loop().time()
        await send(stream, *([EVENT] * 120))
        await until(lambda: len(house.taken) == 120)
        assert asyncio.get_running_loop().time() - began == pytest.approx((120 - 20) / 10, abs=0.3)
        acks = [await said(stream) for _ in range(2)]
        assert acks[-1]["ack"] > acks[0]["ack"], "what was taken is acknowledged while the rest waits"
        await stream.close()


@pytest.mark.looptime
async def test_an_array_is_paid_for_by_what_comes_after_it() -> None:
    crm = {"keys": [key_settings(sure())], "events_per_s": 10}
    async with opened(settings(sources={"crm": crm}), is_timed=True) as house:
        stream, began = await house.stream(), asyncio.get_running_loop().time()
        await send(stream, [EVENT] * 70, EVENT)
        await until(lambda: len(house.taken) == 71)
        assert asyncio.get_running_loop().time() - began == pytest.approx(5.1, abs=0.3)
        await stream.close()


@pytest.mark.looptime
async def test_errors_cost_as_much_as_events() -> None:
    crm = {"keys": [key_settings(sure())], "events_per_s": 10}
    async with opened(settings(sources={"crm": crm}), is_timed=True) as house:
        stream, began = await house.stream(), asyncio.get_running_loop().time()
        for _ in range(60):
            await stream.send_str("{")
        for _ in range(60):
            await said(stream)
        assert asyncio.get_running_loop().time() - began == pytest.approx(4, abs=0.3)
        await stream.close()


async def test_a_caller_that_does_not_read_is_closed_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors pile up until neither its socket nor ours takes more; then it has a moment to read why."""
    monkeypatch.setattr("relay.ingest.stream.UNREAD_S", 0.3)
    crm = {"keys": [key_settings(sure())], "events_per_s": 10_000_000, "bytes_per_s": 1e11}
    async with opened(settings(sources={"crm": crm})) as house:
        junk = wire.dumps(EVENT | {f"x{number}": 1 for number in range(49)})  # answered with five kilobytes
        reader, writer = await narrow(house.base_url)
        writer.write(HANDSHAKE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        with pytest.raises(TimeoutError):  # it is not read any more either
            await asyncio.wait_for(flood(writer, framed(junk) * 100), timeout=2)
        assert await past(reader, b"what is sent here is not read")
        await until(lambda: house.counted('relay_stream_ends_total{reason="unread"}') == 1)
        writer.transport.abort()
        assert (await house.post(EVENT)).status == 202


async def flood(writer: asyncio.StreamWriter, raw: bytes) -> None:
    while True:
        writer.write(raw)
        await writer.drain()


async def past(reader: asyncio.StreamReader, words: bytes) -> bool:
    """True once they were read; False if everything was, and they were not there."""
    tail = b""
    async with asyncio.timeout(10):
        while more := await reader.read(65_536):
            tail = tail[-100:] + more
            if words in tail:
                return True
    return False


@pytest.mark.looptime
async def test_streams_that_wait_take_turns() -> None:
    """None of them gets a second frame read before each of the others had its first."""
    crm = {"keys": [key_settings(sure())], "events_per_s": 10}
    async with opened(settings(sources={"crm": crm}), is_timed=True) as house:
        greedy, *others = [await house.stream() for _ in range(10)]
        await send(greedy, *([EVENT | {"actor": {"id": "a0"}}] * 200))
        await until(lambda: len(house.taken) >= 20)  # its burst, and what it may send beyond
        began = asyncio.get_running_loop().time()
        for number, other in enumerate(others, 1):
            await send(other, EVENT | {"actor": {"id": f"a{number}"}})
        await until(lambda: len({one.actor for one in house.taken}) == 10)
        assert asyncio.get_running_loop().time() - began == pytest.approx(10 / 10, abs=0.3)
        for stream in (greedy, *others):
            await stream.close()


@pytest.mark.looptime
async def test_a_stream_that_waits_long_is_told_now_and_then_that_we_live() -> None:
    """A client that pings every ten would leave, and its actor with it, while its own ping waits behind its frames."""
    crm = {"keys": [key_settings(sure())], "events_per_s": 10}
    async with opened(settings(sources={"crm": crm}), is_timed=True) as house:
        stream, loop = await house.stream(), asyncio.get_running_loop()
        await send(stream, [EVENT] * 200, EVENT)
        assert await said(stream) == {"ack": 200}
        began = loop.time()
        for turn in range(1, 5):
            assert (await stream.receive(timeout=60)).type is WSMsgType.PONG
            assert loop.time() - began == pytest.approx(turn * ALIVE_S, abs=0.3)
        assert await said(stream) == {"ack": 201}
        await stream.close()


@pytest.mark.looptime
async def test_a_stream_that_waits_for_longer_than_pings_may_is_not_taken_for_silent() -> None:
    crm = {"keys": [key_settings(sure())], "events_per_s": 10}
    async with opened(settings(sources={"crm": crm}), is_timed=True) as house:
        stream = await house.stream()
        await send(stream, [EVENT] * 500, EVENT)
        assert await said(stream) == {"ack": 500}
        while (message := await stream.receive(timeout=30)).type is WSMsgType.PONG:
            pass
        assert message.data == '{"ack":501}'
        assert asyncio.get_running_loop().time() > PING_AFTER_S + PONG_WITHIN_S + ALIVE_S
        message = await stream.receive(timeout=60)
        assert message.type is WSMsgType.PING
        await stream.pong(message.data)
        await asyncio.sleep(PONG_WITHIN_S + 1)
        assert not house.counted('relay_stream_ends_total{reason="silent"}')
        await stream.close()


async def test_what_is_taken_is_acknowledged_before_the_stream_is_closed() -> None:
    """It was sent again on the next one."""
    async with opened() as house:
        stream = await house.stream()
        await send(stream, EVENT, EVENT)
        await until(lambda: len(house.taken) == 2)
        assert house.doors is not None
        await house.doors.drain()
        assert await said(stream) == {"ack": 2}
        assert (await closed(stream))[0] == 1001


@pytest.mark.parametrize("count", [1, 300])
async def test_what_a_caller_said_before_it_went_is_taken(count: int) -> None:
    """Its close and its end are here with its frames, and nothing can be said to it any more."""
    close = b"\x88\x82" + bytes(4) + (1001).to_bytes(2, "big")
    async with opened() as house:
        reader, writer = await narrow(house.base_url)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(framed(wire.dumps(EVENT)) * count + close)
        writer.close()
        await until(lambda: [one.kind for one in house.taken][-1:] == [Kind.ACTOR_LEFT], within_s=5)
        assert len(house.taken) == count + 1


async def test_the_last_ack_and_the_code_come_before_the_answer_to_a_close() -> None:
    async with opened() as house:
        close = b"\x88\x82" + bytes(4) + (1001).to_bytes(2, "big")
        told = await house.said(HANDSHAKE + framed(wire.dumps(EVENT)) * 2 + close)
        assert told.endswith(b"\x81\x09" + b'{"ack":2}' + b"\x88\x02" + (1001).to_bytes(2, "big"))


@pytest.mark.looptime
async def test_pings_cost_as_much_as_events() -> None:
    crm = {"keys": [key_settings(sure())], "events_per_s": 10}
    async with opened(settings(sources={"crm": crm}), is_timed=True) as house:
        stream, began = await house.stream(), asyncio.get_running_loop().time()
        for _ in range(60):
            await stream.ping(b"")
        for _ in range(60):
            assert (await stream.receive(timeout=60)).type is WSMsgType.PONG
        assert asyncio.get_running_loop().time() - began == pytest.approx(4, abs=0.3)
        await stream.close()


async def test_a_flood_of_pings_lets_the_loop_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, send_frame = 0, web.WebSocketResponse.send_frame

    async def counted(socket: web.WebSocketResponse[Any], *frame: Any) -> None:
        nonlocal answered
        answered += 1
        await send_frame(socket, *frame)

    monkeypatch.setattr(web.WebSocketResponse, "send_frame", counted)
    unmetered = {"keys": [key_settings(sure())], "events_per_s": 10_000_000}
    async with opened(settings(sources={"crm": unmetered})) as house:
        stream = await house.stream()
        connection = stream._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.write(b"\x89\x80\x00\x00\x00\x00" * 10_000)
        most_in_a_turn = before = 0
        while before < 10_000:
            await asyncio.sleep(0)
            most_in_a_turn, before = max(most_in_a_turn, answered - before), answered
        connection.transport.abort()
        assert 1 < most_in_a_turn <= TURN_EVENTS


@pytest.mark.looptime
async def test_an_event_the_flow_refuses_is_not_carried() -> None:
    async with opened() as house:
        stream = await house.stream()
        house.refuses = Rejected(422, "x", "x")
        await send(stream, EVENT)
        assert (await said(stream))["error"]["status"] == 422
        house.refuses = None
        await stream.close()
        await asyncio.sleep(1)
        assert house.taken == []


async def test_a_stream_with_very_much_to_say_lets_the_loop_turn() -> None:
    """Ten thousand events lie in the socket's buffer before the first is read."""
    unmetered = {"keys": [key_settings(sure())], "events_per_s": 10_000_000}
    async with opened(settings(sources={"crm": unmetered})) as house:
        stream = await house.stream()
        connection = stream._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.write(framed(wire.dumps(EVENT)) * 10_000)
        most_in_a_turn = before = 0
        while before < 10_000:
            await asyncio.sleep(0)
            most_in_a_turn, before = max(most_in_a_turn, len(house.taken) - before), len(house.taken)
        await stream.close()
        assert 1 < most_in_a_turn <= TURN_EVENTS
