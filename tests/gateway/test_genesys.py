import asyncio
import logging

import pytest

from relay.core.answer import Answer
from relay.core.indicator import Address, Cause, Indicator, Rank, Wish
from relay.core.outcome import CoolOff, Expired, Failure, Held, Refused, Shown, Unreachable
from relay.gateway.genesys import payload, with_context
from relay.gateway.port import HealthState, Hold, Liveness
from relay.sandbox.chaos import Forced
from relay.sandbox.conversations import full_shape
from relay.sandbox.platform import StandInPlatform
from tests.gateway.cloud_rig import TYPING, CloudRig, agent_id, cloud_rig
from tests.gateway.rig import CALM, now_ms

pytestmark = pytest.mark.looptime


OWN_TOKENS: dict[str, str] = {
    "token_source": "http",
    "agent_tokens_url": "/sandbox/users/{agentUserId}/token",
}


async def probed(it: CloudRig, address: Address) -> Liveness:
    return await it.gateway.probe(address, deadline_ms=now_ms() + 2000)


# -- showing -------------------------------------------------------------------------------------------------


def test_the_body_is_the_one_word_and_its_duration() -> None:
    wish = Wish(Indicator.TYPING, 5000, Cause.START)
    assert payload(wish) == {"typing": {"type": "On", "duration": 5000}}


async def test_an_agents_leg_is_looked_up_once_and_known_from_then_on() -> None:
    async with cloud_rig() as it:
        assert [type(await it.show(it.by_agent)) for _ in range(3)] == [Shown] * 3
        assert it.platform.cloud.reads == 1
        assert {each.guest_id for each in it.platform.arrivals} == {it.conversation.legs[1].communication_id}


async def test_a_busy_conversation_is_not_asked_about_for_each_accepted_call_says_that_it_lives() -> None:
    async with cloud_rig() as it:
        for _ in range(10):
            assert await probed(it, it.by_leg) is Liveness.LIVE
            await it.show(it.by_leg)
            await asyncio.sleep(20)
        assert it.platform.cloud.reads == 1


def long_conversation(it: CloudRig, size: int) -> dict[str, object]:
    """`it`'s as it is answered after some days, about `size` bytes of it."""
    shape = full_shape(it.conversation)
    past = {"id": agent_id(9), "state": "disconnected", "type": "webmessaging", "text": "x" * 900}
    people = shape["participants"]
    assert isinstance(people, list)
    return {**shape, "participants": [{"purpose": "agent", "messages": [past] * (size // 1000)}, *people]}


async def test_the_leg_of_a_long_conversation_is_found() -> None:
    """Escaped because an answer was cut at what an error may hold, and the stand-in's are short."""
    async with cloud_rig() as it:
        body = long_conversation(it, 1_000_000)
        it.platform.mischief.force(Forced(on="session", status=200, body=body))
        assert isinstance(await it.show(it.by_agent), Shown)


async def test_a_conversation_too_long_to_be_read_is_refused_with_what_to_send_instead() -> None:
    async with cloud_rig() as it:
        body = long_conversation(it, 4_500_000)
        it.platform.mischief.force(Forced(on="session", status=200, body=body))
        outcome = await it.show(it.by_agent)
        assert isinstance(outcome, Refused)
        assert (outcome.status, outcome.code) == (None, "too_large")
        assert "communicationId" in outcome.advice


async def test_an_agent_who_is_not_in_the_conversation_has_no_leg_to_type_on() -> None:
    async with cloud_rig() as it:
        stranger = it.by_agent._replace(agent_user_id=agent_id(2))
        outcome = await it.show(stranger)
        assert isinstance(outcome, Refused)
        assert outcome.code == "inactive"
        assert len(it.platform.arrivals) == 0


async def test_the_latest_connected_leg_of_an_agent_is_the_one_to_type_on() -> None:
    async with cloud_rig() as it:
        it.conversation.legs[1].end(0)
        again = it.conversation.connect(agent_id(), 0)
        assert isinstance(await it.show(it.by_agent), Shown)
        assert it.platform.arrivals[0].guest_id == again.communication_id


async def test_a_leg_that_has_ended_is_looked_up_afresh() -> None:
    async with cloud_rig() as it:
        await it.show(it.by_agent)
        it.conversation.legs[1].end(0)
        it.conversation.connect(agent_id(), 0)
        assert isinstance(await it.show(it.by_agent), Refused)
        assert isinstance(await it.show(it.by_agent), Shown)


async def test_a_refusal_carries_the_platforms_words_its_context_and_what_to_grant() -> None:
    async with cloud_rig(CALM.changed(is_permitted=False)) as it:
        outcome = await it.show(it.by_leg)
        assert isinstance(outcome, Refused)
        assert (outcome.status, outcome.code) == (403, "missing.any.permissions")
        assert "(contextId " in outcome.message
        assert "conversation:webmessaging:create" in outcome.advice


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"genesys-correlation-id": "new", "inin-correlation-id": "old"}, "new"),
        ({"inin-correlation-id": "old"}, "old"),
    ],
)
def test_a_refusal_without_a_context_is_found_by_the_answers_correlation_id(
    headers: dict[str, str], named: str
) -> None:
    answer = with_context(Answer(403, headers, {"message": "no"}))
    assert answer.message == f"no (contextId {named})"
    assert "(contextId own)" in with_context(Answer(403, headers, {"contextId": "own"})).message


async def test_a_conversation_that_may_not_be_looked_at_says_which_permission_is_missing() -> None:
    async with cloud_rig() as it:
        it.platform.mischief.force(Forced(on="session", status=403))
        outcome = await it.show(it.by_agent)
        assert isinstance(outcome, Refused)
        assert "conversation:communication:view" in outcome.advice


async def test_a_token_the_platform_quotes_at_a_lookup_does_not_reach_the_outcome() -> None:
    """Escaped because only the typing call's answer was searched for it."""
    async with cloud_rig() as it:
        body = {"message": "token sandbox-token-000001 may not look", "code": "no.sandbox-token-000001"}
        it.platform.mischief.force(Forced(on="session", status=403, body=body))
        outcome = await it.show(it.by_agent)
        assert isinstance(outcome, Refused)
        assert outcome.message.startswith("token … may not look")
        assert "sandbox-token" not in repr(outcome)


async def test_a_lookup_that_gets_no_answer_sends_nothing_and_is_certain_of_it() -> None:
    async with cloud_rig() as it:
        it.platform.mischief.force(Forced(on="session", delay_ms=60_000))
        outcome = await it.show(it.by_agent)
        assert isinstance(outcome, Unreachable)
        assert not outcome.is_unknown
        assert len(it.platform.arrivals) == 0


async def test_an_agent_whose_leg_rings_is_typing_once_it_is_connected() -> None:
    """Escaped because the stand-in's agents came in connected: the call was refused, and the session muted."""
    async with cloud_rig() as it:
        leg = it.conversation.legs[1]
        leg.state = "alerting"
        for address in (it.by_agent, it.by_leg):
            await probed(it, address)
            assert isinstance(await it.show(address), Held)
        leg.state = "connected"
        await asyncio.sleep(1)
        for address in (it.by_agent, it.by_leg):
            await probed(it, address)
            assert isinstance(await it.show(address), Shown)
        assert it.statuses == [200, 200]


async def test_a_look_that_outlives_the_end_of_its_session_leaves_no_leg_behind() -> None:
    async with cloud_rig() as it:
        it.platform.mischief.force(Forced(on="session", delay_ms=1000))
        await probed(it, it.by_agent)
        it.gateway.forget(it.by_agent)
        await asyncio.sleep(1)
        it.conversation.legs[1].end(0)
        again = it.conversation.connect(agent_id(), 0)
        assert isinstance(await it.show(it.by_agent), Shown)
        assert it.platform.arrivals[-1].guest_id == again.communication_id


async def test_a_leg_that_is_known_is_typed_on_while_nobody_answers_whether_it_is_still_there() -> None:
    async with cloud_rig() as it:
        await it.show(it.by_agent)
        await asyncio.sleep(31)
        it.platform.mischief.force(Forced(on="session", status=503))
        assert await probed(it, it.by_agent) is Liveness.UNKNOWN
        assert isinstance(await it.show(it.by_agent), Shown)


async def test_what_a_probe_has_just_found_out_is_not_asked_again_by_the_call() -> None:
    async with cloud_rig() as it:
        it.platform.mischief.force(Forced(on="session", status=503))
        await probed(it, it.by_agent)
        outcome = await it.show(it.by_agent)
        assert isinstance(outcome, Unreachable)
        assert (outcome.kind, outcome.status, it.platform.cloud.reads) == (Failure.SERVER, 503, 1)


async def test_lookups_that_fail_open_the_circuit_and_only_an_accepted_typing_closes_it() -> None:
    """Escaped because the circuit heard of typing calls alone, which are not made without a leg."""
    async with cloud_rig() as it:
        it.platform.mischief.force(*[Forced(on="session", status=503)] * 5)
        for _ in range(5):
            assert it.gateway.held_by(TYPING) is None
            await it.show(it.by_agent)
            await asyncio.sleep(1)
        assert it.gateway.health().state is HealthState.CIRCUIT_OPEN
        assert it.gateway.held_by(TYPING) is Hold.CIRCUIT_OPEN
        await asyncio.sleep(10)
        it.platform.mischief.force(Forced(status=503))
        await it.show(it.by_agent)
        assert it.gateway.health().state is HealthState.CIRCUIT_OPEN
        await asyncio.sleep(10)
        await it.show(it.by_agent)
        assert it.gateway.health().state is HealthState.OK


async def test_the_trial_of_an_open_circuit_is_one_lookup_whoever_else_waits() -> None:
    async with cloud_rig() as it:
        it.platform.mischief.force(*[Forced(on="session", status=503)] * 6)
        for number in range(5):
            await it.show(it.by_agent._replace(agent_user_id=agent_id(number)))
        await asyncio.sleep(10)
        trial = asyncio.create_task(it.show(it.by_agent))
        await asyncio.sleep(0)
        assert it.gateway.held_by(TYPING) is Hold.CIRCUIT_OPEN
        await trial
        assert it.platform.cloud.reads == 6


async def test_a_lookup_is_worth_waiting_for_and_a_mere_probe_gives_way() -> None:
    async with cloud_rig() as it:
        await it.show(it.by_agent)
        await probed(it, it.by_leg)
        assert it.permits == [Rank.START, Rank.PAUSE]


async def test_the_thirteenth_typing_of_a_minute_makes_its_conversation_wait_and_no_other() -> None:
    async with cloud_rig() as it:
        outcomes = [await it.show(it.by_leg) for _ in range(13)]
        limited = outcomes[-1]
        assert isinstance(limited, CoolOff)
        assert (limited.for_session, limited.wait_ms) == (True, 60_000)
        assert it.gateway.health().state is HealthState.OK


async def test_a_limit_of_the_client_makes_everybody_wait() -> None:
    async with cloud_rig(CALM.changed(client_per_minute=3)) as it:
        for _ in range(3):
            await it.show(it.by_leg)
        limited = await it.show(it.by_leg)
        assert isinstance(limited, CoolOff)
        assert not limited.for_session
        assert it.gateway.health().state is HealthState.COOLING


async def test_the_platforms_own_count_slows_us_down_before_it_has_to_refuse() -> None:
    async with cloud_rig(CALM.changed(client_per_minute=100, conversation_per_minute=100)) as it:
        for _ in range(74):
            await it.show(it.by_leg)
        assert it.cooled_until == []
        await it.show(it.by_leg)
        assert it.cooled_until == [now_ms() + 60_000 / 25]  # 25 calls are left for a minute
        health = it.gateway.health()
        assert health.state is HealthState.COOLING
        assert "2.4 s" in health.reason
        await asyncio.sleep(2.5)
        assert it.gateway.health().state is HealthState.OK


# -- may it type at all? -------------------------------------------------------------------------------------


async def test_an_identity_that_may_not_type_is_found_out_at_the_start() -> None:
    async with cloud_rig(CALM.changed(wants_users=True), probe_at_start=True) as it:
        await asyncio.sleep(1)
        health = it.gateway.health()
        assert health.state is HealthState.DEGRADED
        assert "missing the following permission" in health.reason
        assert "token_source" in health.reason
        assert len(it.platform.arrivals) == 1


async def test_a_permission_that_a_call_lacks_is_told_by_the_health_and_tried_again() -> None:
    """Escaped because only the trial's answer was looked at, which some turn off."""
    async with cloud_rig(CALM.changed(is_permitted=False)) as it:
        await it.show(it.by_leg)
        health = it.gateway.health()
        assert health.state is HealthState.DEGRADED
        assert "conversation:message:create" in health.reason
        it.platform.mischief.change({"is_permitted": True})
        await asyncio.sleep(301)
        assert it.gateway.health().state is HealthState.OK


async def test_a_permission_that_is_missing_in_one_conversation_is_not_the_identitys_lack() -> None:
    async with cloud_rig() as it:
        await it.show(it.by_leg)
        it.platform.mischief.force(*[Forced(status=403, body={"code": "missing.any.permissions"})] * 2)
        await it.show(it.by_leg)
        assert it.gateway.health().state is HealthState.OK
        await asyncio.sleep(60)
        await it.show(it.by_leg)
        assert it.gateway.health().state is HealthState.DEGRADED


async def test_a_permission_that_one_agent_lacks_is_that_agents_trouble() -> None:
    async with cloud_rig(CALM.changed(is_permitted=False), **OWN_TOKENS) as it:
        assert isinstance(await it.show(it.by_agent), Refused)
        assert it.gateway.health().state is HealthState.OK


async def test_an_identity_that_was_granted_what_it_lacked_is_found_out_without_a_restart_or_an_agent() -> (
    None
):
    """Escaped because only an accepted call cleared it, and a relay that is not ready is sent none."""
    async with cloud_rig(CALM.changed(is_permitted=False), probe_at_start=True) as it:
        await asyncio.sleep(700)
        assert it.gateway.health().state is HealthState.DEGRADED
        assert len(it.platform.arrivals) == 3
        it.platform.mischief.change({"is_permitted": True})
        await asyncio.sleep(300)
        assert it.gateway.health().state is HealthState.OK
        await asyncio.sleep(700)
        assert len(it.platform.arrivals) == 4


async def test_an_identity_that_may_type_is_told_that_there_is_no_such_conversation() -> None:
    async with cloud_rig(probe_at_start=True) as it:
        await asyncio.sleep(1)
        assert [each.status for each in it.platform.arrivals] == [404]
        assert it.gateway.health().state is HealthState.OK


async def test_a_403_that_names_no_permission_is_logged_and_degrades_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with cloud_rig(probe_at_start=True) as it:
        it.platform.mischief.force(Forced(status=403, body={"code": "not.authorized", "message": "no"}))
        await asyncio.sleep(1)
        assert it.gateway.health().state is HealthState.OK
        assert "typing was answered 403" in caplog.text


async def test_the_log_in_goes_to_its_own_host() -> None:
    async with StandInPlatform(CALM) as elsewhere, cloud_rig(login_url=elsewhere.base_url) as it:
        await it.show(it.by_leg)
        assert elsewhere.identity.granted >= 1
        assert it.platform.identity.granted == 0


async def test_an_accepted_call_proves_the_trial_wrong() -> None:
    async with cloud_rig(CALM.changed(is_permitted=False), probe_at_start=True) as it:
        await asyncio.sleep(1)
        assert it.gateway.health().state is HealthState.DEGRADED
        it.platform.mischief.change({"is_permitted": True})
        await it.show(it.by_leg)
        assert it.gateway.health().state is HealthState.OK


# -- agents' own tokens --------------------------------------------------------------------------------------


async def test_an_agents_own_token_is_asked_for_when_the_agent_types_and_renewed_when_it_dies() -> None:
    chaos = CALM.changed(wants_users=True, token_life_s=300)
    url = "/sandbox/users/{agentUserId}/token"
    async with cloud_rig(chaos, token_source="http", agent_tokens_url=url) as it:
        assert it.platform.identity.granted == 0
        assert isinstance(await it.show(it.by_agent), Shown)
        it.platform.identity.revoke_all()
        assert await it.show(it.by_agent) == Expired()
        assert isinstance(await it.show(it.by_agent), Shown)
        await asyncio.sleep(400)
        assert isinstance(await it.show(it.by_agent), Shown)
        assert it.platform.identity.granted == 3


async def test_one_agents_limit_makes_that_agent_wait_in_every_conversation_and_no_other() -> None:
    """Escaped because the limit that was tested is the client's."""
    async with cloud_rig(CALM, **OWN_TOKENS) as it:
        await it.show(it.by_agent)
        body = {"limit": {"key": "org.app.user.rate.per.minute", "namespace": "platform.api", "value": 300}}
        it.platform.mischief.force(Forced(status=429, headers={"retry-after": "5"}, body=body))
        limited = await it.show(it.by_agent)
        assert isinstance(limited, CoolOff)
        assert limited.wait_ms == 5000
        elsewhere = it.platform.stagehand.open(agent_id())
        elsewhere.connect(agent_id(2), 0)
        there = Address(elsewhere.id, None, None, agent_id())
        assert await it.show(there) == Held(5000, "not sent: the platform asked to wait")
        assert isinstance(await it.show(there._replace(agent_user_id=agent_id(2))), Shown)
        assert (it.cooled_until, it.gateway.health().state) == ([], HealthState.OK)
        await asyncio.sleep(5)
        assert isinstance(await it.show(there), Shown)


async def test_an_agent_whose_count_runs_out_slows_down_and_no_other() -> None:
    async with cloud_rig(CALM.changed(client_per_minute=4), **OWN_TOKENS) as it:
        it.conversation.connect(agent_id(2), 0)
        # The look-up and three typings are all there are for a minute, and the last quarter is spread.
        outcomes = [await it.show(it.by_agent) for _ in range(3)]
        assert isinstance(outcomes[1], Shown)
        assert isinstance(outcomes[2], Held)
        assert isinstance(await it.show(it.by_agent._replace(agent_user_id=agent_id(2))), Shown)
        assert it.cooled_until == []


async def test_a_service_that_asks_to_wait_makes_every_agent_wait() -> None:
    async with cloud_rig(CALM, **OWN_TOKENS) as it:
        it.platform.mischief.force(Forced(status=503, headers={"retry-after": "5"}))
        await it.show(it.by_agent)
        assert it.gateway.health().state is HealthState.COOLING
        assert len(it.cooled_until) == 1


async def test_without_an_agent_there_is_no_token_to_call_with() -> None:
    async with cloud_rig(token_source="static", agent_tokens={agent_id(): "t"}) as it:
        assert (it.gateway.validate(it.by_leg) or "").startswith("agentUserId is missing")


async def test_one_agent_without_a_token_is_no_trouble_of_the_gateways() -> None:
    async with cloud_rig(token_source="static", agent_tokens={agent_id(2): "t"}) as it:
        outcome = await it.show(it.by_agent)
        assert isinstance(outcome, Unreachable)
        assert outcome.kind is Failure.LOGIN
        assert "agent_tokens" in outcome.advice
        assert it.gateway.health().state is HealthState.OK


async def test_the_log_has_the_leg_and_never_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "relay.gateway")
    async with cloud_rig() as it:
        await it.show(it.by_leg)
    records = [record.__dict__ for record in caplog.records]
    assert records[-1]["fields"]["communication_id"] == it.by_leg.communication_id
    assert "sandbox-token" not in repr(records)
