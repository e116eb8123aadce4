"""What webhook relays are known to have got wrong, as sentences that must be true of this one.

`tests/README.md` lists all of them; those about callers, settings and signatures stand with their rooms.
"""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from relay.core.delivery import State
from relay.errors import OutboxFull
from relay.outbox.outbox import Outbox
from relay.settings.models import Audit
from relay.settings.models import Outbox as OutboxSettings
from tests.outbox.receiver import Receiver
from tests.outbox.test_outbox import endpoint, loop_wall, running, typing, until


async def held(folder: Path, url: str, **settings: object) -> Outbox:
    """An outbox with one endpoint to which nothing is sent."""
    bounds = OutboxSettings.model_validate({"path": folder / "outbox.db"} | settings)
    return await Outbox.open(bounds, {"tracker": endpoint(url)}, Audit(), wall=loop_wall())


async def test_the_depth_limit_holds_to_the_row_however_many_ask_at_once(
    tmp_path: Path, receiver: Receiver
) -> None:
    outbox = await held(tmp_path, receiver.url, max_rows=100)
    asked = [asyncio.ensure_future(outbox.append(typing(f"s{n}"))) for n in range(500)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, OutboxFull) for one in done) == 400
    assert (await outbox.depth()).by_state[State.PENDING] == 100
    await outbox.close()


async def test_what_was_delivered_takes_no_room(tmp_path: Path, receiver: Receiver) -> None:
    bounds = OutboxSettings(path=tmp_path / "outbox.db", max_rows=100)
    outbox = await Outbox.open(bounds, {"tracker": endpoint(receiver.url)}, Audit(), wall=loop_wall())
    await outbox.start()
    for batch in range(5):
        await asyncio.gather(*(outbox.append(typing(f"s{n}")) for n in range(90)))
        async with asyncio.timeout(20):
            await until(outbox, State.DELIVERED, 90 * (batch + 1))
    assert outbox.trouble is None
    await outbox.close()


@pytest.mark.looptime
async def test_news_is_sent_when_it_is_recorded_and_not_at_the_next_look(
    tmp_path: Path, receiver: Receiver
) -> None:
    """In virtual time a poll would show, however short its interval."""
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await asyncio.sleep(45)
        before = asyncio.get_running_loop().time()
        await outbox.append(typing())
        await receiver.until(1)
        assert asyncio.get_running_loop().time() - before < 0.05


@pytest.mark.looptime
async def test_a_retention_of_thousands_goes_a_slice_at_a_time(tmp_path: Path, receiver: Receiver) -> None:
    """A slice is 500 rows, and appends go in between: no commit waits for all of it."""
    receiver.answers = [410]
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing())
        await until(outbox, State.CANCELLED, 1)
        await asyncio.gather(*(outbox.append(typing(f"s{n % 50}")) for n in range(3000)))
    bounds = OutboxSettings(path=tmp_path / "outbox.db", history_rows=0)
    outbox = await Outbox.open(
        bounds, {"tracker": endpoint(receiver.url)}, Audit(), wall=loop_wall(), inline=True
    )
    await outbox.start()
    kept = [3001]
    while kept[-1]:
        await asyncio.sleep(0.005)
        kept.append((await outbox.depth()).by_state[State.CANCELLED])
    await outbox.close()
    assert max(before - after for before, after in pairwise(kept)) <= 500
