"""Where the commands look for the operations listener; the ones that ask it here are a process's own, as a container runs them."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.cli import main
from relay.cli.addressing import OPERATIONS, PUBLIC, Address, address_of, url_from
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
    assert url_from({"RELAY_OPERATIONS__HOST": host, "RELAY_OPERATIONS__PORT": port}, OPERATIONS) == url


def test_an_environment_that_says_nothing_leaves_the_usual_address() -> None:
    assert url_from({}, OPERATIONS) == "http://127.0.0.1:9180"
    assert url_from({}, PUBLIC) == "http://127.0.0.1:8080"


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


@pytest.mark.parametrize(
    ("url", "address", "shown"),
    [
        ("http://127.0.0.1:9180", Address("127.0.0.1", 9180), "http://127.0.0.1:9180"),
        ("HTTP://Relay.example:80/", Address("relay.example", 80), "http://relay.example:80"),
        ("http://[::1]:9180/readyz", Address("::1", 9180, "/readyz"), "http://[::1]:9180"),
        ("http://me:canary@localhost:1/a?b=canary", Address("localhost", 1, "/a"), "http://localhost:1"),
    ],
)
def test_an_address_is_shown_without_what_may_be_a_secret(url: str, address: Address, shown: str) -> None:
    assert (address_of(url), str(address)) == (address, shown)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:9999",
        "localhost:9999",
        "https://127.0.0.1:9180",
        "http://127.0.0.1",
        "http://127.0.0.1:0",
        "http://127.0.0.1:65536",
        "http://127.0.0.1:eighty",
        "http://:9180",
        "http://[::1:9180",
        "http://two words:9180",
        "http://\x1b[2J:9180",
        "canary",
    ],
)
@pytest.mark.parametrize(
    "words", [("healthcheck", "--url"), ("endpoints", "list", "--operations")], ids=" ".join
)
def test_what_is_no_address_is_refused_with_what_is_and_not_repeated(
    words: tuple[str, ...], url: str
) -> None:
    """Without a scheme it was a name nobody knew; https was spoken to in plain http."""
    ran = CliRunner().invoke(main, [*words, url])
    assert ran.exit_code == 2
    assert "http://HOST:PORT" in ran.stderr
    assert words[-1] in ran.stderr
    assert url not in ran.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_port_in_the_environment_that_is_none_is_named_with_its_variable(words: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(
        main, words, env={"RELAY_OPERATIONS__PORT": "canary", "RELAY_OPERATIONS_URL": ""}
    )
    assert ran.exit_code == 2
    assert "RELAY_OPERATIONS__PORT" in ran.stderr
    assert "canary" not in ran.stderr


@pytest.mark.parametrize(
    ("words", "option", "code"),
    [
        (("healthcheck",), "--url", 1),
        (("endpoints", "list"), "--operations", 2),
        (("audit",), "--operations", 2),
    ],
)
def test_where_nothing_answers_the_address_is_named_and_what_to_look_at(
    words: tuple[str, ...], option: str, code: int
) -> None:
    """Which address was asked stood nowhere. To a container such a relay is not ready; who asks it got no answer."""
    ran = CliRunner().invoke(main, [*words, option, "http://me:canary@127.0.0.1:1/?key=canary"])
    assert ran.exit_code == code
    assert "no answer at http://127.0.0.1:1: Connection refused; is the relay running" in ran.stderr
    assert f"{option} says where" in ran.stderr
    assert "canary" not in ran.stderr


def test_a_host_that_can_be_no_name_is_an_address_that_does_not_answer() -> None:
    ran = CliRunner().invoke(main, ["healthcheck", "--url", f"http://{'a' * 70}.example:9180"])
    assert (ran.exit_code, "no answer at" in ran.stderr) == (1, True)
