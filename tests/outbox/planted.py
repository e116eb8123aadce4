"""An outbox file as an earlier life left it: dead letters and audit rows of the sessions named."""

import time
from pathlib import Path

from relay.core.delivery import Filter, State
from relay.core.ids import uuid7
from relay.outbox.sqlite.ledger import Options
from relay.outbox.sqlite.store import SqliteStore
from relay.outbox.sqlite.sweep import Keep
from tests.conformance.outbox_store import broadcast, claim, settlement, transition

DAY_MS = 86_400_000
KEEP = Keep(7 * DAY_MS, 30 * DAY_MS, 100_000, 30 * DAY_MS, 100_000)


def now() -> int:
    return time.time_ns() // 1_000_000


async def plant(folder: Path, *sessions: str, state: State = State.EXHAUSTED) -> None:
    """In `folder`/outbox.db: of each session a transition that ended in `state` at `tracker`, and a broadcast's
    audit row and delivery, which was delivered."""
    numbers = iter(range(1_000_000))
    options = Options(
        folder / "outbox.db", {"tracker": Filter()}, KEEP, max_rows=100_000, max_queue=10_000, inline=True
    )
    store = await SqliteStore.open(options, wall=now, new_id=lambda at: f"msg_{uuid7(at, next(numbers))}")
    for session in sessions:
        for fact, end in ((transition(session), state), (broadcast(session), State.DELIVERED)):
            await store.append(fact)
            (lease,) = await claim(store, endpoint="tracker")
            await store.settle(settlement(lease, end))
    await store.close(is_clean=True)
