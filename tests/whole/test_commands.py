"""The other commands, as somebody at a terminal runs them."""

import asyncio
import tomllib
from pathlib import Path

import pytest

from relay import wire
from relay.outbox.holder import Hold
from relay.sandbox.chaos import Forced
from tests.whole.process import run, until
from tests.whole.test_refusing_to_start import COMPLETE
from tests.whole.town import GUEST, Town, event, once, session_id


async def test_broadcast_shows_one_indicator_and_waits_for_the_callback(town: Town) -> None:
    ran = await run(town.home, town.environ, "broadcast", session_id(), GUEST, "typing", "--json")
    assert ran.code == 0, ran
    told = wire.loads(ran.out)
    assert (told["success"], told["status"], told["pendingCallbacks"]) == (True, 200, 0)
    assert town.told() == ["typing"]
    (callback,) = once(town.events("typing_indicator.broadcast"))
    assert callback.data["auditId"] == told["auditId"]


async def test_broadcast_takes_session_and_guest_from_the_tutorials_environment(town: Town) -> None:
    environ = town.environ | {"TEST_SESSION_ID": session_id(), "TEST_GUEST_ID": GUEST}
    ran = await run(town.home, environ, "broadcast", "--duration", "1200")
    assert ran.code == 0, ran
    assert "shown in" in ran.out
    assert town.calls()[0].duration_ms == 1200


async def test_broadcast_may_run_beside_the_relay(town: Town) -> None:
    async with town.relay() as relay:
        ran = await run(town.home, town.environ, "broadcast", session_id(), GUEST)
        assert ran.code == 0, ran
        await town.type(relay, 2)


async def test_broadcasts_run_at_once_take_turns(town: Town) -> None:
    """The second was told to stop the first, or to set outbox.path to another file."""
    runs = [run(town.home, town.environ, "broadcast", session_id(number), GUEST) for number in (1, 2)]
    assert [ran.code for ran in await asyncio.gather(*runs)] == [0, 0]
    assert [town.told(number) for number in (1, 2)] == [["typing"], ["typing"]]


async def test_broadcast_waits_for_one_that_is_about_to_end(town: Town) -> None:
    hold = Hold.take(town.home / "typing-relay.broadcast.db")
    command = asyncio.create_task(run(town.home, town.environ, "broadcast", session_id(), GUEST))
    await asyncio.sleep(3)
    assert not command.done()
    hold.release()
    ran = await command
    assert (ran.code, town.told()) == (0, ["typing"]), ran


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("not-a-uuid", GUEST), 2, "UUID"),
        ((session_id(), "a/b?c"), 2, "guestId"),
        ((session_id(), GUEST, "dancing"), 2, "dancing"),
        ((session_id(), GUEST, "typing", "--duration", "99"), 2, "100..10000"),
        ((session_id(),), 2, "TEST_GUEST_ID"),
    ],
)
async def test_broadcast_says_what_it_cannot_do(
    town: Town, arguments: tuple[str, ...], code: int, word: str
) -> None:
    ran = await run(town.home, town.environ, "broadcast", *arguments)
    assert ran.code == code, ran
    assert word in ran.err
    assert "Traceback" not in ran.err
    assert not town.platform.arrivals


async def test_broadcast_says_what_the_platform_said_and_nothing_else(town: Town) -> None:
    """Its log came out as well, in bare words: only parts of what it says were looked for."""
    town.platform.mischief.force(Forced(status=403, body={"message": "no such permission"}))
    ran = await run(town.home, town.environ, "broadcast", session_id(), GUEST)
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert line.startswith("typing-relay: no such permission; grant the scope messaging:guest:write")


async def test_broadcast_says_once_why_it_has_no_token(town: Town) -> None:
    ran = await run(
        town.home, town.environ | {"GENESYS_CLIENT_SECRET": "wrong"}, "broadcast", session_id(), GUEST
    )
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert line.startswith("typing-relay: log-in was answered 401 (")
    assert "check client id and secret" in line
    assert line.count("401") == 1


async def test_a_new_key_lets_its_owner_in_and_nobody_else(town: Town) -> None:
    made = await run(town.home, {}, "keys", "new", "desk", "--json")
    key, toml = (wire.loads(made.out)[name] for name in ("key", "toml"))
    (town.home / "relay.toml").write_text(toml)
    async with town.relay(RELAY_CONFIG="relay.toml") as relay:
        good = await town.post(relay, event(), Authorization=f"Bearer {key}")
        wrong = await town.post(
            relay, event(), Authorization=f"Bearer {key[:-1]}{'A' if key[-1] != 'A' else 'B'}"
        )
        none = await town.post(relay, event())
        await until(lambda: town.events("typing_indicator"), within_s=5)  # then its audit row is on disk too
        rows = await town.audit(relay)
        assert key not in "\n".join(relay.said)
    assert [good.status, wrong.status, none.status] == [202, 401, 401]
    assert wrong.body == none.body
    assert wrong.headers["WWW-Authenticate"] == "Bearer"
    assert rows[0]["source"] == "desk"


async def test_the_written_template_is_usable_as_it_stands(tmp_path: Path) -> None:
    assert (await run(tmp_path, {}, "config", "init")).code == 0
    written = (tmp_path / "relay.toml").read_text()
    assert tomllib.loads(written) is not None
    again = await run(tmp_path, {}, "config", "init")
    assert again.code == 2
    assert (tmp_path / "relay.toml").read_text() == written
    ran = await run(tmp_path, COMPLETE, "config", "check", "--config", "relay.toml")
    assert ran.code == 0, ran


async def test_the_settings_are_shown_without_their_secrets(tmp_path: Path) -> None:
    secret = f"whsec_{'c2VjcmV0' * 5}"
    given = {"WEBHOOK_URL": "http://127.0.0.1:9/hooks?token=a-canary-token", "WEBHOOK_SECRET": secret}
    ran = await run(tmp_path, COMPLETE | given, "config", "show")
    assert ran.code == 0, ran
    shown = wire.loads(ran.out)
    assert shown["gateways"]["guest"]["client_id"] == "id"
    for canary in ("a-canary-secret", "a-canary-token", secret):
        assert canary not in ran.out + ran.err


async def test_the_schema_is_one_and_names_every_table(tmp_path: Path) -> None:
    ran = await run(tmp_path, {}, "config", "schema")
    assert ran.code == 0
    tables = {
        "server",
        "operations",
        "typing",
        "gateways",
        "sources",
        "endpoints",
        "outbox",
        "audit",
        "logging",
    }
    assert tables <= set(wire.loads(ran.out)["properties"])


async def test_settings_that_are_wrong_are_all_named_at_once(tmp_path: Path) -> None:
    wrong = {"RELAY_SERVER__PORT": "eighty", "RELAY_TYPING__STOP_MODE": "sometimes"}
    ran = await run(tmp_path, COMPLETE | wrong, "config", "check")
    assert ran.code == 2
    assert "RELAY_SERVER__PORT" in ran.err
    assert "RELAY_TYPING__STOP_MODE" in ran.err
    assert "eighty" not in ran.err


async def test_healthcheck_answers_for_containers(town: Town) -> None:
    async with town.relay() as relay:
        ready = await run(town.home, {}, "healthcheck", "--url", f"{relay.operations}/readyz")
    gone = await run(town.home, {}, "healthcheck", "--url", f"{relay.operations}/readyz")
    assert (ready.code, gone.code) == (0, 1)
    assert "no answer" in gone.err
    assert "Traceback" not in gone.err


async def test_config_check_names_reasons_of_every_kind_at_once_and_makes_nothing(town: Town) -> None:
    """It once called settings usable that `serve` refused, and made the secret file as whoever ran it."""
    unusable = {
        "GENESYS_API_BASE_URL": "https://platform.example/?q=1",
        "WEBHOOK_URL": "https://tracker.example/hooks",
        "WEBHOOK_SECRET": "whsec_short",
        "RELAY_OPERATIONS__HOST": "0.0.0.0",
    }
    ran = await run(town.home, COMPLETE | unusable, "config", "check")
    assert ran.code == 2
    assert all(name in ran.err for name in ("base_url", "secrets", "operations.host"))
    ran = await run(
        town.home, {k: v for k, v in COMPLETE.items() if k != "WEBHOOK_SECRET"}, "config", "check"
    )
    assert ran.code == 0, ran
    assert not list(town.home.glob("*.secret"))


@pytest.mark.parametrize("place", ["nowhere/relay.db", "letters.db", "folder"])
async def test_config_check_finds_the_outbox_that_serve_would_not_start_on_and_makes_nothing(
    tmp_path: Path, place: str
) -> None:
    """Only the settings were held against each other: where they lead was for `serve` to find out."""
    (tmp_path / "letters.db").write_text("Dear diary, this is not a database at all.")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    unusable = COMPLETE | {"RELAY_OUTBOX__PATH": place, "RELAY_OPERATIONS__HOST": "0.0.0.0"}
    ran = await run(tmp_path, unusable, "config", "check")
    assert ran.code == 2
    assert not ran.out
    assert {line.split(": ")[1] for line in ran.err.splitlines()} == {"operations.host", "outbox"}
    assert str(tmp_path / place) in ran.err
    assert "outbox.path" in ran.err
    assert sorted(tmp_path.rglob("*")) == before


async def test_config_check_has_nothing_against_the_outbox_of_a_running_relay(town: Town) -> None:
    async with town.relay():
        ran = await run(town.home, town.environ, "config", "check")
    assert (ran.code, ran.err) == (0, "the settings are usable\n")


async def test_every_base_url_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """The first of them hid the others."""
    urls = {f"RELAY_GATEWAYS__{name}__BASE_URL": "https://platform.example/?q=1" for name in ("GUEST", "EU")}
    eu = {"RELAY_GATEWAYS__EU__CLIENT_ID": "id", "RELAY_GATEWAYS__EU__CLIENT_SECRET": "a-canary-secret"}
    guest = {name: value for name, value in COMPLETE.items() if not name.endswith("BASE_URL")}
    ran = await run(tmp_path, guest | urls | eu, "config", "check")
    assert ran.code == 2
    for name in ("guest", "eu"):
        assert f"gateways.{name}.base_url: " in ran.err
