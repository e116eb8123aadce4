"""What a command says to whoever sends it to another listener than the operations one; both are real here."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from relay.cli import main
from tests.ingest.house import opened
from tests.operate.house import house_at

ASKING = [
    ("endpoints", "list"),
    ("endpoints", "pause", "tracker"),
    ("dlq", "show", "1"),
    ("why", "evt_1"),
    ("audit", "--all"),
]


async def run(operations: str, *words: str) -> Result:
    """On a thread, as the command waits for its answer and the listener lives on this loop."""
    return await asyncio.to_thread(CliRunner().invoke, main, [*words, "--operations", operations])


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
async def test_whoever_asks_the_public_listener_is_told_which_one_to_ask(words: tuple[str, ...]) -> None:
    """It said that nothing is served under this path: true, and of no use to whoever typed no path."""
    async with opened() as public:
        ran = await run(public.base_url, *words)
    assert ran.exit_code == 2
    assert "no operations listener" in ran.stderr
    assert "`serve` prints it after operations=" in ran.stderr
    assert "path" not in ran.stderr


async def test_whoever_asks_what_speaks_no_json_is_told_which_one_to_ask() -> None:
    """It was called a bad address, which it is not."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<h1>It works!</h1>")

    elsewhere = web.Application()
    elsewhere.router.add_get("/v1/endpoints", page)
    async with TestServer(elsewhere) as server:
        ran = await run(f"http://127.0.0.1:{server.port}", "endpoints", "list")
    assert (ran.exit_code, "no operations listener" in ran.stderr) == (2, True)


async def test_what_the_operations_listener_does_not_have_is_told_in_its_own_words(tmp_path: Path) -> None:
    async with house_at(tmp_path) as house:
        for words in (("dlq", "show", "1"), ("endpoints", "test", "nobody"), ("endpoints", "test", "../x y")):
            ran = await run(house.url, *words)
            assert ran.exit_code == 1
            assert "no operations listener" not in ran.stderr
