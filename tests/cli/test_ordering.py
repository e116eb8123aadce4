"""How `broadcast` takes its turn."""

import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from relay.broadcaster import TypingBroadcaster
from relay.cli.ordering import entered
from relay.errors import StoreError
from relay.outbox.holder import Hold


async def test_a_run_whose_turn_does_not_come_says_to_run_it_again(tmp_path: Path) -> None:
    """It escaped until now: a file held by a command of seconds was to be set elsewhere."""
    outbox = tmp_path / "outbox.db"
    hold = Hold.take(outbox)
    broadcaster = TypingBroadcaster(client_id="id", client_secret="secret", outbox=outbox)
    async with AsyncExitStack() as stack:
        with pytest.raises(StoreError, match="run it again") as caught:
            await entered(broadcaster, stack, within_s=0.2)
        assert f"process {os.getpid()}" in str(caught.value)
        assert "outbox.path" not in str(caught.value)
        hold.release()
        assert await entered(broadcaster, stack, within_s=0.2) is broadcaster
