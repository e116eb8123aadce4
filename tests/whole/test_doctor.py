"""`typing-relay doctor`, as somebody at a terminal runs it before and while a relay runs."""

import pytest

from relay import wire
from tests.whole.process import run
from tests.whole.test_refusing_to_start import COMPLETE
from tests.whole.town import Town


def about(out: str) -> dict[str, tuple[str, str]]:
    return {each["about"]: (each["level"], each["seen"]) for each in wire.loads(out)["findings"]}


async def test_a_doctor_finds_nothing_wrong_and_leaves_nothing_behind(town: Town) -> None:
    before = sorted(town.home.iterdir())
    ran = await run(town.home, town.environ, "doctor", "--online", "--json")
    assert ran.code == 0, ran
    found = about(ran.out)
    assert {level for level, _ in found.values()} <= {"ok", "warn"}
    assert found["gateway guest, log-in"][0] == found["endpoint tracker, way"][0] == "ok"
    assert sorted(town.home.iterdir()) == before
    assert not town.events("")


async def test_a_doctor_may_come_while_the_relay_runs_and_knows_it(town: Town) -> None:
    async with town.relay() as relay:
        ports = {
            "RELAY_SERVER__PORT": relay.public.rpartition(":")[2],
            "RELAY_OPERATIONS__PORT": relay.operations.rpartition(":")[2],
        }
        ran = await run(town.home, town.environ | ports, "doctor", "--json")
    assert ran.code == 0, ran
    found = about(ran.out)
    for name, port in (
        ("server", ports["RELAY_SERVER__PORT"]),
        ("operations", ports["RELAY_OPERATIONS__PORT"]),
    ):
        assert found[f"{name} port {port}"] == ("warn", "held by a running relay")
    assert f"held by process {relay.pid}" in wire.loads(ran.out)["findings"].__str__()


async def test_what_is_wrong_is_said_with_its_fix_and_without_secrets(town: Town) -> None:
    ran = await run(town.home, COMPLETE, "doctor", "--online")
    assert ran.code == 1, ran
    assert "fail  gateway guest, platform: no answer (connect failure)" in ran.out
    assert "→ nothing accepts connections there" in ran.out
    assert "a-canary-secret" not in ran.out + ran.err
    assert "Traceback" not in ran.err
    assert not ran.err


async def test_settings_that_cannot_be_read_are_no_findings(town: Town) -> None:
    ran = await run(town.home, COMPLETE | {"RELAY_SERVER__PORT": "eighty"}, "doctor", "--json")
    assert (ran.code, ran.out) == (2, "")
    assert "RELAY_SERVER__PORT" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--deployment", "11111111-1111-4111-8111-111111111111"),
        ("--online", "--deployment", ".."),
        ("--online", "--agent", "me"),
    ],
)
async def test_what_cannot_be_asked_is_said_before_anything_is(
    town: Town, arguments: tuple[str, ...]
) -> None:
    ran = await run(town.home, town.environ, "doctor", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err
