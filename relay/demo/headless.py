"""A replay through the real door: every key posted at its time, then quiet, then the summary.

Late is what starts dark for longer than `PROMPT_MS`: with a network between, nothing is shown at the very key.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import aiohttp

from relay.core.indicator import Indicator
from relay.core.moments import Ms
from relay.core.timings import Timings
from relay.demo.books import CallOf
from relay.demo.stage import Stage, raised, session_ids
from relay.demo.summary import Summary, summed_up
from relay.demo.typist import Typist
from relay.outbox.rows import AuditRow
from relay.sandbox.arrivals import Arrival
from relay.sandbox.chaos import Chaos
from relay.sandbox.replay import Call, Figures, measure

PROMPT_MS: Ms = 300
"""What a guest takes for at once."""

HEAD_START_MS: Ms = 1000
"""From now to the first key, so that connections and the token are there."""

FAR_MS: Ms = 3_600_000
"""Between two sessions laid one after the other to be measured as one: no run reaches over it."""

AUDITED = 1_000_000

Script = Sequence[Ms]
Progress = Callable[[Ms, Ms], None]
"""(milliseconds played, of how many)"""


async def perform(
    scripts: Sequence[Script], *, chaos: Chaos, speed: float, progress: Progress = lambda *_: None
) -> Summary:
    """One session per script. Belongs on a loop of that speed. Raises SettingsError, StoreError."""
    played = dict(zip(session_ids(len(scripts)), scripts, strict=True))
    async with raised(chaos, speed=speed) as stage:
        begin = stage.now() + HEAD_START_MS
        await _type_all(stage, played, begin, progress)
        await stage.quiet()
        return await _sum_up(stage, played, begin)


async def _type_all(stage: Stage, played: Mapping[str, Script], begin: Ms, progress: Progress) -> None:
    length = max(keys[-1] for keys in played.values())
    door, loop = stage.relay.public.url, asyncio.get_running_loop()
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        telling = group.create_task(_tell(progress, begin, length), name="demo-progress")
        typing = [
            group.create_task(
                Typist(session, door, http, stage.books).write(keys, begin=begin), name=f"typist:{session}"
            )
            for session, keys in played.items()
        ]
        await asyncio.gather(*typing)
        telling.cancel()
        progress(loop.time() * 1000 - begin, length)


async def _tell(progress: Progress, begin: Ms, length: Ms) -> None:
    loop = asyncio.get_running_loop()
    while True:
        progress(min(length, max(0.0, loop.time() * 1000 - begin)), length)
        await asyncio.sleep(1)


async def _sum_up(stage: Stage, played: Mapping[str, Script], begin: Ms) -> Summary:
    return summed_up(
        stage.books,
        stage.tracker.ledger,
        await stage.depth(),
        figures=seen_by_guests(stage.platform.arrivals, played, stage.relay.assembly.flow.timings, begin),
        answers_lost=unanswered(await stage.relay.assembly.outbox.audit(limit=AUDITED)),
        still_open=stage.books.still_open(played),
    )


def seen_by_guests(
    arrivals: Iterable[Arrival], played: Mapping[str, Script], timings: Timings, begin: Ms
) -> Figures:
    """The figures of all sessions together: each is measured alone, laid after the one before."""
    stride = max(keys[-1] for keys in played.values()) + FAR_MS
    shift = {session: place * stride for place, session in enumerate(played)}
    calls = [
        Call(one.at - begin + shift[one.session_id], one.indicator, one.duration_ms)
        for one in arrivals
        if one.is_applied and one.indicator is not None
    ]
    calls.sort(key=lambda call: call.at)
    keys = [key + shift[session] for session, script in played.items() for key in script]
    return measure(keys, calls, timings, late_after_ms=PROMPT_MS)


def unanswered(audit: Iterable[AuditRow]) -> Counter[CallOf]:
    """Calls whose answer never came, by session and indicator."""
    return Counter(
        (row.key[1], Indicator(row.indicator)) for row in audit if not row.success and row.status is None
    )
