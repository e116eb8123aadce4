"""A stream says what it is told through whatever breaks, once, and never holds up who speaks."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from relay import wire
from relay.client import RelayClient
from tests.client.standing import problem

pytestmark = pytest.mark.looptime

KEY = {"sessionId": "s1", "guestId": "g1", "type": "keystroke"}


@dataclass
class Door:
    """Takes streams as a relay does: an ack a second, an error for a frame with a session named `bad`."""

    url: str = ""
    frames: list[list[dict[str, Any]]] = field(default_factory=list)
    opened: int = 0
    queries: list[str] = field(default_factory=list)
    status: int = 101
    asks_s: int = 0
    """To wait, after a refusal."""
    is_mute: bool = False
    most_bytes: int = 64 * 1024
    """What is larger closes the socket."""
    closes_after: int | None = None
    """So many frames it is acknowledged, and closed."""
    refused_at: list[float] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)

    def told(self) -> list[dict[str, Any]]:
        return [event for frame in self.frames for event in frame]

    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.told()]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.opened += 1
        self.queries.append(request.rel_url.query_string)
        if self.status != 101:
            return problem(self.status, Retry_After=str(self.asks_s))
        socket: web.WebSocketResponse = web.WebSocketResponse(max_msg_size=self.most_bytes)
        await socket.prepare(request)
        self.sockets.append(socket)
        taken = acked = number = 0
        while True:
            try:
                message = await socket.receive(timeout=1)
            except TimeoutError:
                if taken > acked and not self.is_mute:
                    acked = taken
                    await socket.send_json({"ack": acked})
                continue
            if message.type is not WSMsgType.TEXT:
                return socket
            number += 1
            if number == self.closes_after:
                await socket.send_json({"ack": taken + 1})
                await socket.close()
                return socket
            told = wire.loads(message.data)
            frame = told if isinstance(told, list) else [told]
            if any(event["sessionId"] == "bad" for event in frame):
                refusal = {"title": "Unprocessable event", "status": 422, "detail": "no", "frame": number}
                await socket.send_json({"error": refusal})
            elif self.asks_s:
                refusal = {"status": 503, "detail": "full", "retryAfterS": self.asks_s, "frame": number}
                self.refused_at.append(asyncio.get_running_loop().time())
                await socket.send_json({"error": refusal})
            else:
                self.frames.append(frame)
                taken += len(frame)


@asynccontextmanager
async def door(*, port: int = 0) -> AsyncIterator[Door]:
    it = Door()
    runner = web.ServerRunner(web.Server(it.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield it
    finally:
        for socket in it.sockets:
            await socket.close()
        await runner.cleanup()


async def test_what_is_said_arrives_in_order_through_one_socket_and_is_acknowledged() -> None:
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        for number in range(200):
            stream.say(KEY | {"seq": number})
            await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        assert relay.seqs() == list(range(200))
        assert (relay.opened, stream.counts.taken, stream.counts.dropped) == (1, 200, 0)
        assert len({event["id"] for event in relay.told()}) == 200


async def test_a_stream_outlives_the_deadline_of_a_request() -> None:
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        await asyncio.sleep(600)
        stream.typing("s1", "g1", actor="agent-7")
        await asyncio.sleep(1)
        ((event,),) = relay.frames
        assert (event["type"], event["actor"], relay.opened) == ("keystroke", {"id": "agent-7"}, 1)


async def test_leaving_waits_for_the_acknowledgement() -> None:
    async with door() as relay, RelayClient(relay.url) as client:
        async with client.stream() as stream:
            stream.say(KEY | {"seq": 1})
        assert (relay.seqs(), stream.counts.taken) == ([1], 1)


async def test_closing_the_client_closes_its_streams() -> None:
    async with door() as relay:
        async with RelayClient(relay.url) as client:
            stream = client.stream()
            stream.start()
            stream.say(KEY | {"seq": 1})
        assert (relay.seqs(), stream.counts.taken) == ([1], 1)


async def test_after_a_break_what_was_not_acknowledged_is_sent_again_with_its_ids() -> None:
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        relay.is_mute = True
        for number in range(3):
            stream.say(KEY | {"seq": number})
        await asyncio.sleep(0.5)
        relay.is_mute = False
        await relay.sockets[0].close()
        await asyncio.sleep(3)
        assert relay.seqs() == [0, 1, 2] * 2
        assert len({event["id"] for event in relay.told()}) == 3
        assert (stream.counts.taken, relay.opened) == (3, 2)


async def test_a_relay_that_comes_back_later_is_told_what_is_still_fresh(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "relay.client")
    async with door() as relay:
        port = int(relay.url.rpartition(":")[2])
    async with RelayClient(f"http://127.0.0.1:{port}") as client, client.stream() as stream:
        for number in range(20):
            stream.say(KEY | {"seq": number})
            await asyncio.sleep(1)
        stream.say(KEY | {"type": "message_sent", "seq": 20})
        async with door(port=port) as relay:
            await asyncio.sleep(8)
            assert relay.seqs()[-1] == 20
            assert stream.counts.dropped + stream.counts.taken == 21
            assert stream.counts.dropped >= 15
        assert ["takes events again" in record.getMessage() for record in caplog.records[:2]] == [False, True]


async def test_an_event_that_cannot_be_used_is_dropped_and_its_neighbours_arrive(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        for number in range(5):
            stream.say(KEY | {"seq": number} | ({"sessionId": "bad"} if number == 2 else {}))
        stream.say(None)  # type: ignore[arg-type] # wrong on purpose
        await asyncio.sleep(3)
        assert relay.seqs() == [0, 1, 3, 4]
        assert (stream.counts.taken, stream.counts.refused) == (4, 2)
    assert len(caplog.records) == 1


async def test_a_refused_stream_is_said_once_and_tried_again_in_peace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        relay.status = 401
        stream.say(KEY)
        await asyncio.sleep(59)
        assert relay.opened == 6
        assert len(caplog.records) == 1
        assert "401" in caplog.text


async def test_a_stream_refused_with_429_is_said_with_its_words_and_not_opened_before_its_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Escaped because aiohttp keeps a refusal's status alone, and nothing looked at its Retry-After."""
    caplog.set_level(logging.INFO, "relay.client")
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        relay.status, relay.asks_s = 429, 30
        for _ in range(29):
            stream.say(KEY)
            await asyncio.sleep(1)
        assert relay.opened == 1
        (record,) = caplog.records
        assert record.getMessage() == (
            "the relay takes nothing (429, for 30 s): refused with 429; this is said once"
        )
        relay.status, relay.asks_s = 101, 0
        await asyncio.sleep(5)
        assert ["takes events again" in record.getMessage() for record in caplog.records] == [False, True]
        assert stream.counts.dropped + stream.counts.taken == 29
        assert stream.counts.dropped >= 24


async def test_frames_that_cannot_be_taken_now_are_said_once_and_wait_as_long_as_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "relay.client")
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        stream.say(KEY | {"seq": 0})
        await asyncio.sleep(0.5)
        relay.asks_s = 4
        for number in range(1, 9):
            stream.say(KEY | {"type": "message_sent", "seq": number})
            await asyncio.sleep(1)
        assert {round(at - relay.refused_at[0]) for at in relay.refused_at} == {0, 4}
        assert ["(503, for 4 s): full" in record.getMessage() for record in caplog.records] == [True]
        relay.asks_s = 0
        await asyncio.sleep(6)
        assert relay.seqs() == list(range(9))
        assert ["takes events again" in record.getMessage() for record in caplog.records] == [False, True]
        assert stream.counts.dropped == 0


async def test_a_relay_that_answers_nothing_is_sent_no_more_than_it_may_lose() -> None:
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        relay.is_mute = True
        began = asyncio.get_running_loop().time()
        for number in range(3000):
            stream.say(KEY | {"seq": number})
        assert asyncio.get_running_loop().time() == began
        await asyncio.sleep(1)
        assert len(relay.told()) == 500
        assert stream.counts.dropped == 3000 - 1000
    assert stream.counts.dropped + stream.counts.taken == 3000


async def test_any_thread_may_speak() -> None:
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        threads = [threading.Thread(target=stream.say, args=(KEY | {"seq": n},)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        await asyncio.sleep(2)
        assert sorted(relay.seqs()) == list(range(5))


async def test_whether_actors_leave_with_the_stream_can_be_asked() -> None:
    async with door() as relay, RelayClient(relay.url) as client:
        for asked in (None, True, False):
            async with client.stream(leave_on_close=asked):
                await asyncio.sleep(0.1)
        assert relay.queries == ["", "leaveOnClose=true", "leaveOnClose=false"]


async def test_closing_while_nobody_is_there_takes_two_seconds_at_most() -> None:
    client = RelayClient("http://127.0.0.1:1")
    stream = client.stream()
    stream.start()
    stream.say(KEY)
    began = asyncio.get_running_loop().time()
    await client.close()
    assert asyncio.get_running_loop().time() - began <= 2.1
    assert stream.counts.dropped == 1


async def test_keystrokes_that_a_message_has_overtaken_are_not_said_after_it() -> None:
    """They were in a frame with an event that could not be used: the guest saw typing begin after the message."""
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        await asyncio.sleep(1)
        for event in (KEY | {"sessionId": "bad"}, KEY | {"seq": 1}, KEY | {"seq": 2, "sessionId": "other"}):
            stream.say(event)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stream.say(KEY | {"seq": 3, "type": "message_sent"})
        await asyncio.sleep(3)
        assert relay.seqs() == [3, 2]
        assert (stream.counts.taken, stream.counts.refused, stream.counts.dropped) == (2, 1, 1)


async def test_a_relay_that_takes_only_small_frames_is_sent_small_ones() -> None:
    """Its socket was closed, the same frame sent again, and nothing ever taken."""
    async with door() as relay, RelayClient(relay.url) as client:
        relay.most_bytes = 1024
        async with client.stream() as stream:
            for number in range(100):
                stream.say(KEY | {"seq": number})
            await asyncio.sleep(3)
        assert relay.seqs() == list(range(100))
        assert (stream.counts.taken, stream.counts.dropped, stream.counts.refused) == (100, 0, 0)


async def test_a_smaller_frame_does_not_wait_as_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    """Each halving would double the wait, until what is said is late."""
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        relay.most_bytes = 256
        for number in range(40):
            stream.say(KEY | {"seq": number})
        await asyncio.sleep(0.1)
        assert relay.seqs() == list(range(40))
    assert caplog.records == []


async def test_an_event_too_large_by_itself_is_out_and_its_neighbours_arrive(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It closed each socket it was sent through, for as long as it was fresh."""
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        for number in range(5):
            stream.say(
                KEY | {"seq": number} | ({"type": "message_sent", "x": "y" * 70_000} if number == 2 else {})
            )
        await asyncio.sleep(3)
        assert list(dict.fromkeys(relay.seqs())) == [0, 1, 3, 4], "the first two again, with their ids"
        assert (stream.counts.taken, stream.counts.refused) == (4, 1)
    assert ["larger than it takes" in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize("status", [101, 401, 503])
async def test_a_stream_with_nothing_to_say_is_left_at_once(status: int) -> None:
    """Who was refused slept through the wait for the next try first."""
    async with door() as relay, RelayClient(relay.url) as client:
        relay.status = status
        async with client.stream():
            await asyncio.sleep(3)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 0.1


async def test_what_is_said_after_the_end_is_counted_and_a_stream_may_be_entered_anew() -> None:
    async with door() as relay, RelayClient(relay.url) as client:
        stream = client.stream()
        for number in (1, 2):
            async with stream:
                stream.say(KEY | {"seq": number})
        stream.say(KEY | {"seq": 3})
        await asyncio.sleep(1)
        assert relay.seqs() == [1, 2]
        assert (stream.counts.taken, stream.counts.dropped) == (2, 1)


async def test_what_is_left_when_leaving_is_cancelled_is_counted() -> None:
    stream = RelayClient("http://127.0.0.1:1").stream()
    stream.start()
    stream.say(KEY)
    leaving = asyncio.create_task(stream.close())
    await asyncio.sleep(0.5)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert stream.counts.dropped == 1


async def test_one_that_acknowledges_a_little_and_closes_is_asked_ever_more_rarely() -> None:
    """Its acknowledgement counted as all being well: ten sockets a second were opened, for ever."""
    async with door() as relay, RelayClient(relay.url) as client, client.stream() as stream:
        relay.closes_after = 1
        for _ in range(300):
            stream.say(KEY)
            await asyncio.sleep(0.1)
        opened = relay.opened
    assert opened <= 12
    assert relay.opened <= opened + 4  # while it is left, too
