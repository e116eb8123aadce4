"""What tests count on in the clock they move. Streams hung now and then, waiting until an ack is due: as a rule loopback
takes no time, and a second later is a number the clock can show; where it had taken some, it is not always."""

import asyncio

import pytest

SINCE_S = 3.159743
"""A second later, as floats add up, is 4.159743000000001: past the microsecond the clock shows, by less than it can."""


@pytest.mark.looptime(start=SINCE_S)
async def test_on_a_virtual_clock_no_timer_runs_early() -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() + 1
    assert due > 4.159743
    await asyncio.sleep(1)
    assert due <= loop.time() < due + 1e-5


@pytest.mark.looptime(start=SINCE_S)
async def test_whoever_waits_until_a_moment_on_a_virtual_clock_waits_once() -> None:
    loop = asyncio.get_running_loop()
    due, waits = loop.time() + 1, 0
    while loop.time() < due and waits < 10:
        waits += 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout_at(due):
                await asyncio.Event().wait()
    assert waits == 1


@pytest.mark.looptime
async def test_a_moment_that_the_virtual_clock_can_show_is_met_to_the_digit() -> None:
    await asyncio.sleep(2.5)
    assert asyncio.get_running_loop().time() == 2.5
