from pathlib import Path

from aiohttp import ClientSession
from click.testing import CliRunner

from relay import wire
from relay.cli import main
from tests.ingest.house import opened
from tests.operate.house import house_at


def printed(listener: str) -> wire.Json:
    ran = CliRunner().invoke(main, ["openapi", "--listener", listener])
    assert ran.exit_code == 0
    return wire.loads(ran.stdout)


async def served(url: str) -> wire.Json:
    async with ClientSession() as session, session.get(f"{url}/openapi.json") as answer:
        return wire.loads(await answer.read())


async def test_what_is_printed_is_what_each_listener_answers(tmp_path: Path) -> None:
    async with opened() as public, house_at(tmp_path) as operations:
        assert printed("public") == await served(public.base_url)
        assert printed("operations") == await served(operations.url)
