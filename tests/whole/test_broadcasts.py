"""POST /v1/broadcasts from a caller's side to the platform and back, and what each answer means."""

import asyncio
import signal

import aiohttp

from relay.sandbox.chaos import Forced
from tests.whole.process import until
from tests.whole.town import Town, once, session_id

DEFAULTS: dict[str, str] = {}
INTERVAL_MS = 2000


async def test_a_broadcast_is_shown_audited_and_told_to_the_tracker(town: Town) -> None:
    async with town.relay(DEFAULTS) as relay:
        reply = await town.order(relay, duration=1500)
        assert reply.status == 200
        answer = reply.value
        assert set(answer) == {"success", "latencyMs", "auditId", "status"}
        assert (answer["success"], answer["status"]) == (True, 200)
        row = (await town.audit(relay))[0]
        too_soon = await town.order(relay, kind="typing_stopped")
        told = await until(lambda: once(town.events()), within_s=5)
    (call,) = town.calls()
    assert (call.indicator, call.duration_ms) == ("typing", 1500)
    assert (row["auditId"], row["cause"], row["success"]) == (answer["auditId"], "direct", True)
    assert [(e.type, e.data["auditId"], e.data["cause"]) for e in told] == [
        ("typing_indicator.broadcast", answer["auditId"], "direct")
    ]
    assert too_soon.status == 429
    assert 0 < too_soon.value["waitMs"] <= INTERVAL_MS
    assert int(too_soon.headers["Retry-After"]) >= 1


async def test_a_stop_may_be_ordered_as_soon_as_the_answer_said(town: Town) -> None:
    async with town.relay() as relay:
        assert (await town.order(relay)).status == 200
        wait_ms = (await town.order(relay, kind="typing_stopped")).value["waitMs"]
        await asyncio.sleep(wait_ms / 1000)
        assert (await town.order(relay, kind="typing_stopped")).status == 200
    assert town.told() == ["typing", "typing_stopped"]


ANSWERS = [
    (Forced(status=500, body={"message": "it burns"}), 502, "it burns"),
    (Forced(status=403, body={"message": "no scope"}), 502, "no scope"),
    (Forced(delay_ms=2000), 504, "timeout"),
    (Forced(status=429, headers={"Retry-After": "7"}), 429, "min_interval_ms"),
]


async def test_what_the_platform_says_is_what_the_caller_is_told(town: Town) -> None:
    async with town.relay(RELAY_TYPING__REQUEST_TIMEOUT_MS="300") as relay:
        for number, (forced, status, word) in enumerate(ANSWERS):
            town.platform.mischief.force(forced)
            reply = await town.order(relay, number)
            assert reply.status == status
            assert reply.headers["Content-Type"] == "application/problem+json"
            assert word in str(reply.value).lower()
            if status == 429:
                assert 6 <= int(reply.headers["Retry-After"]) <= 7
        rows = await town.audit(relay)
    assert [row["success"] for row in rows] == [False] * len(ANSWERS)


async def test_a_session_that_is_not_active_is_409_and_the_interval_is_not_spent(town: Town) -> None:
    town.platform.mischief.change({"sessions": {session_id(2): "ENDED"}})
    async with town.relay(DEFAULTS) as relay:
        assert (await town.order(relay, 2)).status == 409
        assert (await town.order(relay, 1)).status == 200
    assert not town.calls(2)


async def test_what_no_broadcast_can_be_is_422_and_reaches_nobody(town: Town) -> None:
    bad = [
        {"sessionId": "not-a-uuid", "guestId": "g", "type": "typing"},
        {"sessionId": session_id(), "guestId": "a/b?c", "type": "typing"},
        {"sessionId": session_id(), "guestId": "g", "type": "dancing"},
        {"sessionId": session_id(), "guestId": "g", "type": "typing", "duration": 99},
        {"sessionId": session_id(), "guestId": "g", "type": "typing", "duration": 10_001},
        {"sessionId": session_id(), "guestId": "g", "type": "typing", "duration": "3000"},
        {"sessionId": session_id(), "guestId": "g", "type": "typing", "duration": True},
        {"sessionId": session_id(), "guestId": "g", "type": "typing", "text": "hello"},
        {"guestId": "g", "type": "typing"},
    ]
    async with town.relay(DEFAULTS) as relay:
        replies = [await town.ask("POST", f"{relay.public}/v1/broadcasts", value) for value in bad]
        figures = (await town.look(relay, "/v1/metrics")).value
    assert [reply.status for reply in replies] == [422] * len(bad)
    assert all(reply.value["errors"] for reply in replies)
    assert not town.platform.arrivals
    assert figures["stats"] == {"total": 0, "success": 0, "failed": 0}


async def test_a_broadcast_while_draining_is_503_and_may_be_repeated_later(town: Town) -> None:
    town.platform.mischief.force(*[Forced(delay_ms=1500)] * 2)
    async with town.relay(DEFAULTS) as relay:
        await town.type(relay)
        await until(town.calls, within_s=5)
        relay.send(signal.SIGTERM)
        await until(lambda: relay.logged("stopping"), within_s=2)
        reply = await town.order(relay, 2)
    assert reply.status == 503
    assert int(reply.headers["Retry-After"]) >= 1


async def test_a_200_is_on_disk_before_it_is_said(town: Town) -> None:
    """Many at once, the process killed the moment the first answers are here: each answered one has its row."""
    many = {"RELAY_GATEWAYS__GUEST__RATE_PER_MINUTE": "60000", "RELAY_GATEWAYS__GUEST__BURST": "1000"}
    async with town.relay(DEFAULTS, **many) as relay:
        orders = {asyncio.create_task(town.order(relay, number)) for number in range(60)}
        done, rest = await asyncio.wait(orders, return_when=asyncio.FIRST_COMPLETED)
        relay.send(signal.SIGKILL)
        await relay.ended()
        late, _ = await asyncio.wait(rest) if rest else (set(), None)
        said = {
            task.result().value["auditId"]
            for task in done | late
            if not isinstance(task.exception(), aiohttp.ClientError) and task.result().status == 200
        }
    async with town.relay(DEFAULTS) as relay:
        kept = {row["auditId"] for row in await town.audit(relay, "?limit=1000")}
    assert said
    assert said <= kept
