"""The commands as a process of their own, against a relay's real operations port."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay import wire
from tests.operate.house import OTHER, SESSION, House, house_at
from tests.outbox.planted import plant
from tests.whole.process import Ran, run


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    await plant(tmp_path, SESSION, OTHER)
    async with house_at(tmp_path) as house:
        await house.receiver.until(2)  # of the sessions the earlier life left open
        await house.quiet()
        yield house


async def ask(house: House, *words: str) -> Ran:
    ran = await run(Path.cwd(), {"RELAY_OPERATIONS_URL": house.url}, *words)
    assert "Traceback" not in ran.err
    return ran


async def test_a_dead_letter_is_listed_shown_and_replayed_by_filter(house: House) -> None:
    listed = await ask(house, "dlq", "list", "--json")
    letters = wire.loads(listed.out)["deliveries"]
    shown = await ask(house, "dlq", "show", str(letters[0]["id"]))
    assert (shown.code, '"type": "session.typing"' in shown.out) == (0, True)
    assert "given up" in shown.out
    dry = await ask(house, "dlq", "replay", "--endpoint", "tracker", "--dry-run", "--json")
    assert wire.loads(dry.out) == {"replayed": 0, "found": 2, "more": False}
    ran = await ask(house, "dlq", "replay", "--endpoint", "tracker", "--type", "session.*", "--yes")
    assert (ran.code, ran.err) == (0, "2 on their way again\n")
    got = await house.receiver.until(4)
    assert {one.event_id for one in got[2:]} == {letter["eventId"] for letter in letters}


async def test_an_id_that_has_not_ended_keeps_back_no_other_and_each_is_told(house: House) -> None:
    """The first that was not there ended it with nothing said of those that were on their way again."""
    letters = wire.loads((await ask(house, "dlq", "list", "--json")).out)["deliveries"]
    one, other = (str(letter["id"]) for letter in letters)
    ran = await ask(house, "dlq", "replay", one, "999999", one, "888888", other)
    assert ran.code == 1
    done, missing = ran.err.splitlines()
    assert done == "2 on their way again"
    assert missing.startswith("999999, 888888: no delivery with this id has ended")
    await house.receiver.until(4)
    await house.quiet()
    assert len(house.receiver.got) == 4, "an id that is said twice is sent once"
    again = await ask(house, "dlq", "replay", one, "999999", "--json")
    told = wire.loads(again.out)
    assert (again.code, told["replayed"], [refused["id"] for refused in told["refused"]]) == (1, 1, [999999])
    await house.quiet()
    all_there = await ask(house, "dlq", "replay", one, other)
    assert (all_there.code, all_there.err) == (0, "2 on their way again\n")


async def test_what_was_done_is_told_though_the_relay_is_lost_half_way(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.match_info["id"] != "1":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"replayed": 1}, status=202)

    relay = web.Application()
    relay.router.add_post("/v1/deliveries/{id}/replay", answer)
    async with TestServer(relay) as server:
        ran = await run(
            tmp_path, {}, "dlq", "replay", "1", "2", "3", "--operations", f"http://127.0.0.1:{server.port}"
        )
    assert ran.code == 2
    assert "no answer at http://127.0.0.1:" in ran.err
    assert "1 on their way again\n2, 3: no answer" in ran.err


async def test_a_filter_all_of_whose_finds_are_left_out_is_a_no(house: House) -> None:
    """It ended with 0: a program took it for done."""
    house.receiver.answers = [410]
    house.type(SESSION)
    await house.ended("cancelled")
    for state in ("exhausted", "cancelled"):
        ran = await ask(house, "dlq", "replay", "--state", state, "--endpoint", "tracker", "--yes")
        assert ran.code == 1
        assert "0 found" not in ran.err
        assert "left out: their endpoints are disabled" in ran.err
    dry = await ask(house, "dlq", "replay", "--endpoint", "tracker", "--dry-run")
    assert dry.code == 0
    none = await ask(house, "dlq", "replay", "--endpoint", "tracker", "--state", "superseded", "--yes")
    assert (none.code, none.err) == (0, "none on their way again; 0 found\n")


async def test_nothing_is_done_to_many_without_a_yes(house: House) -> None:
    for words in (
        ("replay", "--type", "*"),
        ("purge", "--type", "*"),
        ("purge", "--session", SESSION),
    ):
        ran = await ask(house, "dlq", *words)
        assert (ran.code, "--yes" in ran.err) == (2, True), words
    assert len(wire.loads((await ask(house, "dlq", "list", "--json")).out)["deliveries"]) == 2


async def test_a_session_is_purged_and_the_other_is_not(house: House) -> None:
    ran = await ask(house, "dlq", "purge", "--session", SESSION, "--yes", "--json")
    assert ran.code == 0, ran
    assert wire.loads(ran.out)["deliveries"] == 3
    lines = (await ask(house, "audit", "--all")).out.splitlines()
    assert [wire.loads(line)["sessionId"] for line in lines] == [OTHER]


async def test_attempts_and_reasons_are_told_in_lines(house: House) -> None:
    attempts = await ask(house, "dlq", "attempts", "tracker")
    assert attempts.out.count("\tanswer\n") == 4
    (letter, _) = wire.loads((await ask(house, "dlq", "list", "--json")).out)["deliveries"]
    told = await ask(house, "why", letter["eventId"], "--endpoint", "tracker")
    assert (told.code, told.out.startswith("tracker\tgiven up")) == (0, True)
    nobody = await ask(house, "why", letter["eventId"], "--endpoint", "nobody")
    assert (nobody.code, nobody.out.startswith("nobody\t")) == (1, True)
    unknown = await ask(house, "why", "msg_019a0000-0000-7000-8000-000000000000")
    assert (unknown.code, "no such event" in unknown.out or "retention" in unknown.out) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (("dlq", "replay"), 2, "at least one of --endpoint, --type, --since, --until"),
        (("dlq", "list", "--state", "foo"), 2, "exhausted"),
        (("dlq", "show", "9" * 23), 2, "is not in the range"),
        (("dlq", "purge", "--state", "expired"), 2, "at least one of --endpoint"),
        (("dlq", "replay", "5", "--type", "*"), 2, "not both"),
        (("dlq", "replay", "--state", "pending", "--type", "*"), 2, "pending"),
        (("dlq", "purge", "--session", SESSION, "--type", "*"), 2, "no filter"),
        (("dlq", "purge", "--since", "noon", "--dry-run"), 2, "since"),
        (("dlq", "replay", "--endpoint", "nobody", "--dry-run"), 1, "configured: tracker"),
        (("dlq", "show", "999999"), 1, "no delivery"),
        (("dlq", "show", "first"), 2, "first"),
        (("dlq", "attempts", "nobody"), 1, "configured: tracker"),
        (("audit", "--since", "noon"), 2, "since"),
        (("audit", "--operations", "nowhere"), 2, "http://HOST:PORT"),
        (("audit", "--operations", "http://127.0.0.1:1"), 2, "no answer"),
    ],
)
async def test_what_cannot_be_done_is_said_in_words_and_in_the_exit_code(
    house: House, words: tuple[str, ...], code: int, word: str
) -> None:
    ran = await ask(house, *words)
    assert (ran.code, word in ran.err) == (code, True), ran
