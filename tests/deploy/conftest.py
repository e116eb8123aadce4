from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.whole.town import Town, town_at


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with town_at(tmp_path) as town:
        yield town
