import errno
import socket
from contextlib import closing

import pytest

from relay.doctor.finding import Level
from relay.doctor.ports import bind_errno, ports, verdict
from relay.settings.models import Settings


@pytest.mark.parametrize(
    ("problem", "is_ours", "level"),
    [
        (None, False, Level.OK),
        (errno.EADDRINUSE, True, Level.WARN),
        (errno.EADDRINUSE, False, Level.FAIL),
        (errno.EACCES, False, Level.FAIL),
        (errno.EADDRNOTAVAIL, False, Level.FAIL),
        (0, False, Level.FAIL),
    ],
)
def test_a_port_is_free_ours_or_somebody_elses(
    problem: int | None,
    is_ours: bool,  # noqa: FBT001 - a cell
    level: Level,
) -> None:
    assert verdict("server port 8080", problem, is_ours=is_ours).level is level


def test_a_port_somebody_listens_on_is_held_and_a_closed_one_is_free() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]
        assert bind_errno("127.0.0.1", port) == errno.EADDRINUSE
    assert bind_errno("127.0.0.1", port) is None
    assert bind_errno("no-such-host.invalid", port) == 0


def test_a_listener_that_says_nothing_is_not_ours_and_keeps_nobody_waiting_for_long() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        place = {"host": "127.0.0.1", "port": mute.getsockname()[1]}
        settings = Settings.model_validate({"server": place, "operations": {"port": 0}})
        assert [each.level for each in ports(settings)] == [Level.FAIL, Level.OK]
