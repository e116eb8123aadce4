"""What a lane makes of faults: none may stop it for good, none may be repeated without a pause or an end."""

import asyncio
from pathlib import Path

import pytest

from relay.core.delivery import State
from tests.outbox.test_outbox import endpoint, running, typing

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_a_name_that_cannot_be_looked_up_costs_an_attempt_as_any_other(
    tmp_path: Path, host: str
) -> None:
    """A label too long or empty is no OSError to Python's look-up: it was tried for ever, once in each lease."""
    async with running(tmp_path, tracker=endpoint(f"https://{host}/hook")) as outbox:
        await outbox.append(typing())
        await asyncio.sleep(1)
        (row,) = await outbox.deliveries()
        assert (row.state, row.attempts, row.last_failure) == (State.PENDING, 1, "dns")
