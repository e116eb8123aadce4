"""`sandbox` as somebody at a terminal runs it: the stand-in platform where it was told to be, or why it cannot be there.

And the probe, before both listeners.
"""

import asyncio
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli import main
from relay.observe.health import Check, Health
from tests.ingest.house import opened
from tests.operate.house import house_at
from tests.whole.process import Ran, run
from tests.whole.program import program

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the example of the Standard Webhooks specification


def assert_refused_in_words(ran: Ran, *words: str) -> None:
    """It escaped until now: only `serve` and `listen` were tried on a port that is taken."""
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err


async def test_a_stand_in_says_where_it_is_until_it_is_interrupted(tmp_path: Path) -> None:
    async with program(tmp_path, {}, "-m", "relay", "sandbox", "--port", "0") as sandbox:
        assert (await sandbox.says("ready platform=")).startswith("http://127.0.0.1:")
        assert await sandbox.interrupt() == 0
    assert sandbox.err == ["stopped"]


async def checked(url: str) -> Result:
    """On a thread, as the command waits for its answer and the listener lives on this loop."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["healthcheck", "--url", url])


async def test_a_relay_that_is_not_ready_is_asked_why(tmp_path: Path) -> None:
    async with house_at(tmp_path) as house:
        house.health = Health(
            0.0,
            (
                Check("outbox", is_ok=False, reason="\x1b[31mthe disk is full"),
                Check("gateway:guest", is_ok=True, reason="cold"),
            ),
        )
        ran = await checked(house.url)
        house.health = Health(0.0, (Check("outbox", is_ok=False, reason="x" * 60_000),))
        long = await checked(house.url)
    assert (ran.exit_code, ran.stderr) == (
        1,
        "typing-relay: not ready: it answered 503: outbox: \\x1b[31mthe disk is full\n",
    )
    assert (long.exit_code, 500 < len(long.stderr) < 600, long.stderr.endswith("x…\n")) == (1, True, True)


async def test_a_probe_of_the_public_listener_is_told_which_one_to_ask() -> None:
    async with opened() as public:
        ran = await checked(public.base_url)
    assert (ran.exit_code, "no operations listener" in ran.stderr) == (1, True)


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = await run(tmp_path, {}, "sandbox", "--port", str(port))
    assert_refused_in_words(ran, f"cannot listen on 127.0.0.1 port {port}", "choose another port")
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("command", [("sandbox",), ("listen", "--secret", SECRET)])
async def test_a_host_that_is_nowhere_is_named_and_its_port_is_not_blamed(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    ran = await run(tmp_path, {}, *command, "--host", "nope.invalid")
    assert_refused_in_words(ran, "cannot listen on nope.invalid", "choose a host")
    assert "another port" not in ran.err


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
@pytest.mark.parametrize("command", ["sandbox", "listen"])
async def test_what_can_be_no_port_is_refused_with_the_ones_that_can(
    tmp_path: Path, command: str, port: str
) -> None:
    ran = await run(tmp_path, {}, command, "--port", port)
    assert_refused_in_words(ran, "--port", "0<=x<=65535" if port != "http" else "not a valid integer")


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("sandbox", "--chaos", "nan"),
        ("sandbox", "--chaos", "11"),
        ("healthcheck", "--timeout", "nan"),
        ("healthcheck", "--timeout", "-1"),
    ],
)
async def test_what_can_be_no_number_of_its_kind_is_refused_by_its_own_name(
    tmp_path: Path, command: str, option: str, value: str
) -> None:
    """`nan` ended in a traceback, and a timeout that is none was blamed on the url."""
    assert_refused_in_words(await run(tmp_path, {}, command, option, value), f"Invalid value for '{option}'")


async def test_the_help_of_serve_says_what_a_hangup_takes_over(tmp_path: Path) -> None:
    told = " ".join((await run(tmp_path, {}, "serve", "--help")).out.split())
    assert "SIGHUP has the settings read again" in told
    assert "needs a restart" in told
