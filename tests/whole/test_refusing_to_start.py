"""What keeps a relay from starting is said in words an operator can act on, and nothing is left behind."""

import os
import socket
from pathlib import Path

import pytest

from relay.outbox.sqlite.file import open_for_writing
from tests.outbox.receiver import SECRET
from tests.whole.process import Ran, run
from tests.whole.town import Town

FREE = {"RELAY_SERVER__PORT": "0", "RELAY_OPERATIONS__PORT": "0"}
COMPLETE = FREE | {
    "GENESYS_CLIENT_ID": "id",
    "GENESYS_CLIENT_SECRET": "a-canary-secret",
    "GENESYS_API_BASE_URL": "http://127.0.0.1:1",
}


def assert_refused(ran: Ran, *words: str) -> None:
    assert ran.code == 2, ran
    assert not ran.out
    assert "Traceback" not in ran.err
    assert "a-canary-secret" not in ran.err
    for word in words:
        assert word in ran.err


async def test_a_second_relay_on_the_same_outbox_is_told_who_holds_it(town: Town) -> None:
    async with town.relay() as relay:
        ran = await run(town.home, town.environ | FREE, "serve")
        assert_refused(ran, f"held by process {relay.pid}", "outbox.path")
        await town.type(relay)  # and the first one never noticed


@pytest.mark.parametrize("listener", ["SERVER", "OPERATIONS"])
async def test_a_port_that_is_taken_is_named(tmp_path: Path, listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = await run(tmp_path, COMPLETE | {f"RELAY_{listener}__PORT": str(port)}, "serve")
    assert_refused(ran, f"port {port}", "choose another port")


@pytest.mark.parametrize("command", [("serve",), ("config", "check")])
async def test_two_listeners_on_one_port_are_told_apart_from_another_program(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """It escaped until now: `config check` and `doctor` looked at each port by itself, and found both free."""
    both = {"RELAY_SERVER__PORT": "18080", "RELAY_OPERATIONS__PORT": "18080"}
    ran = await run(tmp_path, COMPLETE | both, *command)
    assert_refused(ran, "server.port and operations.port are both 18080")


async def test_a_host_that_is_nowhere_is_named_and_its_port_is_not_blamed(tmp_path: Path) -> None:
    source = {"RELAY_SOURCES__DESK__SECRETS": SECRET}
    ran = await run(tmp_path, COMPLETE | source | {"RELAY_SERVER__HOST": "nope.invalid"}, "serve")
    assert_refused(ran, "cannot listen on nope.invalid", "choose a host")
    assert "another port" not in ran.err


async def test_without_a_gateway_it_says_how_to_name_one(tmp_path: Path) -> None:
    assert_refused(await run(tmp_path, FREE, "serve"), "no gateway is configured", "GENESYS_CLIENT_ID")


async def test_a_misspelt_name_is_told_its_neighbour(tmp_path: Path) -> None:
    ran = await run(tmp_path, COMPLETE | {"RELAY_TYPNG__STOP_MODE": "terminal"}, "serve")
    assert_refused(ran, "RELAY_TYPNG__STOP_MODE", "did you mean RELAY_TYPING__STOP_MODE?")


async def test_a_name_that_only_looks_like_ours_is_nobodys_business(tmp_path: Path) -> None:
    ran = await run(tmp_path, COMPLETE | {"RELAY_PORT": "tcp://10.0.0.1:8080"}, "config", "check")
    assert ran.code == 0, ran


async def test_an_outbox_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "relay.db"
    ran = await run(tmp_path, COMPLETE | {"RELAY_OUTBOX__PATH": str(path)}, "serve")
    assert_refused(ran, str(path.parent))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_an_outbox_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    ran = await run(tmp_path, COMPLETE | {"RELAY_OUTBOX__PATH": str(folder / "relay.db")}, "serve")
    assert_refused(ran, str(folder))


async def test_a_file_that_is_no_outbox_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letters.db"
    path.write_bytes(b"Dear diary, this is not a database at all. " * 100)
    ran = await run(tmp_path, COMPLETE | {"RELAY_OUTBOX__PATH": str(path)}, "serve")
    assert_refused(ran, str(path))
    assert path.read_bytes().startswith(b"Dear diary")


@pytest.mark.parametrize("command", [("serve",), ("config", "check")])
async def test_a_newer_releases_outbox_is_refused_by_the_start_and_by_whoever_asks_before_it(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """It escaped until now: `config check` found the settings usable, and `serve` then did not start."""
    path = tmp_path / "typing-relay.db"
    connection = open_for_writing(path, "full")
    connection.pragma("user_version", 9)
    connection.close()
    ran = await run(tmp_path, COMPLETE, *command)
    assert_refused(ran, "the outbox file has schema 9 and this release knows up to", "outbox.path")


async def test_timings_that_cannot_keep_their_promise_are_refused_with_the_formula(tmp_path: Path) -> None:
    ran = await run(tmp_path, COMPLETE | {"RELAY_TYPING__STOP_AFTER_MS": "4000"}, "serve")
    assert_refused(ran, "S >= min(P, R) + D")


async def test_nobody_listens_to_everybody_without_knowing_them(tmp_path: Path) -> None:
    ran = await run(tmp_path, COMPLETE | {"RELAY_SERVER__HOST": "0.0.0.0"}, "serve")
    assert_refused(ran, "typing-relay keys new")
    ran = await run(tmp_path, COMPLETE | {"RELAY_OPERATIONS__HOST": "0.0.0.0"}, "serve")
    assert_refused(ran, "operations.host")


async def test_a_tracker_over_plain_http_elsewhere_is_refused(tmp_path: Path) -> None:
    ran = await run(tmp_path, COMPLETE | {"WEBHOOK_URL": "http://tracker.example/hooks"}, "serve")
    assert_refused(ran, "allow_http")
