"""What every gateway promises, whichever platform is behind it: inherit, and say how to reach yours."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import pytest

from relay.core.indicator import Address, Cause, Indicator, Wish
from relay.core.moments import Ms
from relay.core.outcome import CoolOff, Expired, Failure, Refused, Shown, Unauthorised, Unreachable
from relay.gateway.port import Gateway, HealthState, Hold, Liveness

START = Wish(Indicator.TYPING, 3000, Cause.START)
PAUSE = Wish(Indicator.PAUSED, 3000, Cause.PAUSE)
STOP = Wish(Indicator.STOPPED, 3000, Cause.STOP)

Call = Literal["typing", "session", "token"]


class Stage(ABC):
    """One started gateway and the means to make its platform answer."""

    gateway: Gateway
    address: Address
    gone_address: Address
    bad_addresses: tuple[Address, ...]

    @abstractmethod
    def answer_next(
        self,
        on: Call,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        delay_ms: Ms = 0,
        is_reset: bool = False,
    ) -> None:
        """Script the platform's next answer to a call of this kind."""

    @abstractmethod
    def revoke_tokens(self) -> None: ...

    @abstractmethod
    def calls(self, on: Call) -> int:
        """How many calls of this kind reached the platform."""


@dataclass
class Clock:
    began: Ms

    @property
    def spent_ms(self) -> Ms:
        return asyncio.get_running_loop().time() * 1000 - self.began


def clock() -> Clock:
    return Clock(asyncio.get_running_loop().time() * 1000)


def within(ms: Ms) -> Ms:
    return asyncio.get_running_loop().time() * 1000 + ms


@pytest.mark.looptime
class GatewayConformance(ABC):
    @abstractmethod
    def stage(self) -> AbstractAsyncContextManager[Stage]: ...

    @asynccontextmanager
    async def warm(self) -> AsyncIterator[Stage]:
        """A stage whose gateway holds a token already."""
        async with self.stage() as it:
            assert isinstance(await it.gateway.show(it.address, START, deadline_ms=within(5000)), Shown)
            yield it

    async def test_a_live_session_is_shown_an_indicator_in_one_call(self) -> None:
        async with self.warm() as it:
            assert it.calls("typing") == 1

    async def test_a_stop_is_one_call_where_the_platform_can_stop(self) -> None:
        async with self.warm() as it:
            if it.gateway.capabilities.can_stop:
                assert isinstance(await it.gateway.show(it.address, STOP, deadline_ms=within(2000)), Shown)
                assert it.calls("typing") == 2

    async def test_what_the_platform_cannot_be_told_is_refused_without_a_call(self) -> None:
        async with self.warm() as it:
            can = it.gateway.capabilities
            for wish, is_known in ((PAUSE, can.shows_paused), (STOP, can.can_stop)):
                if not is_known:
                    outcome = await it.gateway.show(it.address, wish, deadline_ms=within(2000))
                    assert isinstance(outcome, Refused)
                    assert it.calls("typing") == 1

    async def test_a_usable_address_has_no_problem_and_a_bad_one_says_which_without_its_values(self) -> None:
        async with self.stage() as it:
            assert it.gateway.validate(it.address) is None
            for bad in it.bad_addresses:
                problem = it.gateway.validate(bad)
                assert problem
                assert all(len(each) < 3 or each not in problem for each in bad if each)

    async def test_a_bad_address_never_reaches_the_platform(self) -> None:
        async with self.stage() as it:
            for bad in it.bad_addresses:
                assert isinstance(await it.gateway.show(bad, START, deadline_ms=within(2000)), Refused)
                assert await it.gateway.probe(bad, deadline_ms=within(2000)) is not Liveness.LIVE
            assert it.calls("typing") == it.calls("session") == 0

    async def test_an_expected_answer_is_a_value_and_never_repeated(self) -> None:
        wanted: dict[int, type] = {
            200: Shown,
            202: Shown,
            204: Shown,
            307: Refused,
            400: Refused,
            403: Refused,
            404: Refused,
            409: Refused,
            410: Refused,
            413: Refused,
            429: CoolOff,
            500: Unreachable,
            502: Unreachable,
            504: Unreachable,
        }  # fmt: skip - a table
        for status, kind in wanted.items():
            async with self.warm() as it:
                it.answer_next("typing", status=status)
                outcome = await it.gateway.show(it.address, START, deadline_ms=within(2000))
                assert isinstance(outcome, kind), status
                assert it.calls("typing") == 2

    @pytest.mark.parametrize("status", [429, 503])
    async def test_a_wait_the_platform_asks_for_is_told_in_milliseconds(self, status: int) -> None:
        async with self.warm() as it:
            it.answer_next("typing", status=status, headers={"retry-after": "1.5"})
            outcome = await it.gateway.show(it.address, START, deadline_ms=within(2000))
            assert isinstance(outcome, CoolOff)
            assert outcome.wait_ms == 1500

    async def test_a_platform_that_hangs_costs_the_deadline_and_leaves_the_outcome_unknown(self) -> None:
        async with self.warm() as it:
            it.answer_next("typing", delay_ms=60_000)
            watch = clock()
            outcome = await it.gateway.show(it.address, START, deadline_ms=within(2000))
            assert outcome == Unreachable(Failure.TIMEOUT, is_unknown=True)
            assert watch.spent_ms == pytest.approx(2000, abs=50)

    async def test_a_reset_leaves_the_outcome_unknown_and_is_not_sent_again(self) -> None:
        async with self.warm() as it:
            it.answer_next("typing", is_reset=True)
            outcome = await it.gateway.show(it.address, START, deadline_ms=within(2000))
            assert outcome == Unreachable(Failure.RESET, is_unknown=True)
            assert it.calls("typing") == 2

    async def test_a_revoked_token_is_renewed_once_for_any_number_of_calls(self) -> None:
        async with self.warm() as it:
            it.revoke_tokens()
            before = it.calls("token")
            calls = (it.gateway.show(it.address, START, deadline_ms=within(2000)) for _ in range(8))
            assert await asyncio.gather(*calls) == [Expired()] * 8
            assert it.calls("token") == before + 1
            assert isinstance(await it.gateway.show(it.address, START, deadline_ms=within(2000)), Shown)

    async def test_a_second_401_in_a_row_is_unauthorised(self) -> None:
        async with self.warm() as it:
            it.answer_next("typing", status=401)
            it.answer_next("typing", status=401)
            assert await it.gateway.show(it.address, START, deadline_ms=within(2000)) == Expired()
            outcome = await it.gateway.show(it.address, START, deadline_ms=within(2000))
            assert isinstance(outcome, Unauthorised)
            assert outcome.advice

    async def test_a_refused_log_in_degrades_and_says_what_to_do(self) -> None:
        async with self.stage() as it:
            it.answer_next("token", status=401)
            outcome = await it.gateway.show(it.address, START, deadline_ms=within(2000))
            assert isinstance(outcome, Unreachable)
            assert outcome.kind is Failure.LOGIN
            assert it.gateway.health().state is HealthState.DEGRADED
            assert "client id and secret" in it.gateway.health().reason

    async def test_liveness_is_asked_once_and_remembered(self) -> None:
        async with self.warm() as it:
            it.gateway.forget(it.address)
            before = it.calls("session")
            probes = (it.gateway.probe(it.address, deadline_ms=within(2000)) for _ in range(8))
            assert set(await asyncio.gather(*probes)) == {Liveness.LIVE}
            assert it.calls("session") == before + 1

    async def test_a_session_that_is_not_there_is_gone(self) -> None:
        async with self.warm() as it:
            assert await it.gateway.probe(it.gone_address, deadline_ms=within(2000)) is Liveness.GONE

    async def test_a_hung_probe_costs_half_a_second_at_most(self) -> None:
        async with self.warm() as it:
            it.gateway.forget(it.address)
            it.answer_next("session", delay_ms=60_000)
            watch = clock()
            assert await it.gateway.probe(it.address, deadline_ms=within(2000)) is Liveness.UNKNOWN
            assert watch.spent_ms <= 505

    async def test_a_forgotten_session_is_asked_about_again(self) -> None:
        async with self.warm() as it:
            await it.gateway.probe(it.address, deadline_ms=within(2000))
            before = it.calls("session")
            it.gateway.forget(it.address)
            await it.gateway.probe(it.address, deadline_ms=within(2000))
            assert it.calls("session") == before + 1

    async def test_a_platform_that_fails_five_times_is_left_alone_but_for_stops_and_trials(self) -> None:
        async with self.warm() as it:
            for _ in range(5):
                assert it.gateway.held_by(START) is None
                it.answer_next("typing", status=500)
                await it.gateway.show(it.address, START, deadline_ms=within(2000))
            assert it.gateway.health().state is HealthState.CIRCUIT_OPEN
            assert (it.gateway.held_by(START), it.gateway.held_by(STOP)) == (Hold.CIRCUIT_OPEN, None)
            await asyncio.sleep(10)
            assert it.gateway.held_by(START) is None
            assert isinstance(await it.gateway.show(it.address, START, deadline_ms=within(2000)), Shown)
            assert it.gateway.health().state is HealthState.OK

    async def test_a_closed_gateway_sends_nothing_and_leaves_no_task(self) -> None:
        async with self.warm() as it:
            before = asyncio.all_tasks()
            await it.gateway.close()
            outcome = await it.gateway.show(it.address, START, deadline_ms=within(2000))
            assert isinstance(outcome, Unreachable)
            assert it.calls("typing") == 1
            assert asyncio.all_tasks() <= before
