import asyncio
import errno
import os
import socket

import pytest

from relay.settings.binding import not_bound


async def refusal(host: str, port: int) -> str:
    """Of really listening there, as our listeners do."""
    with pytest.raises((OSError, UnicodeError)) as caught:
        await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port)
    assert isinstance(caught.value, OSError | UnicodeError)
    return str(not_bound(host, port, caught.value))


async def test_a_port_that_is_taken_is_told_to_choose_another_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = await refusal("127.0.0.1", port)
    assert said == f"cannot listen on 127.0.0.1 port {port}: Address already in use; choose another port"


@pytest.mark.parametrize("host", ["nope.invalid", "a..b", "203.0.113.9"])
async def test_a_host_that_is_none_of_this_machine_is_told_to_choose_another_host_and_not_another_port(
    host: str,
) -> None:
    said = await refusal(host, 8080)
    assert said.endswith("; choose a host that is an address of this machine")
    assert "another port" not in said


def test_a_port_for_root_alone_is_told_so() -> None:
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    assert str(not_bound("127.0.0.1", 80, denied)).endswith("choose a port of 1024 or more")


def test_an_error_without_a_number_is_of_a_host_that_is_not_here() -> None:
    """Python 3.13 passes over an address that is not there and then says only that none was left."""
    said = str(not_bound("203.0.113.9", 8080, OSError("could not bind on any address")))
    assert os.strerror(errno.EADDRNOTAVAIL) in said
    assert said.endswith("address of this machine")
