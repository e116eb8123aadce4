"""The whole stage on a fast clock: real sockets, a real outbox, seconds of it in tenths."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp

from relay.core.delivery import State
from relay.demo.clock import run_hurried
from relay.demo.stage import Stage, raised, session_ids
from relay.demo.typist import Typist
from relay.errors import Unavailable
from relay.sandbox.chaos import Chaos

SPEED = 20.0
(SESSION,) = session_ids(1)
T = TypeVar("T")


def on_stage(act: Callable[[Stage], Awaitable[T]]) -> T:
    async def main() -> T:
        async with raised(Chaos.none(), speed=SPEED) as stage:
            return await act(stage)

    return run_hurried(main(), speed=SPEED)


async def press_one_key(stage: Stage) -> None:
    async with aiohttp.ClientSession() as http:
        await Typist(SESSION, stage.relay.public.url, http, stage.books).write([0.0], begin=stage.now())


def test_an_empty_stage_is_quiet() -> None:
    assert on_stage(lambda stage: stage.quiet(within_s=5))


def test_quiet_comes_after_the_silence_that_stops_a_session_is_told() -> None:
    """One key: typing, paused after 2.5 s, stopped after 6 s; each one call and one transition."""

    async def act(stage: Stage) -> None:
        await press_one_key(stage)
        assert not await stage.quiet(within_s=3)
        assert await stage.quiet()
        assert stage.books.calls == {"typing": 1, "paused": 1, "typing_stopped": 1}
        assert stage.books.by_type == {
            "session.typing": 1,
            "session.paused": 1,
            "session.stopped": 1,
            "typing_indicator.broadcast": 3,
        }
        assert stage.books.still_open([SESSION]) == 0

    on_stage(act)


def test_there_is_no_quiet_while_a_callback_cannot_be_delivered() -> None:
    async def act(stage: Stage) -> None:
        stage.tracker.switches = stage.tracker.switches.model_copy(update={"status": 500})
        await press_one_key(stage)
        assert not await stage.quiet(within_s=15)
        assert (await stage.depth()).by_state[State.PENDING] > 0

    on_stage(act)


def test_a_disk_that_fails_keeps_nobody_from_the_summary() -> None:
    """The failure itself ended the replay, and what was lost was never named."""

    async def fails() -> None:
        raise Unavailable("the outbox's file could not be written")

    async def act(stage: Stage) -> None:
        setattr(stage.relay.assembly.outbox, "flush", fails)  # noqa: B010 - the disk, without a disk
        assert await stage.quiet(within_s=5)

    on_stage(act)


def test_the_outbox_is_gone_with_the_stage() -> None:
    async def act(stage: Stage) -> Path:
        path = stage.relay.settings.outbox.path
        assert path.exists()
        return path

    assert not on_stage(act).parent.exists()


def test_everybody_has_an_address_of_his_own() -> None:
    async def act(stage: Stage) -> set[str]:
        relay = stage.relay
        return {relay.public.url, relay.operations.url, stage.platform.base_url, stage.tracker.base_url}

    assert len(on_stage(act)) == 4


def test_session_ids_are_as_many_as_asked_and_the_same_every_time() -> None:
    assert session_ids(3) == session_ids(3)
    assert len(set(session_ids(3))) == 3
