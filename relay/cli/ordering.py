"""The one-shot: one indicator, shown now, from the command line."""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.common import config_option, ending_well, json_option, print_json, run_loop, settings_in_force
from relay.core.indicator import Indicator
from relay.errors import HeldError, StoreError, TooSoon

if TYPE_CHECKING:
    from relay.broadcaster import TypingBroadcaster
    from relay.settings.models import Settings

CALLBACK_S = 5.0
"""How long the command waits for its tracker; what is pending then leaves at the next run."""

TURN_S = 8.0
"""How long it waits for another run to end: one that shows its indicator and waits for its tracker as long as it may."""

LOOK_S = 0.05


@click.command()
@click.argument("session", default=lambda: os.environ.get("TEST_SESSION_ID"), required=False)
@click.argument("guest", default=lambda: os.environ.get("TEST_GUEST_ID"), required=False)
@click.argument("type", type=click.Choice([one.value for one in Indicator]), default="typing")
@click.option("--duration", default=3000, show_default=True, help="Milliseconds, 100..10000.")
@config_option
@json_option
@ending_well
def broadcast(
    session: str | None,
    guest: str | None,
    type: str,  # noqa: A002 - the contract's word
    duration: int,
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show one indicator to one guest: SESSION GUEST TYPE.

    Same environment names as `serve`; SESSION and GUEST default to TEST_SESSION_ID and TEST_GUEST_ID. It keeps an
    outbox file of its own beside the relay's, so it may run while the relay does; it does not know the relay's
    interval for that session, nor share its budget. Of several runs at once each waits for its turn, a few seconds.
    """
    if not session or not guest:
        raise click.UsageError(
            "SESSION and GUEST are wanted: as arguments, or TEST_SESSION_ID and TEST_GUEST_ID"
        )
    settings = settings_in_force(config)
    own = settings.outbox.model_copy(update={"path": settings.outbox.path.with_suffix(".broadcast.db")})
    shot = settings.model_copy(update={"outbox": own})
    run_loop(_broadcast(shot, session, guest, type, duration, as_json=as_json), fast=False)


async def _broadcast(
    settings: "Settings", session: str, guest: str, kind: str, duration_ms: int, *, as_json: bool
) -> None:
    from relay.broadcaster import TypingBroadcaster  # noqa: PLC0415 - loads the server's modules
    from relay.observe import logs  # noqa: PLC0415 - as above

    logs.setup(
        "error", settings.logging.log_ids
    )  # a refusal is the command's own answer: it is not logged, too
    async with AsyncExitStack() as stack:
        broadcaster = await entered(TypingBroadcaster(settings=settings), stack, within_s=TURN_S)
        try:
            result = await broadcaster.broadcast_typing(session, guest, kind, duration_ms)
        except TooSoon as why:  # a run a moment ago may have spoken: nobody wants to be told to type it again
            await asyncio.sleep(why.wait_ms / 1000)
            result = await broadcaster.broadcast_typing(session, guest, kind, duration_ms)
        pending = await broadcaster.pending_callbacks(within_s=CALLBACK_S)
        told = {
            "success": True,
            "latencyMs": result.latency_ms,
            "auditId": result.audit_id,
            "status": result.status,
            "pendingCallbacks": pending,
        }
        if as_json:
            print_json(told)
            return
        click.echo(f"shown in {result.latency_ms} ms (status {result.status}, audit {result.audit_id})")
        if pending:
            click.echo(f"{pending} callback(s) still pending: they leave at the next run", err=True)


async def entered(
    broadcaster: "TypingBroadcaster", stack: AsyncExitStack, *, within_s: float
) -> "TypingBroadcaster":
    """The broadcaster once its outbox's file is free; `stack` leaves it. Raises StoreError where it is not in time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while True:
        try:
            return await stack.enter_async_context(broadcaster)
        except HeldError as why:
            if loop.time() >= until:
                raise StoreError(
                    f"another run (process {why.holder}) did not end within {within_s:g} s, and nothing was shown: "
                    "run it again"
                ) from None
        await asyncio.sleep(LOOK_S)
