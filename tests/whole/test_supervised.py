"""Started by a service manager: it is told when callers may come, and not before."""

import socket
from pathlib import Path

import pytest

from relay.cli.supervising import VARIABLE, told
from tests.whole.process import until
from tests.whole.town import Town


def listening(address: str) -> socket.socket:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(address)
    manager.settimeout(0)
    return manager


def heard(manager: socket.socket) -> bytes:
    try:
        return manager.recv(1000)
    except BlockingIOError:
        return b""


async def test_a_relay_that_accepts_says_so_to_its_manager_once(town: Town) -> None:
    with listening(str(town.home / "notify")) as manager:
        async with town.relay({VARIABLE: str(town.home / "notify")}):
            assert await until(lambda: heard(manager), within_s=5) == b"READY=1"
        assert heard(manager) == b""


async def test_one_that_cannot_start_says_nothing(town: Town) -> None:
    with listening(str(town.home / "notify")) as manager:
        with pytest.raises(AssertionError, match="not ready"):
            async with town.relay({VARIABLE: str(town.home / "notify"), "RELAY_SERVER__PORT": "-1"}):
                pass
        assert heard(manager) == b""


def test_a_name_that_is_no_file_is_reached_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with listening("\0" + str(tmp_path)) as manager:
        monkeypatch.setenv(VARIABLE, f"@{tmp_path}")
        told("READY=1")
        assert heard(manager) == b"READY=1"


@pytest.mark.parametrize("address", ["", "nowhere", "/nowhere/at/all", "@", "/"])
def test_a_manager_that_is_not_there_ends_nobody(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, address)
    told("READY=1")
