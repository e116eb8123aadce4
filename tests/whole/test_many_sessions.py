"""A million chat sessions that nobody has, from one source: what is kept of them is bounded, and others notice nothing."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.whole.process import RelayProcess
from tests.whole.test_streams import bearer, made, write
from tests.whole.town import GUEST, Town, event

BATCH = 500
CAP = 20_000
MOST_MORE_BYTES = 100_000_000
"""Twice what so many sessions come to: whatever grew with the million would be far past it."""

GENEROUS = "requests_per_s = 100000\nevents_per_s = 10000000\nbytes_per_s = 10000000000\n"


def resident_bytes(relay: RelayProcess) -> int:
    return int(Path(f"/proc/{relay.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def series(town: Town, relay: RelayProcess) -> set[str]:
    text = (await town.look(relay, "/metrics")).body.decode()
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_million_sessions_of_one_source_are_bounded_and_leave_the_others_theirs(town: Town) -> None:
    calm, loud = made("calm"), made("loud")
    # Forgotten as soon as they are at rest, so that new ones come in all the time.
    typing = "[typing]\ntombstone_ms = 1000\n"
    write(town, typing, calm.toml, f"[sources.loud]\nmax_sessions = {CAP}\n{GENEROUS}", loud.toml)
    for name in ("WEBHOOK_URL", "WEBHOOK_SECRET"):
        del town.environ[name]

    async with town.relay({}, RELAY_CONFIG="relay.toml") as relay:

        async def post(first: int) -> int:
            events = [
                {
                    "sessionId": f"{n:08x}-0000-4000-8000-{n:012x}",
                    "guestId": GUEST,
                    "type": "keystroke",
                    "id": f"e{n}",
                }
                for n in range(first, first + BATCH)
            ]
            return (await town.post(relay, events, **bearer(loud))).status

        for first in range(0, 2 * CAP, BATCH):
            await post(first)
        before, known, taken = resident_bytes(relay), await series(town, relay), 0
        for first in range(2 * CAP, 2 * CAP + 1_000_000, 4 * BATCH):
            statuses = await asyncio.gather(*(post(first + n * BATCH) for n in range(4)))
            assert set(statuses) <= {202, 429}
            taken += statuses.count(202)
            assert (await town.post(relay, event(), **bearer(calm))).status == 202
        more = resident_bytes(relay) - before
        print(f"{taken * BATCH:,} of 1,000,000 sessions were opened, {more / 1e6:.0f} MB more resident")
        assert taken > 0
        assert more < MOST_MORE_BYTES
        new = await series(town, relay) - known
        assert len(new) <= 20, "words of our own, met for the first time"
        assert not any(
            "e" + str(n) in one or f"{n:08x}" in one for one in new for n in (40_000, 500_000, 1_039_999)
        )
