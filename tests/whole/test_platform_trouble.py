"""The platform refuses, limits, forgets its tokens: what callers, trackers and the operator are told of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aiohttp import web

from relay.sandbox.chaos import Forced
from tests.whole.process import RelayProcess, until
from tests.whole.town import GUEST, Town, event, session_id

PLENTY = {"RELAY_GATEWAYS__GUEST__RATE_PER_MINUTE": "60000", "RELAY_GATEWAYS__GUEST__BURST": "1000"}


async def keep_typing(town: Town, relay: RelayProcess, number: int = 1, *, every_s: float = 0.1) -> None:
    while True:
        await town.type(relay, number)
        await asyncio.sleep(every_s)


@asynccontextmanager
async def typing_meanwhile(town: Town, relay: RelayProcess, number: int = 1) -> AsyncIterator[None]:
    task = asyncio.create_task(keep_typing(town, relay, number))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_thirty_first_keys_at_once_cost_one_token_request(town: Town) -> None:
    town.platform.mischief.force(Forced(on="token", delay_ms=500))
    async with town.relay(**PLENTY) as relay:
        await asyncio.gather(*(town.type(relay, number) for number in range(30)))
        await until(lambda: len({a.session_id for a in town.platform.arrivals}) == 30, within_s=5)
    assert town.platform.identity.granted == 1
    assert town.platform.identity.refused == 0


async def test_a_token_revoked_in_mid_life_costs_one_renewal_and_loses_nothing(town: Town) -> None:
    async with town.relay() as relay, typing_meanwhile(town, relay):
        await until(lambda: len(town.calls()) >= 2, within_s=5)
        town.platform.identity.revoke_all()
        seen = len(town.calls())
        await until(lambda: len(town.calls()) >= seen + 3, within_s=5)
        rejected, again, *_ = town.calls()[seen:]
        await until(lambda: len(town.events("typing_indicator.broadcast")) >= seen + 2, within_s=5)
        rows = await town.audit(relay)
    assert (rejected.status, again.status) == (401, 200)
    assert rejected.indicator == again.indicator
    assert town.platform.identity.granted == 2
    assert all(row["success"] for row in rows)
    assert not town.events("typing_indicator.failed")


async def test_three_429s_in_a_row_are_a_failure_for_audit_tracker_log_and_figures(town: Town) -> None:
    town.platform.mischief.force(*[Forced(status=429, headers={"Retry-After": "1"})] * 3)
    async with town.relay() as relay, typing_meanwhile(town, relay):
        failed = await until(lambda: town.events("typing_indicator.failed"), within_s=10)
        rows = await town.audit(relay)
        figures = (await town.look(relay, "/v1/metrics")).value
        lines = relay.logged("indicator.carried")
    tries = [row for row in reversed(rows) if row["status"] == 429]
    assert [(row["success"], row["attempts"]) for row in tries] == [(False, 1), (False, 2), (False, 3)]
    assert len(failed) == 1
    assert failed[0].data["success"] is False
    assert failed[0].data["status"] == 429
    assert "An answer forced by the script; lower rate_per_minute" in failed[0].data["message"]
    assert figures["stats"]["failed"] == 3
    assert figures["displayRate"] == round(figures["stats"]["success"] / figures["stats"]["total"], 3)
    assert [line["level"] for line in lines if line["status"] == 429] == ["warning"] * 3
    waits = [b.at - a.at for a, b in zip(town.calls(), town.calls()[1:4], strict=False)]
    assert all(wait >= 1000 for wait in waits)


ADVICE = {
    400: "session id is a live session's",
    401: "check client id and secret, and that the client has the scope messaging:guest:write",
    403: "grant the scope messaging:guest:write",
    429: "raise min_interval_ms",
}
"""What the tutorial's "Common Errors" tells its reader to do about each."""


async def test_a_refusal_is_told_to_the_operator_with_the_platforms_words_and_the_fix(town: Town) -> None:
    async with town.relay(**PLENTY) as relay:
        for status, advice in ADVICE.items():  # the 429 last: it makes everybody wait
            said = f"the platform's own words about {status}"
            body, headers = {"message": said}, {"Retry-After": "2"}
            # A 401 is tried once more with a fresh token.
            tries = 2 if status == 401 else 1
            town.platform.mischief.force(*[Forced(status=status, body=body, headers=headers)] * tries)
            await town.type(relay, status)
            await until(partial(_lines_about, relay, status), within_s=5)
            (line,) = _lines_about(relay, status)
            row = await _audited(town, relay, status)
            assert row["success"] is False
            for place in (row["message"], line["message"]):
                assert said in place
                assert advice in place


async def _audited(town: Town, relay: RelayProcess, status: int) -> dict[str, Any]:
    """The first attempt on the session of that number; the log may speak of it before it is on disk."""
    async with asyncio.timeout(5):
        while not (rows := await town.audit(relay, f"?session={session_id(status)}")):  # noqa: ASYNC110 - asked over HTTP
            await asyncio.sleep(0.01)
    assert rows[-1]["status"] == status
    return rows[-1]


def _lines_about(relay: RelayProcess, status: int) -> list[dict[str, Any]]:
    return [line for line in relay.logged("indicator.carried") if line["status"] == status]


@asynccontextmanager
async def any_path() -> AsyncIterator[tuple[str, list[str]]]:
    """(base URL, raw targets): a platform that says yes to everything, and keeps what it was asked for."""
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(f"{request.method} {request.raw_path}")
        if request.path == "/oauth/token":
            return web.json_response({"access_token": "t", "expires_in": 3600})
        return web.json_response({"status": "ACTIVE"})

    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}", asked
    finally:
        await runner.cleanup()


HOSTILE = [
    "../../oauth/token",
    "../../../../hook?",
    "a/b?c",
    "..",
    ".",
    "%2e%2e%2ftoken",
    "a#b",
    "a\r\nHost: x",
    "a\\b",
    "ä",
    "",
    "x" * 129,
]


async def test_no_guest_id_leads_the_token_to_another_path(town: Town) -> None:
    async with any_path() as (base_url, asked), town.relay(GENESYS_API_BASE_URL=base_url) as relay:
        for guest_id in HOSTILE:
            bad = event(guestId=guest_id)
            order = {"sessionId": session_id(), "guestId": guest_id, "type": "typing"}
            replies = [
                await town.post(relay, bad),
                await town.post(relay, [event(2), bad]),
                await town.ask("POST", f"{relay.public}/v1/broadcasts", order),
            ]
            assert [reply.status for reply in replies] == [422] * 3, guest_id
            assert "guestId" in replies[0].value["errors"][0]["loc"]
            assert not any(guest_id.encode() in r.body for r in replies if len(guest_id) > 2)
        await town.type(relay, 3)
        await until(lambda: len(asked) >= 3, within_s=5)
    assert set(asked) == {
        "POST /oauth/token",
        f"GET /api/v2/messaging/sessions/{session_id(3)}",
        f"POST /api/v2/messaging/guests/{GUEST}/typing",
    }
