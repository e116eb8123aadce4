import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote_plus

import pytest

from relay.core.answer import MOST_MESSAGE_CHARS
from relay.core.token import Token
from relay.gateway.http import HttpDoor
from relay.gateway.login import ClientLogin, CredentialsForm
from relay.gateway.oauth import Granted, LoginProblem, TokenSource
from relay.sandbox.chaos import Forced
from relay.sandbox.identity import Identity
from relay.sandbox.platform import StandInPlatform
from tests.gateway.rig import CALM, now_ms

pytestmark = pytest.mark.looptime
SECRET = "hunter2-and-more"


@asynccontextmanager
async def source(
    platform: StandInPlatform,
    *,
    secret: str = SECRET,
    scope: str = "messaging:guest:write",
    form: CredentialsForm = "form",
    key: str = "base_url",
) -> AsyncIterator[TokenSource]:
    door = HttpDoor(platform.base_url, name="guest", carriers=4, key=key)
    await door.start()
    login = ClientLogin(
        door,
        client_id="sandbox-client",
        client_secret=secret,
        scope=scope,
        form=form,
        wall=lambda: 0,
    )
    tokens = TokenSource("guest", login)
    try:
        yield tokens
    finally:
        await tokens.close()
        await door.close()


def platform_with(**chaos: Any) -> StandInPlatform:  # `Chaos` checks them
    return StandInPlatform(CALM.changed(**chaos), identity=Identity(client_secret=SECRET))


async def bearer(tokens: TokenSource, *, within_ms: float = 2000) -> Token:
    token = await tokens.bearer(deadline_ms=now_ms() + within_ms)
    assert isinstance(token, Token)
    return token


async def problem(tokens: TokenSource, *, within_ms: float = 2000) -> LoginProblem:
    found = await tokens.bearer(deadline_ms=now_ms() + within_ms)
    assert isinstance(found, LoginProblem)
    return found


async def test_once_closed_it_asks_for_no_token() -> None:
    async with platform_with() as platform, source(platform) as tokens:
        await tokens.close()
        await problem(tokens, within_ms=100)
        assert tokens.logins == 0


FORMS: dict[CredentialsForm, str] = {
    "form": "messaging:guest:write",
    "basic": "messaging:guest:write",
    "raw_basic": "",
}
"""Each with the scope that a log-in of its kind of platform asks for."""


@pytest.mark.parametrize("form", FORMS)
async def test_the_platform_takes_our_credentials_in_each_form(form: CredentialsForm) -> None:
    async with platform_with() as platform, source(platform, form=form, scope=FORMS[form]) as tokens:
        assert (await bearer(tokens)).life_ms == 3_600_000


async def test_credentials_with_every_awkward_character_arrive_whole_in_each_form() -> None:
    """Genesys Cloud's own clients encode nothing. Escaped because the stand-in decoded whatever came."""
    awkward = "a:b&c=d+e %f/ü?"
    async with StandInPlatform(CALM, identity=Identity(client_secret=awkward)) as platform:
        for form, scope in FORMS.items():
            async with source(platform, secret=awkward, form=form, scope=scope) as tokens:
                await bearer(tokens)


async def test_start_asks_in_the_background_so_that_the_first_call_finds_a_token() -> None:
    async with platform_with() as platform, source(platform) as tokens:
        tokens.start()
        await asyncio.sleep(1)
        assert platform.identity.granted == 1
        await bearer(tokens)
        assert platform.identity.granted == 1


async def test_thirty_concurrent_first_calls_make_one_token_request() -> None:
    """The tutorial made one per caller."""
    async with platform_with(latency_ms=200) as platform, source(platform) as tokens:
        found = await asyncio.gather(*(bearer(tokens) for _ in range(30)))
        assert len(set(found)) == 1
        assert platform.identity.granted == 1


async def test_a_token_is_renewed_in_the_background_before_it_expires() -> None:
    async with platform_with(token_life_s=300) as platform, source(platform) as tokens:
        first = await bearer(tokens)
        await asyncio.sleep(239)
        assert await bearer(tokens) is first
        await asyncio.sleep(2)
        assert platform.identity.granted == 2
        assert await bearer(tokens) is not first


async def test_nobody_waits_for_a_renewal_while_the_old_token_is_good() -> None:
    async with platform_with(token_life_s=300) as platform, source(platform) as tokens:
        await bearer(tokens)
        platform.mischief.force(Forced(on="token", delay_ms=5000))
        await asyncio.sleep(241)
        began = now_ms()
        await bearer(tokens)
        assert now_ms() == began


@pytest.mark.parametrize("expires_in", [30, 60])
async def test_a_token_that_lives_a_minute_or_less_serves_many_calls(expires_in: int) -> None:
    """The tutorial asked for a token at every call."""
    async with platform_with(token_life_s=expires_in) as platform, source(platform) as tokens:
        for _ in range(20):
            await bearer(tokens)
        assert platform.identity.granted == 1


@pytest.mark.parametrize("extra", [{}, {"expires_in": None}, {"expires_in": -5}, {"expires_in": "soon"}])
async def test_an_absent_or_absurd_expires_in_counts_as_five_minutes(extra: dict[str, Any]) -> None:
    async with platform_with() as platform, source(platform) as tokens:
        platform.mischief.force(Forced(on="token", status=200, body={"access_token": "t", **extra}))
        assert (await bearer(tokens)).life_ms == 300_000


async def test_any_number_of_callers_told_401_together_make_one_renewal() -> None:
    async with platform_with(latency_ms=200) as platform, source(platform) as tokens:
        old = await bearer(tokens)
        renewed = await asyncio.gather(*(tokens.renewed(old, deadline_ms=now_ms() + 2000) for _ in range(30)))
        assert renewed == [True] * 30
        assert platform.identity.granted == 2


async def test_a_late_401_of_an_old_token_renews_nothing() -> None:
    async with platform_with() as platform, source(platform) as tokens:
        old = await bearer(tokens)
        await tokens.renewed(old, deadline_ms=now_ms() + 2000)
        assert await tokens.renewed(old, deadline_ms=now_ms() + 2000)
        assert platform.identity.granted == 2


@pytest.mark.parametrize("status", [400, 401])
async def test_wrong_credentials_are_tried_at_most_once_in_thirty_seconds(status: int) -> None:
    async with platform_with() as platform, source(platform) as tokens:
        platform.mischief.force(*[Forced(on="token", status=status, body={"error": "invalid_client"})] * 10)
        for _ in range(70):
            await problem(tokens)
            await asyncio.sleep(1)
        assert tokens.logins == 3  # at 0, 30 and 60 s
        assert "check client id and secret" in (await problem(tokens)).reason


async def test_a_gateway_that_was_refused_recovers_without_being_asked() -> None:
    async with platform_with() as platform, source(platform) as tokens:
        platform.mischief.force(Forced(on="token", status=401))
        await problem(tokens)
        await asyncio.sleep(31)
        assert tokens.problem is None
        await bearer(tokens)


async def test_a_403_names_the_scope_to_grant_and_quotes_the_platform() -> None:
    async with platform_with() as platform, source(platform) as tokens:
        body = {"message": "missing messaging:guest:write", "code": "missing.any.permissions"}
        platform.mischief.force(Forced(on="token", status=403, body=body))
        found = await problem(tokens)
        assert found.message == "missing messaging:guest:write"
        assert "grant the scope messaging:guest:write" in found.reason


@pytest.mark.parametrize("status", [400, 403])
async def test_where_no_scope_is_asked_for_none_is_to_be_granted(status: int) -> None:
    async with platform_with() as platform, source(platform, form="raw_basic", scope="") as tokens:
        platform.mischief.force(Forced(on="token", status=status, body={"error": "invalid_scope"}))
        assert (await problem(tokens)).advice == "give the OAuth client a role, or set scope"


async def test_what_is_wrong_with_the_host_is_said_of_the_setting_that_names_it() -> None:
    async with platform_with() as platform, source(platform, key="region") as tokens:
        platform.mischief.force(Forced(on="token", status=404))
        assert "check region:" in (await problem(tokens)).advice


async def test_a_scope_the_client_has_not_is_told_as_such() -> None:
    async with platform_with() as platform, source(platform, scope="messaging:all") as tokens:
        assert "grant the scope messaging:all" in (await problem(tokens)).reason


async def test_a_login_error_in_the_platforms_own_shape_is_quoted() -> None:
    async with platform_with() as platform, source(platform, secret="wrong") as tokens:
        found = await problem(tokens)
        assert (found.status, found.message) == (401, "client not found")


async def test_a_redirecting_token_endpoint_gets_no_credentials_forwarded() -> None:
    async with platform_with() as elsewhere, platform_with() as platform, source(platform) as tokens:
        location = {"location": f"{elsewhere.base_url}/oauth/token"}
        platform.mischief.force(Forced(on="token", status=307, headers=location))
        found = await problem(tokens)
        assert found.status == 307
        assert "redirects are not followed" in found.advice
        assert (elsewhere.identity.granted, elsewhere.identity.refused) == (0, 0)


@pytest.mark.parametrize(
    "body", [{}, {"access_token": ""}, {"access_token": 7}, {"access_token": "a\r\nX-Evil: 1"}, "not json"]
)
async def test_a_token_that_cannot_be_a_header_is_no_token(body: dict[str, Any] | str) -> None:
    async with platform_with() as platform, source(platform) as tokens:
        platform.mischief.force(Forced(on="token", status=200, body=body))
        assert "access_token" in (await problem(tokens)).advice


async def test_a_hung_login_holds_a_caller_only_until_its_own_deadline() -> None:
    async with platform_with() as platform, source(platform) as tokens:
        platform.mischief.force(Forced(on="token", delay_ms=60_000))
        began = now_ms()
        await problem(tokens, within_ms=300)
        assert now_ms() - began == pytest.approx(300, abs=5)


async def test_a_login_that_got_no_answer_is_tried_again_soon() -> None:
    async with platform_with() as platform, source(platform) as tokens:
        platform.mischief.force(Forced(on="token", reset=True))
        assert "no answer" in (await problem(tokens)).reason
        await asyncio.sleep(1.1)
        await bearer(tokens)


async def test_a_fault_of_our_own_in_a_login_is_not_the_last_login() -> None:
    """It stayed under way for ever: when the token in hand had ended there was none until the next start."""
    faults = [RuntimeError("can't start new thread")]

    async def fetch() -> Granted | LoginProblem:
        if faults:
            raise faults.pop()
        return Granted("token", 300_000)

    tokens = TokenSource("guest", fetch)
    tokens.start()
    await asyncio.sleep(0.1)
    assert tokens.problem is not None
    assert "RuntimeError" in tokens.problem.reason
    await asyncio.sleep(1)
    assert (await bearer(tokens, within_ms=0)).secret == "token"
    assert tokens.problem is None
    await tokens.close()


async def test_a_login_told_to_wait_waits() -> None:
    async with platform_with() as platform, source(platform) as tokens:
        platform.mischief.force(Forced(on="token", status=429, headers={"retry-after": "45"}))
        await problem(tokens)
        await asyncio.sleep(44)
        assert tokens.logins == 1
        await asyncio.sleep(2)
        await bearer(tokens)


async def test_no_secret_and_no_token_ever_reaches_a_log_or_a_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with platform_with() as platform, source(platform) as tokens:
        platform.mischief.force(Forced(on="token", status=401, body={"message": f"no client with {SECRET}"}))
        seen = repr(await problem(tokens)) + repr(tokens)
        await asyncio.sleep(31)
        token = await bearer(tokens)
        await tokens.renewed(token, deadline_ms=now_ms() + 2000)
        seen += (
            repr(token) + repr(tokens) + caplog.text + repr([record.__dict__ for record in caplog.records])
        )
        assert token.secret not in seen
        assert SECRET not in seen


async def test_a_form_that_is_rejected_and_echoed_is_cut_after_the_secret_is_struck_out() -> None:
    """Escaped because the echo was tried whole: what the cut left of a secret was no longer recognised."""
    async with platform_with() as platform, source(platform) as tokens:
        echo = "x" * (MOST_MESSAGE_CHARS - 8) + SECRET
        platform.mischief.force(Forced(on="token", status=401, body={"error_description": echo}))
        assert SECRET[:8] not in (await problem(tokens)).reason


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["message", "error_description", "description", "error"])
async def test_the_secret_is_struck_out_in_every_form_it_is_sent_in(name: str, form: CredentialsForm) -> None:
    """Escaped because the tests' secret had no character that any of the forms changes."""
    awkward = "a+b/c=d?e"
    encoded = quote_plus(awkward)
    basic, raw = (b64encode(f"sandbox-client:{each}".encode()).decode() for each in (encoded, awkward))
    async with platform_with() as platform, source(platform, secret=awkward, form=form) as tokens:
        said = f"no {awkward}, {encoded}, {encoded.lower()}, Basic {basic}, Basic {raw}."
        platform.mischief.force(Forced(on="token", status=401, body={name: said}))
        assert (await problem(tokens)).message == "no …, …, …, Basic …, Basic …."


async def test_an_empty_secret_leaves_the_platforms_message_as_it_is() -> None:
    """Escaped because no test had an empty secret, which stands between any two letters."""
    async with platform_with() as platform, source(platform, secret="") as tokens:
        platform.mischief.force(Forced(on="token", status=401, body={"message": "bad client"}))
        assert (await problem(tokens)).message == "bad client"


async def test_log_ins_outside_the_timer_leave_one_log_in_per_period() -> None:
    """Escaped because renewals were counted after one 401 at most: each left its predecessor's timer running."""
    async with platform_with(token_life_s=300) as platform, source(platform) as tokens:
        for _ in range(6):
            token = await bearer(tokens)
            tokens.accepted(token)
            assert await tokens.renewed(token, deadline_ms=now_ms() + 2000)
            await asyncio.sleep(1)
        before = platform.identity.granted
        await asyncio.sleep(4 * 240)
        assert platform.identity.granted - before == 4  # a life of 300 s, renewed 60 s early


async def test_closing_in_mid_login_leaves_no_task_and_no_timer() -> None:
    async with platform_with() as platform, source(platform) as tokens:
        platform.mischief.force(Forced(on="token", delay_ms=60_000))
        tokens.start()
        await asyncio.sleep(0.1)
        await tokens.close()
        assert not [task for task in asyncio.all_tasks() if "log-in" in task.get_name()]
        await asyncio.sleep(300)
        assert tokens.logins == 1
