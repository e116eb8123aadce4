"""One commit for what has queued up: what becomes of one write is no other's affair."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import pytest

from relay.outbox.writer import Writer


class Ledger:
    """Has nothing to write to."""

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def idle(self) -> None:
        pass


def doubled(items: Sequence[int]) -> Sequence[int]:
    return [2 * item for item in items]


@pytest.mark.parametrize("inline", [True, False])
async def test_a_caller_that_gave_up_keeps_no_neighbour_of_its_commit_waiting(*, inline: bool) -> None:
    writer = Writer(Ledger(), inline=inline, clock=lambda: 0, on_done=lambda _: None)
    impatient, patient = writer.submit(doubled, 1), writer.submit(doubled, 2)
    impatient.cancel()
    async with asyncio.timeout(5):
        assert await patient == 4
    assert writer.waiting == 0
    await writer.stop()
