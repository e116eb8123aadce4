"""The interactive demo: typists that never stop, and what everybody sees, a few times a second.

on a terminal   a view written over itself, at most four times a second
anywhere else   one line every five seconds
"""

import asyncio
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

import aiohttp

from relay.core.delivery import State
from relay.core.indicator import Indicator
from relay.core.moments import Ms
from relay.demo.screen import Screen
from relay.demo.stage import Stage, raised, session_ids
from relay.demo.typist import Typist
from relay.sandbox.chaos import Chaos

VIEW_EACH_S = 0.25
LINE_EACH_S = 5.0

WIDGET = {Indicator.TYPING: "Agent is typing…", Indicator.PAUSED: "Agent paused", None: "·"}


@dataclass(frozen=True, slots=True)
class View:
    """What there is to see at one instant."""

    addresses: Mapping[str, str]
    elapsed_s: float
    keys: int
    calls: Mapping[str, int]
    too_many: int
    server_errors: int
    guests: Mapping[str, Indicator | None]
    verified: int
    unverified: int
    duplicates: int
    gaps: int
    pending: int

    @property
    def per_key(self) -> float:
        return sum(self.calls.values()) / self.keys if self.keys else 0.0


async def perform_live(
    scripts: Sequence[Iterable[Ms]],
    *,
    chaos: Chaos,
    out: TextIO,
    until_s: float | None = None,
    speed: float = 1.0,
) -> None:
    """Until SIGINT, SIGTERM or `until_s`, or until the scripts are through. Raises SettingsError, StoreError."""
    async with raised(chaos, speed=speed) as stage:
        played = dict(zip(session_ids(len(scripts)), scripts, strict=True))
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            typing = group.create_task(_type_all(stage, played, http), name="demo-typists")
            watching = group.create_task(_watch(stage, tuple(played), out, speed), name="demo-view")
            ending = group.create_task(_told_to_stop(), name="demo-signals")
            await asyncio.wait({typing, ending}, timeout=until_s, return_when=asyncio.FIRST_COMPLETED)
            for task in (typing, watching, ending):
                task.cancel()
        _write(out, "stopping: the guests' indicators are taken back, the last callbacks leave")


async def _type_all(stage: Stage, played: Mapping[str, Iterable[Ms]], http: aiohttp.ClientSession) -> None:
    begin, door = stage.now(), stage.relay.public.url
    async with asyncio.TaskGroup() as group:
        for session, keys in played.items():
            typist = Typist(session, door, http, stage.books)
            group.create_task(typist.write(keys, begin=begin), name=f"typist:{session}")
    await stage.quiet()


async def _told_to_stop() -> None:
    """Done at the first signal; the second ends the process the usual way."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    try:
        await told.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _watch(stage: Stage, sessions: Sequence[str], out: TextIO, speed: float) -> None:
    began, screen = stage.now(), Screen(out)
    is_terminal = out.isatty()
    if not is_terminal:
        _write(out, "  ".join(f"{name} {url}" for name, url in _addresses(stage, sessions).items()))
    while True:
        view = await _view(stage, sessions, began)
        if is_terminal:
            screen.show(view_lines(view))
        else:
            _write(out, view_line(view))
        await asyncio.sleep((VIEW_EACH_S if is_terminal else LINE_EACH_S) * speed)


def _write(out: TextIO, line: str) -> None:
    out.write(f"{line}\n")
    out.flush()


def _addresses(stage: Stage, sessions: Sequence[str]) -> dict[str, str]:
    """Of everybody, and of a page in which a browser shows what the first session's guest sees."""
    return {
        "relay": stage.relay.public.url,
        "operations": stage.relay.operations.url,
        "platform": stage.platform.base_url,
        "tracker": stage.tracker.url,
        "guest": f"{stage.platform.base_url}/guest/{sessions[0]}",
    }


async def _view(stage: Stage, sessions: Sequence[str], began: Ms) -> View:
    books, ledger = stage.books, stage.tracker.ledger
    by_state = (await stage.depth()).by_state
    now = stage.now()
    return View(
        addresses=_addresses(stage, sessions),
        elapsed_s=(now - began) / 1000,
        keys=books.keys,
        calls=books.calls,
        too_many=books.too_many,
        server_errors=books.server_errors,
        guests={session: books.seen(session, now) for session in sessions},
        verified=ledger.accepted,
        unverified=ledger.unverified.total(),
        duplicates=ledger.duplicates,
        gaps=ledger.gaps,
        pending=by_state.get(State.PENDING, 0) + by_state.get(State.INFLIGHT, 0),
    )


def view_lines(view: View) -> list[str]:
    """For a terminal."""
    return [
        f"Typing Relay at work · {clock(view.elapsed_s)} · Ctrl-C ends it",
        "",
        *(f"  {name:<11} {url}" for name, url in view.addresses.items()),
        "",
        f"  keys        {view.keys:,} typed",
        f"  indicators  {_calls(view)} · {view.per_key:.3f} per key",
        f"  platform    {_faults(view)} met",
        f"  callbacks   {_callbacks(view)}",
        f"  outbox      {view.pending:,} pending",
        "",
        *(f"  guest {session[-4:]}  {WIDGET[sees]}" for session, sees in view.guests.items()),
    ]


def view_line(view: View) -> str:
    """For a log."""
    return (
        f"{clock(view.elapsed_s)} keys {view.keys:,} · indicators {_calls(view)} · {view.per_key:.3f} per key"
        f" · met {_faults(view)}"
        f" · callbacks {_callbacks(view)} · pending {view.pending:,}"
    )


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _calls(view: View) -> str:
    return ", ".join(f"{times:,} {name.removeprefix('typing_')}" for name, times in view.calls.items())


def _faults(view: View) -> str:
    return f"{view.too_many:,} times 429, {view.server_errors:,} times 5xx"


def _callbacks(view: View) -> str:
    return f"{view.verified:,} verified, {view.unverified:,} not, {view.duplicates:,} repeated, {view.gaps:,} gaps"
