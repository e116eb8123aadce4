"""Where the commands look for the operations listener; the ones that ask it here are a process's own, as a container runs them."""

import asyncio
from pathlib import Path

import pytest

from relay.cli.addressing import url_from
from tests.operate.house import house_at
from tests.whole.process import Ran, run

COMMANDS = [("healthcheck",), ("endpoints", "list")]
CLOSED = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("", "", "http://127.0.0.1:9180"),
        ("", "9999", "http://127.0.0.1:9999"),
        ("", " 9999 ", "http://127.0.0.1:9999"),
        ("localhost", "", "http://localhost:9180"),
        ("0.0.0.0", "9999", "http://127.0.0.1:9999"),
        ("::", "9999", "http://[::1]:9999"),
        ("0:0:0:0:0:0:0:0", "", "http://[::1]:9180"),
        ("::1", "9999", "http://[::1]:9999"),
    ],
)
def test_the_listener_is_where_the_environment_has_it_and_a_wildcard_is_this_machine(
    host: str, port: str, url: str
) -> None:
    assert url_from({"RELAY_OPERATIONS__HOST": host, "RELAY_OPERATIONS__PORT": port}) == url


def test_an_environment_that_says_nothing_leaves_the_usual_address() -> None:
    assert url_from({}) == "http://127.0.0.1:9180"


async def test_a_configured_port_is_asked_by_every_command_and_what_is_said_outright_goes_before_it(
    tmp_path: Path,
) -> None:
    """9180 was asked whatever the environment had `serve` listen on: a container was never ready."""
    async with house_at(tmp_path) as house:
        configured = {
            "RELAY_OPERATIONS__HOST": "0.0.0.0",
            "RELAY_OPERATIONS__PORT": house.url.rpartition(":")[2],
        }
        wrong = {"RELAY_OPERATIONS__PORT": "1"}
        said = {"RELAY_OPERATIONS_URL": house.url}

        async def codes(environ: dict[str, str], *options: str) -> list[int]:
            ran = await asyncio.gather(*(run(tmp_path, environ, *words, *options) for words in COMMANDS))
            assert not any("Traceback" in one.err for one in ran)
            return [one.code for one in ran]

        assert await codes(configured) == [0, 0]
        assert await codes(wrong | said) == [0, 0]
        assert all(await codes(wrong))
        assert all(await codes(configured | {"RELAY_OPERATIONS_URL": CLOSED}))
        ready = await run(tmp_path, wrong, "healthcheck", "--url", house.url)
        listed = await run(tmp_path, wrong, "endpoints", "list", "--operations", house.url)
    assert (ready.code, listed.code) == (0, 0)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
async def test_the_help_says_which_variables_tell_where(tmp_path: Path, words: tuple[str, ...]) -> None:
    ran: Ran = await run(tmp_path, {}, *words, "--help")
    told = " ".join(ran.out.split())
    assert "env var: RELAY_OPERATIONS_URL" in told
    assert "http://127.0.0.1:9180, or as RELAY_OPERATIONS__HOST and RELAY_OPERATIONS__PORT say" in told
