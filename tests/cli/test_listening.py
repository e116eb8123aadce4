"""`listen` as somebody at a terminal runs it: a process of its own, told of a relay by its secret."""

import stat
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from relay import wire
from tests.client.sender import send, transition
from tests.outbox.receiver import NEW_SECRET, SECRET
from tests.whole.conftest import town as town  # noqa: PLC0414 - the fixture, by its own name
from tests.whole.process import run, until
from tests.whole.program import Program, program
from tests.whole.town import Town, session_id


def listening(home: Path, *options: str) -> AbstractAsyncContextManager[Program]:
    return program(home, {}, "-m", "relay", "listen", "--port", "0", *options)


def words(lines: Sequence[str]) -> list[list[str]]:
    return [line.split() for line in lines]


async def test_what_is_signed_is_answered_204_and_what_is_not_401_and_each_is_a_line(tmp_path: Path) -> None:
    async with listening(tmp_path, "--secret", SECRET) as listen:
        url = await listen.says("ready url=")
        statuses = [
            await send(url, SECRET, "msg_1", transition(1)),
            await send(url, SECRET, "msg_1", transition(1)),
            await send(url, NEW_SECRET, "msg_2", transition(2)),
        ]
        assert await listen.interrupt() == 0
    assert statuses == [204, 204, 401]
    first, second, third = words(listen.out)
    assert first[1:] == ["✓", "session.typing", "s1", "#1"]
    assert second[1:] == ["✓", "session.typing", "s1", "#1", "seen", "before"]
    assert third[:2] == ["✗", "no_match:"]
    assert listen.err[1:] == ["stopped"]


async def test_secrets_may_stand_in_the_environment(tmp_path: Path) -> None:
    environ = {"WEBHOOK_SECRET": f"{NEW_SECRET} {SECRET}"}
    async with program(tmp_path, environ, "-m", "relay", "listen", "--port", "0") as listen:
        url = await listen.says("ready url=")
        assert {await send(url, held, "msg_1", transition(1)) for held in (NEW_SECRET, SECRET)} == {204}


async def test_json_is_one_value_a_line(tmp_path: Path) -> None:
    async with listening(tmp_path, "--secret", NEW_SECRET, "--secret", SECRET, "--json") as listen:
        url = await listen.says("ready url=")
        await send(url, SECRET, "msg_1", transition(7))
        await until(lambda: listen.out, within_s=5)
    (told,) = map(wire.loads, listen.out)
    assert (told["verified"], told["duplicate"], told["id"], told["sequence"]) == (True, False, "msg_1", 7)
    assert told["data"] == transition(7)["data"]


@pytest.mark.parametrize("form", ["standard", pytest.param("cloudevents", marks=pytest.mark.long)])
async def test_beside_a_relay_it_finds_the_secret_the_relay_made(town: Town, form: str) -> None:
    """As somebody who tries it out: the first start makes the secret, it is listened with, and signed with."""
    del town.environ["WEBHOOK_SECRET"]
    async with town.relay():
        pass
    for made in (
        "",
        "-wal",
        "-shm",
    ):  # a new outbox: its first indicator need not wait for an older life's last
        (town.home / f"typing-relay.db{made}").unlink(missing_ok=True)
    assert stat.S_IMODE((town.home / "typing-relay.db.secret").stat().st_mode) == 0o600
    async with listening(town.home) as listen:
        town.environ["WEBHOOK_URL"] = await listen.says("ready url=")
        async with town.relay(RELAY_ENDPOINTS__TRACKER__FORMAT=form) as relay:
            await town.type(relay)
            await until(lambda: len(listen.out) >= 2, within_s=10)
            await relay.stop()
    assert {line[1] for line in words(listen.out)} == {"✓"}
    kinds = [line[2:] for line in words(listen.out)]
    assert ["session.typing", session_id(), "#1"] in kinds
    assert ["typing_indicator.broadcast", session_id()] in kinds


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "typing-relay.db.secret is not there"),
        (("--secret-file", "elsewhere"), "elsewhere is not there"),
        (("--secret", "whsec_canary"), "not base64"),
        (("--secret", "canary"), "begins with whsec_ or whpk_"),
    ],
)
async def test_without_a_usable_secret_it_says_so(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    ran = await run(tmp_path, {}, "listen", *options)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "canary" not in ran.err
    assert "Traceback" not in ran.err


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async with listening(tmp_path, "--secret", SECRET) as first:
        port = (await first.says("ready url=")).split(":")[2].split("/")[0]
        ran = await run(tmp_path, {}, "listen", "--secret", SECRET, "--port", port)
    assert ran.code == 2
    assert f"port {port}" in ran.err
    assert "Traceback" not in ran.err


async def test_it_is_not_told_secrets_by_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    async with listening(tmp_path, "--secret-file", "secret") as listen:
        assert await send(await listen.says("ready url="), SECRET, "msg_1", transition(1)) == 204
    assert SECRET.removeprefix("whsec_") not in "\n".join([*listen.out, *listen.err])
