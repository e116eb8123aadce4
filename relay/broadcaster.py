"""The reusable broadcaster, in process and without a server: the same gateway, pacer, audit and outbox.

async with TypingBroadcaster(client_id=…, client_secret=…, webhook_url=…) as broadcaster:
    await broadcaster.broadcast_typing(session_id, guest_id, "typing", 3000)
"""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from relay.assembly import Assembly, unix_ms
from relay.core.delivery import State
from relay.core.ids import is_id, is_uuid
from relay.core.indicator import Address, Indicator
from relay.core.moments import UnixMs
from relay.errors import HeldError, OutboxFull, Rejected, SettingsError, StoreError, TooSoon, Unavailable
from relay.observe.tally import BroadcastTally
from relay.orders import Result
from relay.settings import reach
from relay.settings.endpoint import Endpoint
from relay.settings.gateway import Gateway
from relay.settings.models import Outbox, Settings

__all__ = [
    "HeldError",
    "OutboxFull",
    "Rejected",
    "Result",
    "Settings",
    "SettingsError",
    "StoreError",
    "TooSoon",
    "TypingBroadcaster",
    "Unavailable",
]

GATEWAY = "guest"
DURATION_MS = range(100, 10_001)
LOOK_S = 0.05


class TypingBroadcaster:
    """Broadcasts indicators one by one, as the caller says; use it as an async context manager.

    Either `settings`, or the tutorial's few values. `outbox` is a file of its own, never one that a server holds;
    without it callbacks live in a temporary file and end with the block. Values it cannot work with raise
    SettingsError, here or on entering; there an outbox file that cannot be used raises StoreError, and HeldError where
    another process has it. Once left it may be entered anew; RuntimeError while it is entered.
    """

    def __init__(
        self,
        *,
        client_id: str = "",
        client_secret: str = "",
        base_url: str = "https://api.mypurecloud.com",
        webhook_url: str | None = None,
        webhook_secret: str | None = None,
        outbox: Path | None = None,
        settings: Settings | None = None,
        wall: Callable[[], UnixMs] = unix_ms,
    ) -> None:
        self._is_kept = outbox is not None or settings is not None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        try:
            self._settings = settings or Settings(
                gateways={
                    GATEWAY: Gateway(
                        base_url=base_url, client_id=client_id, client_secret=SecretStr(client_secret)
                    )
                },
                endpoints=_tracker(webhook_url, webhook_secret),
                outbox=Outbox(path=outbox or Path("outbox.db")),
            )
        except ValidationError as why:
            raise SettingsError("\n".join(map(_explained, why.errors(include_input=False)))) from None
        self._wall = wall
        self._assembly: Assembly | None = None
        self._tally = BroadcastTally()
        self._is_entered = self._is_active = False
        self._draining = asyncio.Lock()

    async def __aenter__(self) -> Self:
        if self._is_entered:
            raise RuntimeError("this broadcaster is entered already: leave it first, or make one more")
        self._is_entered = True
        try:
            settings = self._settings if self._is_kept else self._in_scratch()
            self._assembly = await Assembly.open(settings, wall=self._wall)
            self._tally = self._assembly.observer.tally
            await self._assembly.start()
        except BaseException:
            await self._close()
            raise
        self._is_active = True
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.deactivate()
        finally:
            await self._close()

    async def _close(self) -> None:
        assembly, self._assembly = self._assembly, None
        scratch, self._scratch = self._scratch, None
        try:
            if assembly is not None:
                await assembly.close()
        finally:
            if scratch is not None:
                scratch.cleanup()
            self._is_entered = False

    async def broadcast_typing(
        self,
        session_id: str,
        guest_id: str,
        type: str = "typing",  # noqa: A002 - the contract's word
        duration: int = 3000,
    ) -> Result:
        """The platform's acceptance, once its audit row is on disk.

        `type` is typing, paused or typing_stopped; `duration` 100..10000 ms. Raises Rejected (422 for bad values,
        409 for a session that is not active, 429, 502, 504 as the platform said), TooSoon inside the session's
        interval, Unavailable after `deactivate`.
        """
        assembly = self._running()
        if not self._is_active:
            raise Unavailable("this broadcaster was deactivated: leave it, and enter it anew")
        indicator = _checked(session_id, guest_id, type, duration)
        key = (next(iter(self._settings.gateways)), session_id)
        return await assembly.orders.broadcast(
            key,
            Address(session_id, guest_id),
            indicator=indicator,
            duration_ms=duration,
            source="broadcaster",
        )

    def get_metrics(self) -> dict[str, object]:
        """`{"displayRate": 0.0..1.0, "stats": {total, success, failed}, "auditLog": [last 100]}`, also afterwards."""
        return self._tally.shown()

    async def pending_callbacks(self, *, within_s: float) -> int:
        """How many callbacks are still to be delivered, after waiting up to `within_s` for there to be none.

        After `deactivate` none is tried any more, and nothing is waited for. Raises Unavailable once it was left.
        """
        assembly, until = self._running(), asyncio.get_running_loop().time() + within_s
        while True:
            by_state = (await assembly.outbox.depth()).by_state
            pending = by_state.get(State.PENDING, 0) + by_state.get(State.INFLIGHT, 0)
            is_tried = self._is_active or self._draining.locked()
            if not (pending and is_tried) or asyncio.get_running_loop().time() >= until:
                return pending
            await asyncio.sleep(LOOK_S)

    async def deactivate(self) -> None:
        """Refuses what comes from now on, and lets what is under way end."""
        was_active, self._is_active = self._is_active, False
        async with self._draining:  # whoever comes second is back no sooner than the first
            if was_active and self._assembly is not None:
                await self._assembly.drain()

    def _in_scratch(self) -> Settings:
        self._scratch = tempfile.TemporaryDirectory(prefix="typing-relay-")
        outbox = Outbox(path=Path(self._scratch.name) / "outbox.db")
        return self._settings.model_copy(update={"outbox": outbox})

    def _running(self) -> Assembly:
        if self._assembly is None:
            raise Unavailable("this broadcaster is not entered: enter it with `async with`, and ask within")
        return self._assembly


def _tracker(url: str | None, secret: str | None) -> dict[str, Endpoint]:
    if url is None:
        if secret is not None:
            raise SettingsError("webhook_url: nothing is sent without it; give it with webhook_secret")
        return {}
    if secret is None:
        raise SettingsError(
            "webhook_secret: callbacks are always signed; give a whsec_ secret with webhook_url"
        )
    return {"tracker": Endpoint(url=url, secrets=(SecretStr(secret),), allow_cidrs=reach.opened_by(url))}


def _explained(error: ErrorDetails) -> str:
    place = ".".join(map(str, error["loc"]))
    words = error["msg"].removeprefix("Value error, ")
    return f"{place}: {words}" if place else words  # what several values are wrong together names them itself


def _checked(session_id: str, guest_id: str, kind: str, duration_ms: int) -> Indicator:
    problems = []
    if not is_uuid(session_id):
        problems.append(("sessionId", "wanted a UUID in lower case"))
    if not is_id(guest_id):
        problems.append(
            ("guestId", "wanted 1..128 of A-Z a-z 0-9 . _ : ~ -, beginning with a letter or digit")
        )
    if kind not in {one.value for one in Indicator}:
        problems.append(("type", "wanted typing, paused or typing_stopped"))
    if type(duration_ms) is not int or duration_ms not in DURATION_MS:
        problems.append(("duration", "wanted whole milliseconds, 100..10000"))
    if problems:
        detail = "; ".join(f"{place}: {words}" for place, words in problems)
        raise Rejected(422, "Invalid broadcast", detail, problems=tuple(problems))
    return Indicator(kind)
