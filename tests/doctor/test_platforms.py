"""Both kinds of platform, asked by a doctor; the stand-in says what its guests saw of it."""

import time
from typing import Any

import pytest

from relay.doctor.finding import Finding, Level
from relay.doctor.platforms import look_at
from relay.sandbox.chaos import Chaos, Forced
from relay.sandbox.platform import StandInPlatform
from tests.gateway.rig import settings_for

AGENT = "11111111-1111-4111-8111-111111111111"
KINDS = ("guest", "genesys")


def now() -> int:
    return time.time_ns() // 1_000_000


async def looked(
    platform: StandInPlatform,
    *,
    agent_user_id: str | None = None,
    deployment_id: str | None = None,
    skew_ms: int = 0,
    **changes: Any,  # as in `settings_for`
) -> dict[str, Finding]:
    found = await look_at(
        "g",
        settings_for(platform.base_url, **changes),
        wall=lambda: now() + skew_ms,
        agent_user_id=agent_user_id,
        deployment_id=deployment_id,
    )
    assert all("sandbox-secret" not in each.line for each in found)
    assert all("sandbox-token" not in each.line for each in found)
    return {each.about.removeprefix("gateway g, "): each for each in found}


def standing(**changes: Any) -> StandInPlatform:  # `Chaos` checks them
    return StandInPlatform(Chaos.none().changed(**changes))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("session_status", ["ACTIVE", ""])
async def test_all_is_well_and_no_guest_saw_anything(kind: str, session_status: str) -> None:
    async with standing(session_status=session_status) as platform:
        guest = platform.stagehand.open(AGENT)
        found = await looked(platform, kind=kind)
        assert [each.level for each in found.values() if each.level is not Level.OK] == []
        assert "typing with the client's token" in found
        (arrival,) = platform.arrivals
        assert arrival.session_id != guest.id
        assert platform.visible(arrival.session_id) is None
        assert platform.visible(guest.id) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_wrong_credentials_are_told_from_a_way_that_is_closed(kind: str) -> None:
    async with standing() as platform:
        found = await looked(platform, kind=kind, client_secret="wrong-canary")
        assert found["platform"].level is Level.OK
        fix = "check client id and secret, and that base_url is where the client belongs"
        assert (found["log-in"].level, found["log-in"].fix) == (Level.FAIL, fix)
        assert "wrong-canary" not in found["log-in"].line
        base_url = platform.base_url
    gone = await look_at("g", settings_for(base_url, kind=kind), wall=now)
    assert [(each.level, "no answer" in each.seen) for each in gone] == [(Level.FAIL, True)] * 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_without_the_permission_is_told_what_to_grant(kind: str) -> None:
    async with standing() as platform:
        body = {"code": "missing.any.permissions", "message": "You are missing something"}
        platform.mischief.force(Forced(status=403, body=body))
        found = (await looked(platform, kind=kind))["typing with the client's token"]
        assert found.level is Level.FAIL
        assert "You are missing something" in found.seen
        assert ("messaging:guest:write" if kind == "guest" else "conversation:message:create") in found.fix


async def test_a_platform_that_wants_agents_is_told_from_one_that_takes_the_clients_token() -> None:
    async with standing(wants_users=True) as platform:
        found = await looked(platform, kind="genesys")
        assert "set token_source" in found["typing with the client's token"].fix
        own = platform.identity.grant_user(AGENT, now=1e12, life_s=300)["access_token"]
        static: dict[str, Any] = {"token_source": "static", "agent_tokens": {AGENT: own}, "client_id": None}
        found = await looked(platform, kind="genesys", **static)
        assert found["typing with an agent's token"].level is Level.OK


async def test_where_tokens_are_the_agents_own_an_agent_must_be_named() -> None:
    async with standing() as platform:
        place: dict[str, Any] = {
            "token_source": "http",
            "agent_tokens_url": f"{platform.base_url}/sandbox/users/{{agentUserId}}/token",
        }
        unnamed = await looked(platform, kind="genesys", **place)
        assert (unnamed["log-in"].level, unnamed["log-in"].fix) == (
            Level.WARN,
            "name an agent with --agent",
        )
        named = await looked(platform, kind="genesys", agent_user_id=AGENT, **place)
        assert named["typing with an agent's token"].level is Level.OK


async def test_a_clock_that_is_off_is_found_by_the_platforms() -> None:
    async with standing() as platform:
        assert (await looked(platform, skew_ms=3_600_000))["clock"].level is Level.FAIL


@pytest.mark.parametrize(("is_shown", "level"), [(True, Level.OK), (False, Level.FAIL)])
async def test_a_deployment_that_shows_no_typing_is_found(is_shown: bool, level: Level) -> None:  # noqa: FBT001 - a cell
    async with standing(shows_agent_typing=is_shown) as platform:
        found = await looked(platform, kind="genesys", deployment_id="d-1")
        assert found["deployment"].level is level


async def test_a_round_costs_as_much_of_the_minute_as_is_said() -> None:
    async with standing(client_per_minute=300) as platform:
        await looked(platform, kind="genesys", deployment_id="d-1")
        assert platform.callers.calls_of() == 2, "looking and typing; what has no token counts against nobody"
