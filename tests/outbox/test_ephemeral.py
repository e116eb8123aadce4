"""An endpoint that is told what is, not what was: lanes in virtual time, and receivers that do as they please."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from relay.core.delivery import State
from relay.core.indicator import Indicator
from relay.outbox.outbox import Outbox
from tests.outbox.receiver import Answering, Receiver
from tests.outbox.test_outbox import endpoint, running, typing

LIFE_S = 30.0
TYPES = {
    Indicator.TYPING: "session.typing",
    Indicator.PAUSED: "session.paused",
    Indicator.STOPPED: "session.stopped",
}


async def ends(outbox: Outbox) -> list[State]:
    """Oldest first."""
    return [row.state for row in reversed(await outbox.deliveries(limit=1000))]


def kinds(receiver: Receiver) -> list[str]:
    return [kind for got in receiver.got for kind in TYPES.values() if kind.encode() in got.body]


async def hangs(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


@pytest.mark.looptime
async def test_an_ephemeral_event_is_tried_at_0_1_and_6_seconds_and_then_no_more(
    tmp_path: Path, receiver: Receiver
) -> None:
    """Its waits are 0, 1 and 5 s, each counted from the end of the attempt before; a tenth of each is chance's."""
    receiver.answers = [500] * 10
    async with running(tmp_path, tracker=endpoint(receiver.url, **{"class": "ephemeral"})) as outbox:
        await outbox.append(typing())
        await asyncio.sleep(60)
        rows = await outbox.deliveries()
        attempts = await outbox.attempts(rows[0].delivery_id)
        first = attempts[0].attempt.started_at
        after_s = [(row.attempt.started_at - first) / 1000 for row in attempts]
        assert [0 <= late <= 0.7 for late in (after_s[1] - 1, after_s[2] - 6)] == [True, True]
        assert len(after_s) == 3
        assert await ends(outbox) == [State.EXPIRED]


@pytest.mark.looptime
@pytest.mark.parametrize(
    "answers",
    [[hangs] * 20, [500] * 20, [503] * 20, [hangs, 500] * 10, [500, 500, hangs] * 7],
    ids=["hangs", "fails", "busy", "hangs and fails", "hangs at last"],
)
async def test_nothing_ephemeral_is_sent_later_than_its_life_whatever_the_receiver_does(
    tmp_path: Path, receiver: Receiver, answers: list[int | Answering]
) -> None:
    receiver.answers = answers
    receiver.headers = {"Retry-After": "7"}
    loop = asyncio.get_running_loop()
    recorded_s: dict[str, float] = {}
    one_at_a_time = endpoint(receiver.url, concurrency=1, timeout_s=20, **{"class": "ephemeral"})
    async with running(tmp_path, tracker=one_at_a_time) as outbox:
        began = loop.time()
        for n in range(20):
            recorded = await outbox.append(typing(f"s{n % 7}"))
            assert recorded.event_id
            recorded_s[recorded.event_id] = loop.time()
            await asyncio.sleep(1.3)
        await asyncio.sleep(2 * LIFE_S)
        for row in await outbox.deliveries(limit=100):
            for attempt in await outbox.attempts(row.delivery_id):
                started_s = (attempt.attempt.started_at - row.recorded_at) / 1000
                assert started_s < LIFE_S
                assert started_s + attempt.attempt.total_ms / 1000 <= LIFE_S + 0.1, (
                    "cut off at the end of its life"
                )
        assert not {State.PENDING, State.INFLIGHT, State.EXHAUSTED} & set(await ends(outbox))
    assert loop.time() > began
    assert {got.event_id for got in receiver.got} <= set(recorded_s)


@pytest.mark.looptime
async def test_a_tracker_that_hung_sees_only_the_newest_when_it_is_back(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [hangs]
    async with running(
        tmp_path, tracker=endpoint(receiver.url, timeout_s=10, **{"class": "ephemeral"})
    ) as outbox:
        for state in (Indicator.TYPING, Indicator.PAUSED, Indicator.TYPING, Indicator.STOPPED):
            await outbox.append(typing("s1", state))
            await asyncio.sleep(2)
        await asyncio.sleep(10)
        assert kinds(receiver) == ["session.typing", "session.stopped"]
        assert await ends(outbox) == [State.SUPERSEDED, State.SUPERSEDED, State.SUPERSEDED, State.DELIVERED]


@pytest.mark.looptime
async def test_a_paused_endpoint_gets_the_newest_of_each_session_and_nothing_stale(
    tmp_path: Path, receiver: Receiver
) -> None:
    """Retry-After pauses the lane for 20 s; what was recorded before the last 30 s is not worth sending after it."""
    receiver.answers = [503]
    receiver.headers = {"Retry-After": "20"}
    async with running(tmp_path, tracker=endpoint(receiver.url, **{"class": "ephemeral"})) as outbox:
        await outbox.append(typing("first"))
        await asyncio.sleep(1)
        for session in ("a", "b"):
            for state in (Indicator.TYPING, Indicator.PAUSED, Indicator.STOPPED):
                await outbox.append(typing(session, state))
        await asyncio.sleep(30)
        assert sorted(kinds(receiver)[1:]) == ["session.stopped", "session.stopped", "session.typing"]


@pytest.mark.looptime
async def test_a_long_pause_outlives_every_event(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [503]
    receiver.headers = {"Retry-After": "600"}
    async with running(tmp_path, tracker=endpoint(receiver.url, **{"class": "ephemeral"})) as outbox:
        await outbox.append(typing("first"))
        await asyncio.sleep(1)
        for n in range(5):
            await outbox.append(typing(f"s{n}"))
        await asyncio.sleep(LIFE_S + 2)
        assert await ends(outbox) == [State.EXPIRED] * 6, "swept while nobody claims"
        await asyncio.sleep(600)
        assert len(receiver.got) == 1
        assert (await outbox.depth()).ended[State.EXPIRED] == 6


@pytest.mark.looptime
async def test_a_restart_brings_nothing_stale_back(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [hangs]
    ephemeral = endpoint(receiver.url, **{"class": "ephemeral"})
    async with running(tmp_path, tracker=ephemeral) as outbox:
        await outbox.append(typing("s1"))
        await asyncio.sleep(1)
        await outbox.append(typing("s1", Indicator.STOPPED))
        await outbox.append(typing("s2", Indicator.STOPPED))
    await asyncio.sleep(5)
    receiver.answers = []
    receiver.got.clear()
    async with running(tmp_path, tracker=ephemeral) as outbox:
        await asyncio.sleep(1)
        assert kinds(receiver) == ["session.stopped"]
        assert State.SUPERSEDED in await ends(outbox)
        await asyncio.sleep(LIFE_S)
    assert len(receiver.got) == 1


@pytest.mark.looptime
async def test_a_durable_neighbour_gets_everything_in_order(tmp_path: Path, receiver: Receiver) -> None:
    """The two share events and a receiver that is down for a minute."""
    states = [Indicator.TYPING, Indicator.PAUSED, Indicator.TYPING, Indicator.STOPPED]
    brief, full = (
        endpoint(receiver.url, **{"class": "ephemeral"}),
        endpoint(receiver.url, schedule_s=[0, 60, 60]),
    )
    receiver.answers = [500] * 4
    async with running(tmp_path, brief=brief, full=full) as outbox:
        for state in states:
            await outbox.append(typing("s1", state))
            await asyncio.sleep(0.1)
        await asyncio.sleep(300)
        rows = [row for row in await outbox.deliveries(endpoint="full") if row.state is State.DELIVERED]
        assert [row.event_type for row in reversed(rows)] == [TYPES[state] for state in states]


@pytest.mark.looptime
async def test_a_schedule_of_its_own_is_kept_and_ends_in_a_dead_letter(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [500] * 9
    async with running(tmp_path, tracker=endpoint(receiver.url, schedule_s=[0, 3, 1])) as outbox:
        await outbox.append(typing())
        await asyncio.sleep(10)
        assert len(receiver.got) == 3
        assert await ends(outbox) == [State.EXHAUSTED]


@pytest.mark.looptime
async def test_a_greatest_age_ends_what_could_only_be_retried_after_it(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [500] * 9
    async with running(tmp_path, tracker=endpoint(receiver.url, max_age_s=60)) as outbox:
        await outbox.append(typing())
        await asyncio.sleep(20)
        assert len(receiver.got) == 2, "at 0 and 5 s; the next would come after 5 min"
        assert await ends(outbox) == [State.EXPIRED]


@pytest.mark.looptime
async def test_an_ephemeral_endpoint_is_owed_a_notice_like_any_other(
    tmp_path: Path, receiver: Receiver
) -> None:
    """That its neighbour is gone is told although it was down for a minute itself."""
    receiver.answers = [410, 500]
    watching = endpoint(receiver.url, events=["endpoint.*"], **{"class": "ephemeral"})
    async with running(tmp_path, gone=endpoint(receiver.url), watching=watching) as outbox:
        await outbox.append(typing())
        await asyncio.sleep(1)
        (row,) = await outbox.deliveries(endpoint="watching")
        assert (row.event_type, row.state) == ("endpoint.disabled", State.PENDING)
        await asyncio.sleep(60)
        (row,) = await outbox.deliveries(endpoint="watching")
        assert row.state is State.DELIVERED
