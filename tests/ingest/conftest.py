from collections.abc import AsyncIterator

import pytest

from tests.ingest.house import House, opened


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with opened() as house:
        yield house
