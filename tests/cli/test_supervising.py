import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from relay.cli.supervising import VARIABLE, told


def test_a_manager_that_does_not_read_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as another, suppress(BlockingIOError):
            another.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            while True:
                another.sendto(b"x", path)
        monkeypatch.setenv(VARIABLE, path)
        telling = threading.Thread(target=told, args=("READY=1",), daemon=True)
        telling.start()
        telling.join(5)
        assert not telling.is_alive()
