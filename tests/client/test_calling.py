"""The client as a bot uses it: it delivers what it can, keeps the order, and never gets in the bot's way."""

import asyncio
import itertools
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from relay.client import Answer, Counts, Fault, RelayClient
from relay.client.sending import Sender
from relay.errors import Rejected, Unavailable
from tests.client.beside import GUEST, KEY, SESSION, beside
from tests.client.standing import problem, standing, taken

pytestmark = pytest.mark.looptime

EVENT = {"sessionId": SESSION, "guestId": GUEST, "type": "keystroke"}


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL where nobody listens, and nobody else will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "relay.client"]


def now() -> float:
    return asyncio.get_running_loop().time()


# -- what is told -------------------------------------------------------------------------------------------


async def test_an_event_is_answered_by_the_relays_own_figures() -> None:
    async with beside() as (_, client):
        answer = await client.send(EVENT)
        assert (answer.is_taken, answer.accepted, answer.duplicates, answer.stale) == (True, 1, 0, 0)
        again = {"id": "evt-1"} | EVENT
        await client.send(again)
        assert (await client.send(again)).duplicates == 1


async def test_many_events_are_one_request_and_one_answer() -> None:
    async with standing() as relay, RelayClient(relay.url) as client:
        answer = await client.send_many({"sessionId": f"s{n}", "type": "keystroke"} for n in range(1100))
        assert [len(events) for events in relay.requests] == [500, 500, 100]
        assert answer.accepted == 1100
        assert len({event["id"] for events in relay.requests for event in events}) == 1100


async def test_typing_is_a_keystroke_of_whom_the_client_is() -> None:
    async with standing() as relay, RelayClient(relay.url, actor="bot-7", gateway="guest") as client:
        await client.typing("s1", "g1")
        await asyncio.sleep(1)
        ((event,),) = relay.requests
        assert event.pop("id")
    assert event == {
        "sessionId": "s1",
        "guestId": "g1",
        "type": "keystroke",
        "actor": {"id": "bot-7", "kind": "bot"},
        "gateway": "guest",
    }


async def test_the_key_is_a_bearer_and_in_no_text_of_the_client() -> None:
    async with standing() as relay, RelayClient(relay.url, "trk_x_canary") as client:
        await client.send(EVENT)
        assert relay.headers[0]["Authorization"] == "Bearer trk_x_canary"
        assert "canary" not in f"{client!r}{vars(client)['_engine']!r}"


async def test_what_one_turn_says_goes_out_together_and_in_order() -> None:
    async with standing() as relay, RelayClient(relay.url) as client:
        for number in range(5):
            client.say(EVENT | {"seq": number})
        await asyncio.sleep(1)
        assert [[event["seq"] for event in events] for events in relay.requests] == [[0, 1, 2, 3, 4]]


async def test_within_a_session_nothing_overtakes_and_sessions_do_not_wait_for_each_other() -> None:
    async def slow(events: list[dict[str, Any]]) -> web.Response:
        await asyncio.sleep(1 if events[0]["sessionId"] == "slow" else 0)
        return taken(len(events))

    async with standing(slow) as relay, RelayClient(relay.url) as client:
        client.say({"sessionId": "slow", "type": "keystroke"})
        await asyncio.sleep(0.1)
        client.say({"sessionId": "slow", "type": "message_sent"})
        client.say({"sessionId": "fast", "type": "keystroke"})
        await asyncio.sleep(0.1)
        assert [(e["sessionId"], e["type"]) for events in relay.requests for e in events] == [
            ("slow", "keystroke"),
            ("fast", "keystroke"),
        ]
        answer = await client.send({"sessionId": "slow", "type": "cleared"})
        assert answer.is_taken
        assert relay.kinds()[2:] == ["message_sent", "cleared"]


# -- a relay in trouble ---------------------------------------------------------------------------------------


async def test_a_relay_that_is_down_costs_the_work_nothing_and_one_line(
    nobody: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = RelayClient(nobody, KEY)
    began = now()
    for _ in range(20):
        async with client.thinking(SESSION, GUEST):
            client.say(EVENT)
            await client.typing(SESSION, GUEST)
            await asyncio.sleep(1)
    assert now() - began == pytest.approx(20)
    assert len(said(caplog)) == 1
    assert "no connection" in said(caplog)[0]
    await client.close()
    assert now() - began <= 22.1
    assert len(said(caplog)) == 1


async def test_a_relay_that_comes_up_learns_of_the_run_that_is_still_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    client = RelayClient(f"http://127.0.0.1:{port}")
    async with client, client.thinking("s1", "g1"):
        await asyncio.sleep(30)
        async with standing(port=port) as relay:
            await asyncio.sleep(12)  # a try each 5 s, and a heartbeat 5 s after the one that is taken
            assert relay.kinds()[:2] == ["thinking", "heartbeat"]
        assert len(said(caplog)) == 2
        assert "takes events again" in said(caplog)[1]


async def test_a_relay_that_starts_anew_between_two_heartbeats_is_told_of_the_run_again() -> None:
    client = RelayClient("http://127.0.0.1:1")
    async with standing() as relay:
        port = int(relay.url.rpartition(":")[2])
        client = RelayClient(relay.url)
        work = client.thinking("s1", "g1")
        work.begin()
        await asyncio.sleep(7)
        assert relay.kinds() == ["thinking", "heartbeat"]
    async with standing(port=port) as relay:
        await asyncio.sleep(4)
        assert relay.kinds() == ["heartbeat", "thinking"]
        work.end()
        await client.close()
        assert relay.kinds() == ["heartbeat", "thinking", "thinking_done"]


async def test_a_session_too_many_silences_none_of_those_alive(caplog: pytest.LogCaptureFixture) -> None:
    """Escaped because a batch that is refused was taken for a relay that takes nothing: all of it waited together."""

    async def crowded(events: list[dict[str, Any]]) -> web.Response:
        new = [place for place, event in enumerate(events) if event["sessionId"] == "new"]
        places = [f"{place}.sessionId" if len(events) > 1 else "sessionId" for place in new]
        return problem(429, *places, Retry_After="5") if new else taken(len(events))

    async with standing(crowded) as relay, RelayClient(relay.url) as client:
        client.thinking("alive", "g1").begin()
        await asyncio.sleep(5)  # as the heartbeat is due
        client.thinking("new", "g2").begin()
        await asyncio.sleep(20)
        heard = zip(relay.requests, relay.at, strict=True)
        beats = [at for events, at in heard if {event["sessionId"] for event in events} == {"alive"}]
        assert max(later - before for before, later in itertools.pairwise(beats)) < 7
        assert len(beats) >= 4
        assert len([events for events in relay.requests if len(events) > 1]) >= 1
        assert len(said(caplog)) == 1
        assert "no room" in said(caplog)[0]


async def test_a_run_the_relay_never_heard_of_is_never_told_to_have_ended() -> None:
    is_up = False

    async def answered(events: list[dict[str, Any]]) -> web.Response:
        return taken(len(events)) if is_up else problem(503)

    async with standing(answered) as relay, RelayClient(relay.url) as client:
        await client.send(EVENT)
        before = len(relay.requests)
        async with client.thinking("s1", "g1"):
            pass
        is_up = True
        await asyncio.sleep(20)
        assert "thinking_done" not in relay.kinds()[before:]


async def test_runs_that_open_and_close_in_an_outage_leave_nothing_behind(nobody: str) -> None:
    client = RelayClient(nobody)
    answer = await client.send(EVENT)
    assert not answer.is_taken
    before = client.counts.dropped
    for number in range(100):
        async with client.thinking(f"s{number}"):
            pass
    assert client.counts.dropped == before + 100, "it heard of none of them"
    await client.close()
    assert client.counts.dropped == before + 100


async def test_a_keystroke_that_would_be_late_is_dropped_and_counted() -> None:
    async def away(_events: list[dict[str, Any]]) -> web.Response:
        return problem(503, Retry_After="6")

    async with standing(away) as relay, RelayClient(relay.url) as client:
        client.say(EVENT)
        await asyncio.sleep(30)
        assert (relay.kinds(), client.counts.dropped) == (["keystroke"], 1)


async def test_a_message_may_be_late_by_fifteen_seconds() -> None:
    answers = [problem(503, Retry_After="6"), taken()]

    async def answered(_events: list[dict[str, Any]]) -> web.Response:
        return answers.pop(0)

    async with standing(answered) as relay, RelayClient(relay.url) as client:
        client.say(EVENT | {"type": "message_sent"})
        await asyncio.sleep(30)
        assert relay.kinds() == ["message_sent"] * 2
        assert relay.requests[0] == relay.requests[1], "one event has one id"
        assert relay.at[1] - relay.at[0] == pytest.approx(6, abs=0.01)


@pytest.mark.parametrize("status", [429, 503])
async def test_nothing_is_tried_before_retry_after(status: int) -> None:
    async def answered(_events: list[dict[str, Any]]) -> web.Response:
        return problem(status, Retry_After="4")

    async with standing(answered) as relay, RelayClient(relay.url) as client:
        async with client.thinking("s1", "g1"):
            client.say(EVENT)
            await asyncio.sleep(12.5)
        assert [round(at - relay.at[0]) for at in relay.at] == [0, 4, 8, 12]


async def test_a_429_is_said_once_with_its_words_and_its_wait_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Escaped because only a second failure was said, and a pause of half a minute sees none."""
    caplog.set_level(logging.INFO, "relay.client")
    answers = [problem(429, Retry_After="30"), taken(), taken()]

    async def answered(_events: list[dict[str, Any]]) -> web.Response:
        return answers.pop(0)

    async with standing(answered) as relay, RelayClient(relay.url) as client:
        async with client.thinking("s1", "g1"):
            for _ in range(8):
                client.say(EVENT)
                await asyncio.sleep(1)
        (line,) = said(caplog)
        assert "429" in line
        assert "refused with 429" in line
        assert "30 s" in line
        await asyncio.sleep(30)
        assert client.counts.dropped == 9
        assert (await client.send(EVENT)).is_taken
        assert ["takes events again" in record.getMessage() for record in caplog.records] == [False, True]


async def test_what_left_before_a_429_and_is_taken_after_it_shortens_no_wait() -> None:
    async def answered(events: list[dict[str, Any]]) -> web.Response:
        if len(relay.requests) == 2:
            await asyncio.sleep(0.1)
            return taken(len(events))
        await asyncio.sleep(0.05)
        return problem(429, Retry_After="3")

    async with standing(answered) as relay, RelayClient(relay.url) as client:
        for session_id in ("s1", "s2"):
            client.say({"sessionId": session_id, "type": "message_sent"})
            await asyncio.sleep(0.01)
        await asyncio.sleep(2.9)
        assert len(relay.at) == 2
        await asyncio.sleep(1)
        assert relay.at[2] - relay.at[0] >= 3


async def test_what_is_not_sent_is_answered_with_the_refusal_that_forbids_it_and_counted() -> None:
    async def answered(_events: list[dict[str, Any]]) -> web.Response:
        return problem(429, Retry_After="30")

    async with standing(answered) as relay, RelayClient(relay.url) as client:
        await client.send(EVENT)
        await asyncio.sleep(10)
        trouble = (await client.send_many([EVENT, EVENT])).trouble
        assert trouble is not None
        assert (trouble.fault, trouble.status) == (Fault.AWAY, 429)
        assert trouble.words.startswith("refused with 429 (this was not sent")
        assert trouble.retry_after_s == pytest.approx(20, abs=0.1)
        assert (len(relay.requests), client.counts.dropped) == (1, 3)


async def test_a_run_that_a_refused_client_never_told_is_counted() -> None:
    async def answered(_events: list[dict[str, Any]]) -> web.Response:
        return problem(429, Retry_After="30")

    async with standing(answered) as relay, RelayClient(relay.url) as client:
        await client.send(EVENT)
        async with client.thinking("s1", "g1"):
            await asyncio.sleep(8)
        assert (relay.kinds(), client.counts.dropped) == (["keystroke"], 2)


async def test_what_nobody_waits_for_any_more_is_counted() -> None:
    async def hung(_events: list[dict[str, Any]]) -> web.Response:
        await asyncio.sleep(60)
        return taken()

    async with standing(hung) as relay, RelayClient(relay.url, timeout_s=20) as client:
        for number in range(4):
            client.say(EVENT | {"sessionId": f"s{number}"})
            await asyncio.sleep(0.1)
        assert not (await client.send(EVENT)).is_taken
        assert client.counts.dropped == 1


async def test_a_relay_that_hangs_costs_the_work_nothing_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hung(_events: list[dict[str, Any]]) -> web.Response:
        await asyncio.sleep(60)
        return taken()

    async with standing(hung) as relay:
        client = RelayClient(relay.url)
        began = now()
        async with client.thinking("s1", "g1"):
            await asyncio.sleep(0)
        assert now() == began
        answer = await client.send(EVENT)
        assert answer.trouble is not None
        assert answer.trouble.fault is Fault.AWAY
        assert now() - began <= 5
        await asyncio.sleep(20)
        await client.close()
        assert len(said(caplog)) == 1
        assert "no answer within 2 s" in said(caplog)[0]


async def test_a_refused_key_is_said_once_and_asked_again_only_with_the_heartbeat(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refused(_events: list[dict[str, Any]]) -> web.Response:
        return problem(401)

    async with standing(refused) as relay, RelayClient(relay.url, "trk_x_canary") as client:
        async with client.thinking("s1", "g1"):
            await asyncio.sleep(12)
        await asyncio.sleep(20)
        assert [round(at - relay.at[0]) for at in relay.at] == [0, 5, 10]
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "401" in said(caplog)[0]
        assert "canary" not in caplog.text


async def test_an_event_that_cannot_be_used_is_said_once_and_its_neighbours_go_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with beside() as (relay, client):
        for _ in range(3):
            client.say(EVENT | {"guestId": "../canary"})
            client.say(EVENT)
            client.thinking(SESSION, GUEST).begin()
            await asyncio.sleep(1)
        assert relay.kinds() == ["keystroke", "thinking", "keystroke", "keystroke"]
        assert len(said(caplog)) == 1
        assert "guestId" in said(caplog)[0]
        assert "canary" not in caplog.text
        assert (client.counts.taken, client.counts.refused) == (4, 3)


@pytest.mark.parametrize(
    "event", [None, [], {"sessionId": SESSION, "type": object()}, {"sessionId": {1}}, {1: 2}]
)
async def test_what_is_no_event_at_all_is_said_once_and_harms_nothing(
    event: Any,  # Any: wrong on purpose
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with beside() as (relay, client):
        client.say(event)
        client.say(EVENT)
        answer = await client.send(event)
        assert answer.trouble is not None
        assert answer.trouble.fault is Fault.UNUSABLE
        await asyncio.sleep(1)
        assert relay.kinds() == ["keystroke"]
        assert len(said(caplog)) == 1


async def test_a_full_queue_drops_the_oldest_keystrokes_and_no_end(caplog: pytest.LogCaptureFixture) -> None:
    async def hung(_events: list[dict[str, Any]]) -> web.Response:
        await asyncio.sleep(60)
        return taken()

    async with standing(hung) as relay:
        client = RelayClient(relay.url)
        client.say({"sessionId": "s0", "type": "message_sent"})
        for number in range(1500):
            client.say({"sessionId": f"s{number}", "type": "keystroke"})
        assert client.counts.dropped == 501
        assert [line for line in said(caplog) if "wait for the relay" in line] == said(caplog)[:1]
        await asyncio.sleep(0.1)
        assert relay.requests[0][0]["type"] == "message_sent"
        await client.close()


# -- strict ---------------------------------------------------------------------------------------------------


async def test_strict_raises_what_is_the_callers_to_put_right() -> None:
    async with beside(strict=True) as (_, client):
        with pytest.raises(Rejected) as refused:
            await client.send(EVENT | {"guestId": "../x"})
        assert (refused.value.status, refused.value.problems[0][0]) == (422, "guestId")
        with pytest.raises(Rejected):
            await client.typing("no session", GUEST)


async def test_strict_raises_that_nobody_is_there(nobody: str) -> None:
    async with RelayClient(nobody, strict=True) as client:
        began = now()
        with pytest.raises(Unavailable):
            await client.send(EVENT)
        assert now() - began <= 5


# -- its life -------------------------------------------------------------------------------------------------


async def test_closing_sends_what_waits_and_takes_no_longer_than_two_seconds() -> None:
    async def hung(_events: list[dict[str, Any]]) -> web.Response:
        await asyncio.sleep(60)
        return taken()

    async with standing() as relay:
        client = RelayClient(relay.url)
        client.say(EVENT)
        await client.close()
        assert relay.kinds() == ["keystroke"]
    async with standing(hung) as relay:
        client = RelayClient(relay.url)
        client.say(EVENT)
        began = now()
        await client.close()
        assert now() - began == pytest.approx(2, abs=0.1)


async def test_closing_does_not_wait_for_a_relay_that_is_known_to_be_down(nobody: str) -> None:
    client = RelayClient(nobody)
    client.say(EVENT)
    await asyncio.sleep(1)
    began = now()
    await client.close()
    assert now() - began == pytest.approx(0, abs=0.1)
    assert client.counts.dropped == 1


async def test_a_fault_of_the_client_s_own_holds_up_no_session(caplog: pytest.LogCaptureFixture) -> None:
    async def post(body: bytes) -> tuple[Answer, bool]:
        posted.append(body)
        if len(posted) == 1:
            raise LookupError("nobody foresaw it")
        return Answer(accepted=1), False

    posted: list[bytes] = []
    sender = Sender(post, loop=asyncio.get_running_loop(), jitter=lambda: 0, counts=Counts())
    for _ in range(2):
        sender.say(EVENT)
        await asyncio.sleep(0.1)
    await sender.close(within_s=1)
    assert (len(posted), sender.counts.taken, sender.counts.dropped) == (2, 1, 1)
    assert said(caplog) == ["the relay's client has a fault of its own"]


async def test_a_closed_client_may_be_used_anew() -> None:
    async with standing() as relay:
        client = RelayClient(relay.url)
        for _ in range(2):
            assert (await client.send(EVENT)).is_taken
            await client.close()
        assert len(relay.requests) == 2


async def test_what_was_begun_before_a_close_does_not_open_the_client_again() -> None:
    """Its later parts did, and left a session that nobody closes."""

    async def slow(events: list[dict[str, Any]]) -> web.Response:
        await asyncio.sleep(0.3)
        return taken(len(events))

    async with standing(slow) as relay:
        client = RelayClient(relay.url)
        sending = asyncio.ensure_future(client.send_many([EVENT] * 1200))
        await asyncio.sleep(0.1)
        await client.close()
        answer = await sending
        assert answer.trouble is not None
        assert (answer.accepted, answer.trouble.words) == (500, "this client is closed")
        assert client._engine is None
        assert client.counts.dropped == 500, "of what follows a part that was not taken nothing is sent"


async def test_a_strict_block_whose_client_is_closed_within_it_is_told_what_is_known_of_its_end() -> None:
    """Leaving it opened the client again."""
    is_up = True

    async def answered(events: list[dict[str, Any]]) -> web.Response:
        return taken(len(events)) if is_up else problem(503)

    async with standing(answered) as relay:
        client = RelayClient(relay.url, strict=True)
        async with client.thinking("s1", "g1"):
            await client.close()
        assert relay.kinds() == ["thinking", "thinking_done"]
        work = client.thinking("s1", "g1")
        await work.__aenter__()
        is_up = False
        await client.close()
        with pytest.raises(Unavailable, match="this client is closed"):
            await work.__aexit__(None, None, None)
        assert client._engine is None


def test_it_may_be_used_on_one_loop_after_another() -> None:
    client = RelayClient("http://127.0.0.1:1", patience_s=0.2)

    async def once() -> bool:
        answer = await client.send(EVENT)
        await client.close()
        return answer.is_taken

    assert [asyncio.run(once()), asyncio.run(once())] == [False, False]


def test_outside_of_any_loop_it_says_what_is_to_be_done(caplog: pytest.LogCaptureFixture) -> None:
    client = RelayClient("http://127.0.0.1:1")
    client.say(EVENT)
    client.thinking(SESSION).begin()
    assert len(said(caplog)) == 1
    assert "enter the client first" in said(caplog)[0]
    assert client.counts.dropped == 2


@pytest.mark.parametrize(
    "url",
    [
        "",
        "relay.example",
        "ftp://relay.example",
        "http://",
        "//x",
        "http://canary:99999",
        "http://canary:x",
        "http://canary:-1",
        "http://canary?tenant=1",
        "http://canary/?",
        "http://canary/#x",
        "http://someone:canary@relay.example",
        "http://canary@relay.example",
        "http://canary..example",
        "http://.canary",
        f"http://{'canary' * 11}.example",
        "http:// :80",
        "http://canary:80\n",
        "http://[canary",
        "http://canary\u2100.example",
    ],
)
def test_a_url_that_is_none_is_refused_at_once_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="URL is wanted") as refused:
        RelayClient(url)
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/",
        "https://relay.example./behind/a/proxy",
        "https://relay.example/docs/v1/",
        "http://[::1]:9",
        "http://[fe80::1%25lo]:9",
        "http://b\u00fccher.example",
        "http://a_service:80",
    ],
)
def test_a_url_that_is_one_is_taken(url: str) -> None:
    assert not RelayClient(url).is_strict


@pytest.mark.parametrize(
    "url",
    [
        "http://canary:8080/v1",
        "http://canary:8080/v1/",
        "http://canary:8080/v1/events",
        "http://canary:8080/v1/stream",
        "http://canary:8080/docs",
        "http://canary:8080/openapi.json",
        "https://canary/behind/a/proxy/v1/events",
    ],
)
def test_a_url_of_what_a_relay_serves_is_not_where_it_is(url: str) -> None:
    """It was taken, and every event was refused with 404."""
    with pytest.raises(ValueError, match=r"ends before /v1 or /docs") as refused:
        RelayClient(url)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("trk_aaaaaaaa_canary\n", "no spaces or line breaks; strip"),
        ("trk_aaaaaaaa canary", "no spaces or line breaks; strip"),
        ("trk_canary\u2026", "printable ASCII"),
        ("trk_canary\x00", "printable ASCII"),
    ],
    ids=["line", "space", "as documentation shortens it", "control"],
)
def test_a_key_that_can_be_none_is_refused_at_once_in_words_that_fit(key: str, why: str) -> None:
    """One pasted from documentation was told of spaces and line breaks that it had not."""
    with pytest.raises(
        ValueError, match=f"a key is wanted, or None where the relay has no sources: .*{why}"
    ) as refused:
        RelayClient("http://127.0.0.1:8080", key)
    assert "canary" not in str(refused.value)


async def test_an_answer_that_comes_in_pieces_is_read_to_its_end() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 42\r\nConnection: close\r\n\r\n")
        for piece in (b'{"accepted":1,"dup', b'licates":0,"stale":0}   '):
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.write(piece)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, RelayClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        assert (await client.send(EVENT)).accepted == 1
        assert client.counts.refused == 0
