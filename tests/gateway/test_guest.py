import asyncio
import logging

import pytest

from relay.core.indicator import Address, Cause, Indicator, Rank, Wish
from relay.core.outcome import (
    CoolOff,
    Expired,
    Failure,
    Held,
    Outcome,
    Refused,
    Shown,
    Unauthorised,
    Unreachable,
)
from relay.core.report import said
from relay.gateway.guest import payload
from relay.gateway.port import HealthState, Hold, Liveness
from relay.sandbox.chaos import Forced
from tests.gateway.rig import CALM, START, STOP, Rig, address, now_ms, rig

pytestmark = pytest.mark.looptime


async def probed(it: Rig, number: int = 1, *, within_ms: float = 2000) -> Liveness:
    return await it.gateway.probe(address(number), deadline_ms=now_ms() + within_ms)


async def answered(it: Rig, status: int, **more: object) -> Outcome:
    it.platform.mischief.force(Forced.model_validate({"status": status, **more}))
    return await it.show()


# -- showing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("indicator", list(Indicator))
async def test_each_indicator_is_shown_with_its_duration(indicator: Indicator) -> None:
    async with rig() as it:
        assert isinstance(await it.show(wish=Wish(indicator, 4200, Cause.DIRECT)), Shown)
        (arrival,) = it.platform.arrivals
        assert (arrival.indicator, arrival.duration_ms, arrival.status) == (indicator, 4200, 200)


def test_the_body_has_exactly_the_four_fields_of_the_contract() -> None:
    assert payload(Address("s", "g"), Wish(Indicator.STOPPED, 3000, Cause.STOP)) == {
        "sessionId": "s",
        "guestId": "g",
        "type": "typing_stopped",
        "duration": 3000,
    }


async def test_an_indicator_is_one_request_and_the_latency_is_its_own() -> None:
    async with rig() as it:
        await asyncio.sleep(1)
        it.platform.mischief.force(Forced(delay_ms=120))
        outcome = await it.show()
        assert isinstance(outcome, Shown)
        assert outcome.latency_ms == pytest.approx(120, abs=5)
        assert len(it.platform.arrivals) == 1


async def test_three_429s_in_a_row_are_never_a_success() -> None:
    """The tutorial fell out of its loop and recorded the broadcast as shown."""
    async with rig() as it:
        outcomes = [await answered(it, 429) for _ in range(3)]
        assert (
            outcomes
            == [CoolOff(429, None, message="An answer forced by the script.", advice=it_advice(429))] * 3
        )
        assert len(it.platform.arrivals) == 3


def it_advice(status: int) -> str:
    return {429: "lower rate_per_minute, or raise min_interval_ms if single sessions are limited"}[status]


async def test_a_limit_on_everybody_closes_the_identitys_gate() -> None:
    async with rig() as it:
        outcome = await answered(it, 429, headers={"retry-after": "2.5"})
        assert isinstance(outcome, CoolOff)
        assert (outcome.wait_ms, outcome.for_session) == (2500, False)
        assert it.cooled_until == [now_ms() + 2500]
        assert it.gateway.health().state is HealthState.COOLING
        await asyncio.sleep(2.5)
        assert it.gateway.health().state is HealthState.OK


async def test_a_limit_on_one_session_leaves_the_others_alone() -> None:
    async with rig(CALM.changed(min_interval_ms=2000)) as it:
        assert isinstance(await it.show(1), Shown)
        outcome = await it.show(1)
        assert isinstance(outcome, CoolOff)
        assert (outcome.wait_ms, outcome.for_session) == (2000, True)
        assert it.cooled_until == []
        assert isinstance(await it.show(2), Shown)


async def test_a_call_that_had_its_permit_before_the_gate_closed_is_not_sent() -> None:
    """Nor is it booked as the platform's 429: escaped because a status that nobody sent was not looked at."""
    async with rig() as it:
        await answered(it, 429, headers={"retry-after": "5"})
        await asyncio.sleep(1)
        outcome = await it.show(2)
        assert isinstance(outcome, Held)
        assert outcome.wait_ms == pytest.approx(4000, abs=5)
        assert len(it.platform.arrivals) == 1


async def test_nothing_is_sent_while_the_platform_asks_to_wait_stops_neither() -> None:
    async with rig() as it:
        assert it.gateway.held_by(START) is None
        await answered(it, 429, headers={"retry-after": "5"})
        assert (it.gateway.held_by(START), it.gateway.held_by(STOP)) == (Hold.COOLING, Hold.COOLING)
        await asyncio.sleep(5)
        assert (it.gateway.held_by(START), it.gateway.held_by(STOP)) == (None, None)


async def test_a_gate_that_closes_while_a_call_waits_for_its_token_keeps_the_call_back() -> None:
    """Escaped because the gate was asked before the log-in, which may take seconds."""
    async with rig() as it:
        await it.show()
        it.platform.mischief.force(
            Forced(status=429, headers={"retry-after": "5"}, delay_ms=300),
            Forced(status=401),
            Forced(on="token", delay_ms=1000),
        )
        limited = asyncio.create_task(it.show(2))
        await asyncio.sleep(0.1)
        rejected = asyncio.create_task(it.show(3))
        await asyncio.sleep(0.1)
        assert isinstance(await it.show(4), Held)
        assert (await limited).status == 429
        assert await rejected == Expired()
        assert len(it.platform.arrivals) == 3


@pytest.mark.parametrize("status", [301, 302, 307, 400, 403, 404, 409, 410, 418])
async def test_a_refusal_is_a_value_with_the_platforms_message(status: int) -> None:
    async with rig() as it:
        outcome = await answered(it, status, body={"message": "not here", "code": "not.here"})
        assert isinstance(outcome, Refused)
        assert (outcome.status, outcome.code, outcome.message) == (status, "not.here", "not here")


@pytest.mark.parametrize(
    ("status", "word"),
    [(400, "duration"), (403, "messaging:guest:write"), (403, "web messaging"), (404, "session")],
)
async def test_a_refusal_advises_the_operator(status: int, word: str) -> None:
    async with rig() as it:
        outcome = await answered(it, status)
        assert isinstance(outcome, Refused)
        assert word in outcome.advice


async def test_what_was_denied_is_told_until_something_is_shown_and_degrades_nothing() -> None:
    """Escaped because only the audit was read: a scope that was taken back left readiness without a word."""
    async with rig() as it:
        refused = await answered(it, 403, body={"message": "no scope"})
        assert isinstance(refused, Refused)
        health = it.gateway.health()
        words = f'typing was answered 403 ("no scope"): {refused.advice}'
        assert (health.state, health.reason) == (HealthState.OK, words)
        await answered(it, 404)
        assert it.gateway.health() == health
        assert isinstance(await it.show(number=2), Shown)
        assert it.gateway.health().reason == ""


async def test_a_hung_call_ends_at_its_deadline_with_an_unknown_outcome() -> None:
    async with rig() as it:
        await it.show()
        it.platform.mischief.force(Forced(delay_ms=60_000))
        began = now_ms()
        assert await it.show(within_ms=2000) == Unreachable(Failure.TIMEOUT, is_unknown=True)
        assert now_ms() - began == pytest.approx(2000, abs=50)


async def test_a_reset_after_the_send_is_unknown_and_not_sent_again() -> None:
    async with rig() as it:
        it.platform.mischief.force(Forced(reset=True))
        assert await it.show() == Unreachable(Failure.RESET, is_unknown=True)
        await asyncio.sleep(10)
        assert len(it.platform.arrivals) == 1


async def test_a_platform_that_is_not_there_is_certainly_not_told() -> None:
    async with rig() as it:
        await it.show()
        await it.platform.__aexit__()
        await asyncio.sleep(1)  # the closed connection is noticed; before that, a send into it is a reset
        assert await it.show() == Unreachable(Failure.CONNECT, is_unknown=False)


async def test_a_5xx_is_unreachable() -> None:
    async with rig() as it:
        outcome = await answered(it, 500)
        assert isinstance(outcome, Unreachable)
        assert (outcome.kind, outcome.status, outcome.is_unknown) == (Failure.SERVER, 500, False)


# -- tokens --------------------------------------------------------------------------------------------------


async def test_a_401_in_mid_life_is_cured_with_one_renewal() -> None:
    """The tutorial kept the dead token for the rest of its day."""
    async with rig() as it:
        await it.show()
        it.platform.identity.revoke_all()
        assert await it.show() == Expired()
        assert isinstance(await it.show(), Shown)
        assert it.platform.identity.granted == 2


async def test_thirty_calls_rejected_together_are_cured_with_one_renewal() -> None:
    async with rig(CALM.changed(latency_ms=200), carriers=32) as it:
        await it.show()
        it.platform.identity.revoke_all()
        assert await asyncio.gather(*(it.show(number) for number in range(30))) == [Expired()] * 30
        assert it.platform.identity.granted == 2


async def test_a_renewed_token_that_worked_is_renewed_again_when_it_dies() -> None:
    async with rig() as it:
        for _ in range(3):
            assert isinstance(await it.show(), Shown)
            it.platform.identity.revoke_all()
            assert await it.show() == Expired()


async def test_a_401_with_a_fresh_token_too_is_unauthorised_and_says_what_to_do() -> None:
    async with rig() as it:
        await it.show()
        it.platform.mischief.force(*[Forced(status=401, body={"message": "no scope"})] * 3)
        assert await it.show() == Expired()
        outcome = await it.show()
        assert isinstance(outcome, Unauthorised)
        assert (outcome.message, "scope" in outcome.advice) == ("no scope", True)
        assert it.gateway.health().state is HealthState.DEGRADED
        assert isinstance(await it.show(), Unauthorised)
        assert it.platform.identity.granted == 2  # no log-in per rejected call
        assert isinstance(await it.show(), Shown)
        assert it.gateway.health().state is HealthState.OK


async def test_two_401s_leave_the_gateway_degraded_for_the_log_in_pause_at_most() -> None:
    """Escaped because the cure was tried with a call: a relay that is not ready gets none."""
    async with rig() as it:
        await it.show()
        it.platform.mischief.force(*[Forced(status=401)] * 2)
        assert await it.show() == Expired()
        assert isinstance(await it.show(), Unauthorised)
        await asyncio.sleep(29)
        assert it.gateway.health().state is HealthState.DEGRADED
        await asyncio.sleep(1)
        assert it.gateway.health().state is HealthState.OK


async def test_a_token_granted_after_two_401s_makes_the_gateway_ready_without_a_call() -> None:
    """Escaped as the one above: only an accepted indicator was thought of as a cure."""
    async with rig(CALM.changed(token_life_s=30)) as it:
        await it.show()
        it.platform.mischief.force(*[Forced(status=401)] * 2)
        assert await it.show() == Expired()
        assert isinstance(await it.show(), Unauthorised)
        await asyncio.sleep(14)
        assert it.gateway.health().state is HealthState.DEGRADED
        await asyncio.sleep(2)  # half a life of 30 s
        assert it.gateway.health().state is HealthState.OK


async def test_wrong_credentials_degrade_the_gateway_and_name_the_fix() -> None:
    async with rig(client_secret="wrong") as it:
        outcome = await it.show()
        assert isinstance(outcome, Unreachable)
        assert outcome.kind is Failure.LOGIN
        health = it.gateway.health()
        assert said(outcome) == health.reason  # with the platform's words in it once, not once more before it
        assert health.state is HealthState.DEGRADED
        assert "check client id and secret" in health.reason
        assert len(it.platform.arrivals) == 0


async def test_a_token_the_platform_quotes_does_not_reach_the_outcome() -> None:
    """A thrown error of the tutorial's carried the bearer token."""
    async with rig() as it:
        await it.show()
        outcome = await answered(it, 400, body={"message": "bad request with Bearer sandbox-token-000001"})
        assert "sandbox-token" not in repr(outcome)


async def test_the_debug_log_has_the_payload_and_the_tokens_age_but_not_the_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "relay.gateway")
    async with rig() as it:
        await it.show()
        await asyncio.sleep(7)
        await it.show()
    fields = caplog.records[-1].__dict__["fields"]
    assert (fields["type"], fields["duration"], fields["guest_id"]) == ("typing", 3000, "guest-1")
    assert fields["token_age_s"] == 7
    assert "sandbox-token" not in repr([record.__dict__ for record in caplog.records])


# -- addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "guest_id",
    ["../../../../hook?", "..", ".", "", "a/b", "a%2fb", "a?b", "a#b", "a b", "a\r\nb", "x" * 129, None],
)
async def test_no_guest_id_can_lead_the_token_to_another_path(guest_id: str | None) -> None:
    """The tutorial's own went unescaped into the path."""
    async with rig() as it:
        bad = Address(address().session_id, guest_id)
        problem = it.gateway.validate(bad)
        assert problem is not None
        assert not guest_id or guest_id == "." or guest_id not in problem
        outcome = await it.gateway.show(bad, START, deadline_ms=now_ms() + 2000)
        assert isinstance(outcome, Refused)
        assert await it.gateway.probe(bad, deadline_ms=now_ms() + 2000) is Liveness.UNKNOWN
        assert (len(it.platform.arrivals), it.platform.probes) == (0, 0)


async def test_a_colon_in_a_guest_id_arrives_as_it_is() -> None:
    async with rig() as it:
        strange = Address(address().session_id, "tenant:guest~1._-")
        assert isinstance(await it.gateway.show(strange, START, deadline_ms=now_ms() + 2000), Shown)


@pytest.mark.parametrize("session_id", ["", "s", "../x", "00000000-0000-0000-0000-00000000000g"])
async def test_a_session_id_must_be_a_uuid(session_id: str) -> None:
    async with rig() as it:
        assert "UUID" in (it.gateway.validate(Address(session_id, "guest")) or "")


# -- probing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["ACTIVE", "active", "Connected", "ROUTED", "Routed"])
async def test_a_session_is_live_whatever_the_case_of_its_status(status: str) -> None:
    async with rig(CALM.changed(session_status=status)) as it:
        assert await probed(it) is Liveness.LIVE


@pytest.mark.parametrize("status", ["DISCONNECTED", ""])
async def test_an_ended_or_unknown_session_is_gone(status: str) -> None:
    async with rig(CALM.changed(session_status=status)) as it:
        assert await probed(it) is Liveness.GONE


async def test_a_live_answer_serves_for_thirty_seconds_and_costs_one_permit() -> None:
    """The tutorial asked before every broadcast."""
    async with rig() as it:
        for _ in range(29):
            await probed(it)
            await asyncio.sleep(1)
        assert (it.platform.probes, it.permits) == (1, [Rank.PAUSE])
        await asyncio.sleep(2)
        await probed(it)
        assert it.platform.probes == 2


async def test_a_gone_answer_serves_for_ten_seconds() -> None:
    async with rig(CALM.changed(session_status="ENDED")) as it:
        await probed(it)
        await asyncio.sleep(9)
        await probed(it)
        assert it.platform.probes == 1
        await asyncio.sleep(2)
        await probed(it)
        assert it.platform.probes == 2


async def test_callers_at_once_share_one_probe() -> None:
    async with rig(CALM.changed(latency_ms=200)) as it:
        assert set(await asyncio.gather(*(probed(it) for _ in range(30)))) == {Liveness.LIVE}
        assert it.platform.probes == 1


async def test_a_slow_probe_delays_an_indicator_by_half_a_second_and_still_serves_the_next() -> None:
    async with rig() as it:
        await it.show()
        it.platform.mischief.force(Forced(on="session", delay_ms=1500))
        began = now_ms()
        assert await probed(it) is Liveness.UNKNOWN
        assert now_ms() - began == pytest.approx(500, abs=5)
        await asyncio.sleep(1.1)
        assert await probed(it) is Liveness.LIVE
        assert it.platform.probes == 1


@pytest.mark.parametrize("status", [404, 409, 410])
async def test_a_refused_session_is_asked_about_afresh(status: int) -> None:
    async with rig() as it:
        await probed(it)
        await answered(it, status)
        await probed(it)
        assert it.platform.probes == 2


async def test_a_forgotten_session_is_asked_about_afresh() -> None:
    async with rig() as it:
        await probed(it)
        it.gateway.forget(address())
        await probed(it)
        assert it.platform.probes == 2


async def test_an_answer_about_a_session_that_ended_meanwhile_is_not_remembered() -> None:
    async with rig() as it:
        await it.show()
        it.platform.mischief.force(Forced(on="session", delay_ms=1000))
        await probed(it)
        it.gateway.forget(address())
        await asyncio.sleep(2)
        await probed(it)
        assert it.platform.probes == 2


@pytest.mark.parametrize("forced", [{"status": 500}, {"status": 200, "body": "?"}, {"reset": True}])
async def test_a_probe_without_a_usable_answer_says_unknown_and_is_not_remembered(
    forced: dict[str, object],
) -> None:
    async with rig() as it:
        await it.show()
        it.platform.mischief.force(*[Forced.model_validate({"on": "session", **forced})] * 2)
        assert await probed(it) is Liveness.UNKNOWN
        assert it.gateway.health().state is HealthState.OK


async def test_a_probe_that_meets_an_expired_token_renews_it() -> None:
    async with rig() as it:
        await it.show()
        it.platform.identity.revoke_all()
        assert await probed(it) is Liveness.LIVE
        assert it.platform.identity.granted == 2


async def test_a_probe_that_is_told_to_wait_closes_the_identitys_gate() -> None:
    async with rig() as it:
        await it.show()
        it.platform.mischief.force(Forced(on="session", status=429, headers={"retry-after": "3"}))
        assert await probed(it) is Liveness.UNKNOWN
        assert it.cooled_until == [now_ms() + 3000]


# -- circuit -------------------------------------------------------------------------------------------------


async def fall(it: Rig) -> None:
    for _ in range(5):
        await answered(it, 500)


async def test_five_failures_in_a_row_open_the_circuit_for_all_but_stops() -> None:
    async with rig() as it:
        for _ in range(4):
            await answered(it, 500)
        assert it.gateway.held_by(START) is None
        await answered(it, 500)
        assert it.gateway.circuit_open
        assert it.gateway.held_by(START) is Hold.CIRCUIT_OPEN
        assert it.gateway.held_by(STOP) is None
        assert it.gateway.health().state is HealthState.CIRCUIT_OPEN


async def test_one_trial_per_ten_seconds_and_its_success_closes_the_circuit() -> None:
    async with rig() as it:
        await fall(it)
        await asyncio.sleep(10)
        assert it.gateway.held_by(START) is None
        it.platform.mischief.force(Forced(delay_ms=1000))
        trial = asyncio.create_task(it.show())
        await asyncio.sleep(0.5)
        assert it.gateway.held_by(START) is Hold.CIRCUIT_OPEN
        assert isinstance(await trial, Shown)
        assert not it.gateway.circuit_open
        assert it.gateway.held_by(START) is None


async def test_a_trial_that_finds_no_token_is_left_to_the_next() -> None:
    """Escaped because the circuit was tried with a token in hand: the trial was taken before the call was made."""
    async with rig(CALM.changed(token_life_s=8)) as it:
        await fall(it)
        it.platform.mischief.force(*[Forced(on="token", status=503)] * 9)
        await asyncio.sleep(10)
        assert it.gateway.held_by(START) is None
        outcome = await it.show()
        assert isinstance(outcome, Unreachable)
        assert outcome.kind is Failure.LOGIN
        assert it.gateway.held_by(START) is None


async def test_a_refusal_or_a_429_is_an_answer_and_keeps_the_circuit_closed() -> None:
    async with rig() as it:
        for status in [500, 500, 500, 500, 404, 500, 500, 500, 500, 429, 500]:
            await answered(it, status)
        assert not it.gateway.circuit_open


async def test_a_503_is_neither_a_failure_nor_a_proof_that_the_platform_is_well() -> None:
    async with rig() as it:
        for _ in range(4):
            await answered(it, 500)
        await answered(it, 503, headers={"Retry-After": "1"})
        assert not it.gateway.circuit_open
        await asyncio.sleep(60)
        await answered(it, 500)
        assert it.gateway.circuit_open


async def test_an_open_circuit_asks_no_probes() -> None:
    async with rig() as it:
        await fall(it)
        assert await probed(it) is Liveness.UNKNOWN
        assert it.platform.probes == 0


# -- ending --------------------------------------------------------------------------------------------------


async def test_closing_leaves_no_task_behind_and_sends_nothing_more() -> None:
    async with rig() as it:
        await it.show()
        it.platform.mischief.force(Forced(on="session", delay_ms=60_000))
        await probed(it)
        await it.gateway.close()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("gateway")]
        assert isinstance(await it.show(), Unreachable)
        assert len(it.platform.arrivals) == 1
