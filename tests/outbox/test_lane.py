"""What a lane makes of faults: none may stop it for good, none may be repeated without a pause or an end."""

import asyncio
from pathlib import Path

import apsw
import pytest
from aiohttp import web

from relay.core.delivery import State
from relay.core.endpoint import Circuit, Standing
from relay.errors import Unavailable
from relay.outbox.sqlite import file
from relay.outbox.sqlite.store import SqliteStore
from relay.outbox.store import Claimed, Listener, Want
from tests.outbox.receiver import Receiver
from tests.outbox.test_outbox import append_all, endpoint, running, typing

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_a_name_that_cannot_be_looked_up_costs_an_attempt_as_any_other(
    tmp_path: Path, host: str
) -> None:
    """A label too long or empty is no OSError to Python's look-up: it was tried for ever, once in each lease."""
    async with running(tmp_path, tracker=endpoint(f"https://{host}/hook")) as outbox:
        await outbox.append(typing())
        await asyncio.sleep(1)
        (row,) = await outbox.deliveries()
        assert (row.state, row.attempts, row.last_failure) == (State.PENDING, 1, "dns")


async def test_a_410_that_could_not_be_recorded_disables_nothing_until_it_is_said_again(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane stopped and the file knew nothing of it: shown as active, sent nothing until the next start."""
    monkeypatch.setattr(file, "BUSY_MS", 1)
    other = apsw.Connection(str(tmp_path / "outbox.db"))

    async def gone_while_the_file_is_locked(_request: web.Request) -> web.StreamResponse:
        other.execute("BEGIN IMMEDIATE")
        return web.Response(status=410)

    receiver.answers = [gone_while_the_file_is_locked]
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing())
        await receiver.until(1)
        await asyncio.sleep(2)
        other.close()
        assert outbox.endpoints.standings == {"tracker": Standing.ACTIVE}
        await asyncio.sleep(60)
        (row,) = await outbox.deliveries()
        assert (row.state, row.attempts) == (State.DELIVERED, 1)


async def test_a_fault_that_stays_is_met_once_a_second_whoever_wakes_the_lane(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_store: SqliteStore, _want: Want) -> Claimed:
        await asyncio.sleep(0.02)
        raise RuntimeError

    monkeypatch.setattr(SqliteStore, "claim", broken)
    failed: list[str] = []
    told = Listener(on_lane_failure=failed.append)
    async with running(tmp_path, told, tracker=endpoint(receiver.url)) as outbox:
        for n in range(1000):
            await outbox.append(typing(f"s{n}"))
            await asyncio.sleep(0.01)
        assert 8 <= len(failed) <= 11


async def test_a_file_that_was_locked_for_long_has_cost_no_place(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, claim = 0, SqliteStore.claim

    async def locked(store: SqliteStore, want: Want) -> Claimed:
        nonlocal refused
        if asyncio.get_running_loop().time() < ends:
            refused += 1
            raise Unavailable("the file is locked", retry_after_s=1)
        return await claim(store, want)

    ends = asyncio.get_running_loop().time() + 300
    monkeypatch.setattr(SqliteStore, "claim", locked)
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing())
        await asyncio.sleep(302)
        assert refused > 200
        (row,) = await outbox.deliveries()
        assert row.state is State.DELIVERED


async def test_a_slow_tracker_of_what_is_gets_what_it_can_take(tmp_path: Path, receiver: Receiver) -> None:
    """At four a second of ten. Those that came first were sent in their last moments, and cut off: none arrived."""

    async def slow(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(2)
        return web.Response()

    receiver.answers = [slow] * 100_000
    async with running(tmp_path, tracker=endpoint(receiver.url, **{"class": "ephemeral"})) as outbox:
        for n in range(1200):
            await outbox.append(typing(f"s{n}"))
            await asyncio.sleep(0.1)
        assert outbox.endpoints.circuits == {"tracker": Circuit.CLOSED}
        assert (await outbox.depth()).by_state[State.DELIVERED] > 300


async def test_what_its_own_life_cuts_off_is_not_held_against_the_endpoint(
    tmp_path: Path, receiver: Receiver
) -> None:
    async def slow(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(9)
        return web.Response()

    receiver.answers = [slow] * 1000
    brief = endpoint(receiver.url, **{"class": "ephemeral"}, max_age_s=8)
    async with running(tmp_path, tracker=brief) as outbox:
        for n in range(50):
            await outbox.append(typing(f"s{n}"))
            await asyncio.sleep(1)
        assert outbox.endpoints.circuits == {"tracker": Circuit.CLOSED}


async def test_a_rate_is_used_to_the_full_by_a_tracker_whose_answers_are_slow(
    tmp_path: Path, receiver: Receiver
) -> None:
    """What the rate had left waiting was looked at again when an answer came, and no sooner: a quarter of it was used."""

    async def slow(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(10)
        return web.Response()

    receiver.answers = [slow] * 1000
    async with running(tmp_path, tracker=endpoint(receiver.url, rate_per_s=0.5)) as outbox:
        await append_all(outbox, *(typing(f"s{n}") for n in range(100)))
        await asyncio.sleep(100)
        assert 50 <= len(receiver.got) <= 51
