"""What the commands about trackers print and how they end, before a real operations listener."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from relay import wire
from relay.cli.delivering import endpoints_group
from tests.operate.house import House, house_at


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(tmp_path) as house:
        yield house


async def run(house: House, *words: str) -> Result:
    """On a thread, as the command waits for its answer and the relay lives on this loop."""
    return await asyncio.to_thread(CliRunner().invoke, endpoints_group, [*words, "--operations", house.url])


async def test_a_tracker_is_paused_listed_as_such_and_resumed(house: House) -> None:
    assert (await run(house, "pause", "tracker")).stderr == "paused\n"
    assert (await run(house, "pause", "tracker")).stderr == "it was paused already\n"
    listed = (await run(house, "list")).stdout
    assert listed.startswith("tracker\tpaused\t0 waiting\tpaused by its operator since 20")
    (row,) = wire.loads((await run(house, "list", "--json")).stdout.encode())["endpoints"]
    assert (row["state"], row["circuit"], row["waiting"]) == ("paused", "closed", 0)
    nothing = "nothing waited for a later attempt\n"
    assert (await run(house, "resume", "tracker")).stderr == f"resumed; it was paused; {nothing}"
    assert (await run(house, "resume", "tracker")).stderr == f"it was neither paused nor disabled; {nothing}"


async def test_a_tracker_whose_attempts_fail_is_listed_as_such_with_the_last_and_what_succeeded(
    house: House,
) -> None:
    house.receiver.answers = [500]
    house.type()
    await house.tried(1)
    name, state, _, why = (await run(house, "list")).stdout.rstrip("\n").split("\t")
    assert (name, state) == ("tracker", "active, failing")
    assert why.startswith("1 attempt in a row failed since 20")
    assert why.endswith("the last: it answered 500; none succeeded yet")
    await run(house, "pause", "tracker")
    assert (await run(house, "list")).stdout.startswith("tracker\tpaused, failing\t")
    await run(house, "resume", "tracker")
    await house.ended("delivered")
    assert (await run(house, "list")).stdout.startswith("tracker\tactive\t")


async def test_a_tracker_that_is_active_and_was_down_is_hurried_and_told_so(house: House) -> None:
    house.receiver.answers = [500]
    house.type()
    await house.tried(1)
    told = (await run(house, "resume", "tracker")).stderr
    assert (
        "; 1 that waited for a later attempt is due now, and those behind in the same sessions follow" in told
    )
    await house.receiver.until(2)


async def test_a_test_ends_as_the_tracker_answers(house: House) -> None:
    house.receiver.answers = [500]
    failed, passed = await run(house, "test", "tracker"), await run(house, "test", "tracker")
    assert (failed.exit_code, passed.exit_code) == (1, 0)
    assert failed.stderr.startswith("failed: answered 500 in ")
    assert passed.stderr.startswith("ok: answered 200 in ")


async def test_what_a_tracker_answers_moves_no_cursor(house: House) -> None:
    async def rude(_: web.Request) -> web.Response:
        return web.Response(text="\x1b[2Jgone\r\n\x9b31m")

    house.receiver.answers = [rude]
    told = (await run(house, "test", "tracker")).stderr
    assert "[2Jgone" in told
    assert told.count("\n") == 2
    assert not set(told) & {"\x1b", "\r", "\x9b"}


async def test_a_page_that_a_tracker_answers_is_cut(house: House) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="x" * 900)

    house.receiver.answers = [page]
    assert (await run(house, "test", "tracker")).stderr.splitlines()[1] == "x" * 200 + "…"


async def test_of_a_tracker_that_redirects_it_is_said_that_nobody_follows(house: House) -> None:
    house.receiver.answers = [302, 302]
    tested = await run(house, "test", "tracker")
    assert (tested.exit_code, "answered 302 (redirects are not followed: " in tested.stderr) == (1, True)
    house.type()
    await house.tried(1)
    assert "it answered 302 (redirects are not followed: " in (await run(house, "list")).stdout


async def test_an_unknown_tracker_ends_the_command_with_the_known_ones(house: House) -> None:
    for deed in ("pause", "resume", "test"):
        ended = await run(house, deed, "nobody")
        assert ended.exit_code == 1
        assert "configured: tracker" in ended.stderr
    assert (await run(house, "test", "../x y")).exit_code == 1
