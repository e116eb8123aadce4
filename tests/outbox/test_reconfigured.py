"""Endpoints told otherwise while their deliveries go on."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.core.delivery import State
from relay.core.endpoint import Circuit, Standing
from relay.core.signature import Check, Keys
from relay.errors import SettingsError
from relay.outbox.outbox import Outbox
from relay.settings.endpoint import Endpoint
from tests.outbox.receiver import NEW_SECRET, SECRET, Got, Receiver, receiving
from tests.outbox.test_outbox import START, append_all, endpoint, loop_wall, running, typing

pytestmark = pytest.mark.looptime


def take(outbox: Outbox, **endpoints: Endpoint) -> None:
    outbox.prepared(endpoints)()


def is_signed_with(secret: str, got: Got) -> bool:
    headers: Mapping[str, str] = got.headers
    check = Keys([secret]).verify(
        headers["webhook-id"],
        headers["webhook-timestamp"],
        headers["webhook-signature"],
        got.body,
        now=loop_wall()(),
    )
    assert loop_wall()() >= START
    return check is Check.VERIFIED


async def test_a_secret_put_first_signs_the_next_attempt_and_one_that_is_gone_signs_none(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [500]
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing())
        await receiver.until(1)
        take(outbox, tracker=endpoint(receiver.url, secrets=(NEW_SECRET,)))
        await asyncio.sleep(10)
        first, again = receiver.got
    assert first.event_id == again.event_id
    assert (is_signed_with(SECRET, first), is_signed_with(NEW_SECRET, first)) == (True, False)
    assert (is_signed_with(SECRET, again), is_signed_with(NEW_SECRET, again)) == (False, True)


async def test_what_is_on_its_way_ends_as_it_began(tmp_path: Path, receiver: Receiver) -> None:
    receiver.hold = asyncio.Event()
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox, receiving() as moved:
        await outbox.append(typing("a"))
        await receiver.until(1)
        take(outbox, tracker=endpoint(moved.url))
        await outbox.append(typing("b"))
        await moved.until(1)
        receiver.hold.set()
        await asyncio.sleep(1)
        rows = await outbox.deliveries()
        assert [(row.state, row.attempts) for row in rows] == [(State.DELIVERED, 1)] * 2
        assert (len(receiver.got), len(moved.got)) == (1, 1)


async def test_a_filter_is_asked_from_the_next_fact_on(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing())
        take(outbox, tracker=endpoint(receiver.url, events=("typing_indicator.*",)))
        recorded = await outbox.append(typing())
        assert (recorded.event_id, recorded.endpoints) == (None, ())
        take(outbox, tracker=endpoint(receiver.url))
        assert (await outbox.append(typing())).endpoints == ("tracker",)
        await asyncio.sleep(1)
    assert [got.data["sequence"] for got in receiver.got] == [1, 3]


async def test_a_rate_is_kept_from_then_on_and_not_refilled(tmp_path: Path, receiver: Receiver) -> None:
    slow = endpoint(receiver.url, rate_per_s=1)
    async with running(tmp_path, tracker=slow) as outbox:
        await append_all(outbox, *(typing(f"s{n}") for n in range(20)))
        await asyncio.sleep(0.5)
        before = len(receiver.got)
        for timeout_s in (11, 12, 13):
            take(outbox, tracker=endpoint(receiver.url, rate_per_s=1, timeout_s=timeout_s))
        await asyncio.sleep(0.25)
        assert len(receiver.got) == before
        take(outbox, tracker=endpoint(receiver.url))
        await asyncio.sleep(1)
        assert len(receiver.got) == 20


async def test_an_endpoint_that_cannot_be_used_changes_nothing(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        broken = endpoint(receiver.url, ca_file=tmp_path / "missing.pem", events=("session.paused",))
        with pytest.raises(SettingsError, match=r"endpoints\.tracker\.ca_file"):
            take(outbox, tracker=broken)
        assert (await outbox.append(typing())).endpoints == ("tracker",)
        await receiver.until(1)


async def test_how_much_failing_is_borne_may_be_told_otherwise_and_said_in_its_own_figures(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [500] * 3
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        take(outbox, tracker=endpoint(receiver.url, breaker_attempts=3, breaker_open_s=2))
        await append_all(outbox, *(typing(f"s{n}") for n in range(3)))
        await receiver.until(3)
        await asyncio.sleep(1)
        assert outbox.endpoints.circuits == {"tracker": Circuit.OPEN}
        await asyncio.sleep(10)
        assert outbox.endpoints.circuits == {"tracker": Circuit.CLOSED}
    (degraded,) = [vars(one)["fields"] for one in caplog.records if one.getMessage() == "endpoint.degraded"]
    assert "3 of 3 attempts within 5 min failed" in degraded["why"]
    assert "the next in 2 s" in degraded["remedy"]


async def test_one_may_be_given_up_within_hours(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [500] * 4
    impatient = endpoint(receiver.url, schedule_s=(0, 1), disable_after_s=3600, disable_apart_s=60)
    async with running(tmp_path, tracker=impatient) as outbox:
        await outbox.append(typing("a"))
        await asyncio.sleep(3700)
        assert outbox.endpoints.standings == {"tracker": Standing.ACTIVE}
        await outbox.append(typing("b"))
        await asyncio.sleep(10)
        assert outbox.endpoints.standings == {"tracker": Standing.DISABLED}
