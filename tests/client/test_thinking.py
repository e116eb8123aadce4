"""A bot at work is seen at work, however it ends, and only then."""

import asyncio
import contextlib
from typing import Any

import pytest
from aiohttp import web

from relay.client import RelayClient
from relay.errors import Rejected, Unavailable
from tests.client.beside import GUEST, KEY, SESSION, beside, relay_beside
from tests.client.standing import Answering, Standing, problem, standing, taken

pytestmark = pytest.mark.looptime

SETTLED_S = 3.0
"""A stop may have to wait for the interval: two seconds after the broadcast before it."""


async def test_twelve_seconds_of_work_are_shown_without_a_gap_and_cleared_when_they_end() -> None:
    async with beside() as (relay, client):
        async with client.thinking(SESSION, GUEST):
            await asyncio.sleep(0.5)  # the relay's delay, after which it shows
            assert await relay.watched(11.5) == ["typing"] * 115
        await asyncio.sleep(SETTLED_S)
        assert relay.sees() is None
        assert relay.timed() == [(0, "thinking"), (5, "heartbeat"), (10, "heartbeat"), (12, "thinking_done")]
    assert relay.river.transitions() == [("typing", "thinking"), ("typing_stopped", "done")]


async def test_all_that_is_said_of_a_run_has_its_id() -> None:
    async with beside() as (relay, client):
        async with client.thinking(SESSION, GUEST):
            await asyncio.sleep(6)
        async with client.thinking(SESSION, GUEST):
            await asyncio.sleep(1)
        await asyncio.sleep(1)
        first, beat, done, second, _ = relay.taken
    assert first.thinking_id == beat.thinking_id == done.thinking_id != second.thinking_id


async def test_an_answer_at_once_is_never_shown() -> None:
    async with beside() as (relay, client):
        async with client.thinking(SESSION, GUEST):
            await asyncio.sleep(0.1)
        await asyncio.sleep(5)
        assert relay.river.told() == []


async def test_an_answer_that_is_posted_ends_it_as_a_message() -> None:
    async with beside() as (relay, client):
        async with client.thinking(SESSION, GUEST) as work:
            await asyncio.sleep(1)
            work.answered()
        await asyncio.sleep(1)
        assert relay.kinds() == ["thinking", "message_sent"]


async def test_an_error_passes_through_and_the_end_is_told() -> None:
    async with beside() as (relay, client):

        async def work() -> None:
            async with client.thinking(SESSION, GUEST):
                await asyncio.sleep(1)
                raise LookupError("no answer")

        with pytest.raises(LookupError, match="no answer"):
            await work()
        await asyncio.sleep(SETTLED_S)
        assert (relay.kinds(), relay.sees()) == (["thinking", "thinking_done"], None)


async def test_cancellation_passes_through_and_the_end_is_told() -> None:
    async with beside() as (relay, client):

        async def work() -> None:
            async with client.thinking(SESSION, GUEST):
                await asyncio.sleep(60)

        task = asyncio.create_task(work(), name="the bot's work")
        await asyncio.sleep(7)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(SETTLED_S)
        assert (relay.kinds(), relay.sees()) == (["thinking", "heartbeat", "thinking_done"], None)


async def test_the_end_is_told_though_the_client_is_closed_at_once() -> None:
    async with relay_beside() as relay:
        client = RelayClient(relay.url, KEY)
        with contextlib.suppress(asyncio.CancelledError):
            async with client, client.thinking(SESSION, GUEST):
                await asyncio.sleep(1)
                raise asyncio.CancelledError
        assert relay.kinds() == ["thinking", "thinking_done"]


async def test_closing_ends_what_is_still_open() -> None:
    async with relay_beside() as relay:
        client = RelayClient(relay.url, KEY)
        async with client:
            client.thinking(SESSION, GUEST).begin()
            await asyncio.sleep(1)
        assert relay.kinds() == ["thinking", "thinking_done"]


async def test_a_block_that_is_left_after_its_client_was_closed_is_left_in_peace() -> None:
    """A program's end closes the client before the last answer is there; a KeyError took the answer's place."""
    async with relay_beside() as relay:
        client = RelayClient(relay.url, KEY)
        async with client.thinking(SESSION, GUEST), client.thinking(SESSION, GUEST):
            await asyncio.sleep(1)
            await client.close()
        assert relay.kinds() == ["thinking", "thinking_done"]


async def test_a_strict_block_that_is_left_after_its_client_was_closed_waits_for_nothing() -> None:
    async with relay_beside() as relay:
        client = RelayClient(relay.url, KEY, strict=True)
        async with client.thinking(SESSION, GUEST):
            await client.close()
        assert relay.timed() == [(0, "thinking"), (0, "thinking_done")]
        await client.close()


async def test_a_use_of_a_client_that_was_closed_ends_nothing_of_the_client_used_anew() -> None:
    async with relay_beside() as relay:
        client = RelayClient(relay.url, KEY)
        async with client:
            left_over = client.thinking(SESSION, GUEST)
            left_over.begin()
        async with client, client.thinking(SESSION, GUEST):
            left_over.end()
            await asyncio.sleep(7)
        assert relay.kinds() == ["thinking", "thinking_done", "thinking", "heartbeat", "thinking_done"]


async def test_uses_within_each_other_are_one_run() -> None:
    async with beside() as (relay, client):
        async with client.thinking(SESSION, GUEST):
            await asyncio.sleep(1)
            async with client.thinking(SESSION, GUEST):
                await asyncio.sleep(1)
            await asyncio.sleep(1)
            assert relay.kinds() == ["thinking"]
        await asyncio.sleep(1)
        assert relay.kinds() == ["thinking", "thinking_done"]


async def test_uses_that_overlap_last_as_long_as_the_longest() -> None:
    async with beside() as (relay, client):

        async def work(seconds: float) -> None:
            async with client.thinking(SESSION, GUEST):
                await asyncio.sleep(seconds)

        await asyncio.gather(work(2), work(4))
        await asyncio.sleep(1)
        assert relay.timed() == [(0, "thinking"), (4, "thinking_done")]


async def test_a_message_within_the_work_is_the_end_of_what_is_shown() -> None:
    async with beside() as (relay, client), client.thinking(SESSION, GUEST):
        await asyncio.sleep(1)
        await client.send({"sessionId": SESSION, "guestId": GUEST, "type": "message_sent"})
        await asyncio.sleep(SETTLED_S)
        assert await relay.watched(10) == [None] * 100
        assert relay.kinds() == ["thinking", "message_sent"]


async def test_an_interim_message_ends_nothing() -> None:
    async with beside() as (relay, client), client.thinking(SESSION, GUEST):
        await asyncio.sleep(1)
        await client.send({"sessionId": SESSION, "guestId": GUEST, "type": "message_sent", "final": False})
        await asyncio.sleep(5)
        assert relay.kinds() == ["thinking", "message_sent", "heartbeat"]
        assert relay.sees() == "typing"


async def test_ending_twice_is_ending_once_and_what_never_began_has_no_end() -> None:
    async with beside() as (relay, client):
        one, other = client.thinking(SESSION, GUEST), client.thinking(SESSION, GUEST)
        one.begin()
        one.begin()
        other.end()
        await asyncio.sleep(1)
        assert relay.kinds() == ["thinking"]
        one.end()
        one.end()
        await asyncio.sleep(1)
        assert relay.kinds() == ["thinking", "thinking_done"]


async def test_a_strict_one_raises_what_is_the_callers_and_is_closed() -> None:
    async with beside(strict=True) as (relay, client):
        with pytest.raises(Rejected, match="not as wanted") as refused:
            async with client.thinking("no session", GUEST):
                pytest.fail("the block was entered")
        assert refused.value.status == 422
        await asyncio.sleep(6)
        assert relay.kinds() == []


async def test_a_strict_one_raises_nothing_in_place_of_what_went_wrong_within() -> None:
    async def answering(events: list[dict[str, Any]]) -> web.Response:
        return problem(401) if events[0]["type"] == "thinking_done" else taken()

    async with standing(answering) as relay, RelayClient(relay.url, strict=True) as client:
        with pytest.raises(LookupError):
            async with client.thinking(SESSION):
                raise LookupError
        await asyncio.sleep(1)
        assert relay.kinds() == ["thinking", "thinking_done"]


async def test_a_strict_one_that_is_ended_before_anything_was_said_waits_for_no_answer() -> None:
    async with standing() as relay, RelayClient(relay.url, strict=True) as client:
        use = client.thinking(SESSION)
        entering = asyncio.create_task(use.__aenter__())
        await asyncio.sleep(0)
        use.end()
        async with asyncio.timeout(1):
            assert await entering is use
        assert relay.requests == []


async def test_a_strict_one_whose_key_was_taken_away_says_so_as_it_ends_and_does_not_wait_for_it() -> None:
    status = [202]

    async def answered(events: list[dict[str, object]]) -> web.Response:
        return taken(len(events)) if status[0] == 202 else problem(401)

    async with standing(answered) as relay, RelayClient(relay.url, strict=True) as client:
        use = await client.thinking("s1").__aenter__()
        status[0] = 401
        await asyncio.sleep(6)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Rejected, match="401"):
            await use.__aexit__(None, None, None)
        assert asyncio.get_running_loop().time() == began


def once_refused(number: int, status: int) -> Answering:
    """Takes everything but the request of that number."""
    seen = 0

    async def answered(events: list[dict[str, object]]) -> web.Response:
        nonlocal seen
        seen += 1
        return problem(status) if seen == number else taken(len(events))

    return answered


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_one_heartbeat_is_refused_with_keeps_no_end_back(status: int) -> None:
    """A proxy without its relay for a moment answers 404: the guest was shown typing until the lease was over."""
    answered = once_refused(2, status)
    async with standing(answered) as relay, RelayClient(relay.url) as client, client.thinking("s1"):
        await asyncio.sleep(6)
    assert relay.kinds() == ["thinking", "heartbeat", "thinking_done"]


async def test_a_strict_one_within_another_that_was_refused_a_heartbeat_asks_the_relay_anew() -> None:
    """It waited for an answer to what nobody was about to say, and gave up though all was well."""
    answered = once_refused(2, 404)
    async with (
        standing(answered) as relay,
        RelayClient(relay.url, strict=True) as client,
        client.thinking("s1"),
    ):
        await asyncio.sleep(6)
        began = asyncio.get_running_loop().time()
        async with client.thinking("s1"):
            assert asyncio.get_running_loop().time() == began
    assert relay.kinds() == ["thinking", "heartbeat", "thinking", "thinking_done"]


async def test_work_that_begins_after_the_message_of_other_work_is_shown_though_that_block_is_not_left() -> (
    None
):
    """It joined a run of which nothing more was told."""
    async with standing() as relay, RelayClient(relay.url) as client, client.thinking("s1"):
        await asyncio.sleep(1)
        await client.send({"sessionId": "s1", "type": "message_sent"})
        async with client.thinking("s1"):
            await asyncio.sleep(6)
    told = [(event["type"], event.get("thinkingId")) for events in relay.requests for event in events]
    assert [kind for kind, _ in told] == [
        "thinking",
        "message_sent",
        "thinking",
        "heartbeat",
        "thinking_done",
    ]
    (first, _, *second) = [run for _, run in told]
    assert {first} & set(second) == set()


async def test_a_message_that_the_relay_refuses_ends_nothing() -> None:
    """The run fell silent with its message, taken or not."""

    async def answered(events: list[dict[str, object]]) -> web.Response:
        return problem(422, "guestId") if events[0]["type"] == "message_sent" else taken(len(events))

    async with standing(answered) as relay, RelayClient(relay.url) as client, client.thinking("s1"):
        await asyncio.sleep(1)
        await client.send({"sessionId": "s1", "guestId": "../", "type": "message_sent"})
        await asyncio.sleep(6)
    assert relay.kinds() == ["thinking", "message_sent", "heartbeat", "heartbeat", "thinking_done"]


async def test_a_message_that_was_never_taken_ends_nothing() -> None:
    async with standing() as relay, RelayClient(relay.url) as client, client.thinking("s1"):
        await asyncio.sleep(1)
        unwritable = {"sessionId": "s1", "type": "message_sent", "seq": object()}
        assert not (await client.send(unwritable)).is_taken
        await asyncio.sleep(5)
    assert relay.kinds() == ["thinking", "heartbeat", "thinking_done"]


async def test_a_message_that_was_not_sent_as_the_relay_asked_to_be_left_alone_ends_nothing() -> None:
    """Escaped because only messages that had left were looked at: the run fell silent for the rest of the work."""

    async with standing(busy_for("8")) as relay, RelayClient(relay.url) as client, client.thinking("s1"):
        await asyncio.sleep(1)
        client.say({"sessionId": "other", "type": "keystroke"})
        await asyncio.sleep(0.1)
        assert not (await client.send({"sessionId": "s1", "type": "message_sent"})).is_taken
        await asyncio.sleep(12)
        assert client.counts.dropped == 2
    assert_went_on_until_its_end(relay)


def busy_for(wait_s: str) -> Answering:
    """A relay that asks to be left alone by whatever the session `other` says."""

    async def answered(events: list[dict[str, object]]) -> web.Response:
        return problem(503, Retry_After=wait_s) if events[0]["sessionId"] == "other" else taken(len(events))

    return answered


def assert_went_on_until_its_end(relay: Standing) -> None:
    of_it = [event["type"] for events in relay.requests for event in events if event["sessionId"] == "s1"]
    assert of_it[0] == "thinking"
    assert set(of_it[1:-1]) - {"thinking", "heartbeat"} == set() != set(of_it[1:-1])
    assert of_it[-1] == "thinking_done"


async def test_a_message_whose_sender_gave_up_before_it_left_ends_nothing() -> None:
    async with standing(busy_for("3")) as relay, RelayClient(relay.url) as client, client.thinking("s1"):
        await asyncio.sleep(1)
        client.say({"sessionId": "other", "type": "keystroke"})
        await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await client.send({"sessionId": "s1", "type": "message_sent"})
        await asyncio.sleep(6)
    assert_went_on_until_its_end(relay)


async def test_of_uses_that_overlap_the_last_one_says_how_it_ends() -> None:
    """One that had answered was told as the message of one that had failed."""
    async with standing() as relay, RelayClient(relay.url) as client:
        answering, failing = client.thinking("s1"), client.thinking("s1")
        answering.begin()
        failing.begin()
        await asyncio.sleep(1)
        answering.answered()
        answering.end()
        await asyncio.sleep(1)
        failing.end()
    assert relay.kinds() == ["thinking", "thinking_done"]


async def test_one_that_has_ended_may_begin_anew() -> None:
    async with standing() as relay, RelayClient(relay.url) as client:
        use = client.thinking("s1")
        for _ in range(2):
            async with use:
                await asyncio.sleep(1)
    assert relay.kinds() == ["thinking", "thinking_done"] * 2


@pytest.mark.parametrize(
    ("asked_s", "words"),
    [("30", "refused with 429 (this was not sent"), ("3", "not taken within 5 s: refused")],
)
async def test_a_strict_one_raises_the_words_it_was_refused_with(asked_s: str, words: str) -> None:
    """Escaped because the wait was only ever for an answer, and a run that is put back has none."""

    async def answered(_events: list[dict[str, object]]) -> web.Response:
        return problem(429, Retry_After=asked_s)

    async with standing(answered) as relay, RelayClient(relay.url, strict=True) as client:
        with pytest.raises(Unavailable, match="refused with 429"):
            await client.send({"sessionId": "s1", "type": "cleared"})
        with pytest.raises(Unavailable) as refused:
            async with client.thinking("s1"):
                pytest.fail("the block was entered")
        assert refused.value.detail.startswith(words)
        assert refused.value.retry_after_s is not None


async def test_a_strict_one_waits_for_the_answer_at_both_ends() -> None:
    async with beside(strict=True) as (relay, client):
        async with client.thinking(SESSION, GUEST):
            assert relay.kinds() == ["thinking"]
            async with client.thinking(SESSION, GUEST):
                assert relay.kinds() == ["thinking"]
        assert relay.kinds() == ["thinking", "thinking_done"]


@pytest.mark.parametrize("guest", [b"g-1", {"id": "g-1"}, "\ud800"], ids=["bytes", "object", "surrogate"])
async def test_an_id_that_has_no_form_in_json_is_said_of_nobody_and_holds_nobody_up(guest: Any) -> None:
    async with beside() as (relay, client):
        async with client.thinking("s-2", guest), client.thinking(SESSION, GUEST):
            await asyncio.sleep(1)
        await asyncio.sleep(1)
        assert relay.kinds() == ["thinking", "thinking_done"]
        assert client.counts.refused == 1


async def test_many_patient_ones_that_wait_for_answers_keep_back_neither_a_heartbeat_nor_an_end() -> None:
    """They stood before it in one line: the lease was over long before a heartbeat's turn, and an end was never told."""

    async def slow(events: list[dict[str, Any]]) -> web.Response:
        await asyncio.sleep(0.5)
        return taken(len(events))

    async with standing(slow) as relay, RelayClient(relay.url, patience_s=60) as client:
        began = asyncio.get_running_loop().time()
        keystrokes = [client.send({"sessionId": f"s{n}", "type": "keystroke"}) for n in range(500)]
        sending = asyncio.gather(*keystrokes)
        async with client.thinking("run"):
            await asyncio.sleep(12)
        await asyncio.sleep(1)
        said = [
            (round(at - began), event["type"])
            for at, events in zip(relay.at, relay.requests, strict=True)
            for event in events
            if event["sessionId"] == "run"
        ]
        assert said == [(0, "thinking"), (5, "heartbeat"), (10, "heartbeat"), (12, "thinking_done")]
        sending.cancel()
