"""A downstream tracker that trusts nothing: it checks every signature, and whether anything is missing or double.

    POST /hooks             the endpoint to configure: verify, then note
    GET  /tracker/events    what came, with the gaps and repetitions seen
    POST /tracker/switches  be slow, be broken

It counts by itself, so that its figures can be held against the relay's own.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relay.core.moments import UnixMs
from relay.core.signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Check, Keys
from relay.sandbox.faults import json_answer, json_body
from relay.sandbox.serving import Listener, unix_ms

KEPT_EVENTS = 10_000
KEPT_IDS = 1_000_000


class Switches(BaseModel):
    """How the tracker misbehaves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: int = Field(204, ge=200, le=599)
    delay_ms: float = Field(0, ge=0, le=3_600_000)
    is_dead: bool = False
    """Read the event, then cut the connection: not noted."""


@dataclass(frozen=True, slots=True)
class Received:
    """One verified delivery."""

    at: UnixMs
    message_id: str
    type: str
    body: dict[str, Any]


@dataclass(slots=True)
class Ledger:
    """What a careful receiver knows: every id once, every session's sequence without a hole."""

    received: deque[Received] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    unverified: Counter[Check] = field(default_factory=Counter)
    accepted: int = 0
    duplicates: int = 0
    gaps: int = 0
    disorders: int = 0
    _ids: dict[str, None] = field(default_factory=dict)
    _last: dict[tuple[str, str], int] = field(default_factory=dict)

    def note(self, event: Received) -> bool:
        """Take one verified delivery into account; False for a repeated id, which counts and changes nothing else."""
        if event.message_id in self._ids:
            self.duplicates += 1
            return False
        self._ids[event.message_id] = None
        if len(self._ids) > KEPT_IDS:
            del self._ids[next(iter(self._ids))]
        self.accepted += 1
        self.received.append(event)
        self._check_sequence(event.body.get("data"))
        return True

    def _check_sequence(self, data: object) -> None:
        if not isinstance(data, dict) or not isinstance(data.get("sequence"), int):
            return
        session, sequence = (str(data.get("gateway")), str(data.get("sessionId"))), data["sequence"]
        last = self._last.get(session, 0)
        self.gaps += sequence > last + 1
        self.disorders += sequence <= last
        self._last[session] = max(last, sequence)

    def summary(self) -> dict[str, object]:
        return {
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "gaps": self.gaps,
            "disorders": self.disorders,
            "unverified": {check.value: times for check, times in self.unverified.items()},
        }


class Tracker:
    """`async with Tracker(["whsec_…"]) as tracker:` serves on a free loopback port until the block ends.

    `wall` is what timestamps are held against; `on_received` is told of each verified event once.
    """

    def __init__(
        self,
        secrets: list[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        wall: Callable[[], UnixMs] = unix_ms,
        on_received: Callable[[Received], None] = lambda _: None,
    ) -> None:
        self.ledger = Ledger()
        self.switches = Switches()
        self._keys = Keys(secrets)
        self._wall = wall
        self._on_received = on_received
        app = web.Application(client_max_size=1_048_576)
        app.router.add_post("/hooks", self._hook)
        app.router.add_get("/tracker/events", self._events)
        app.router.add_post("/tracker/switches", self._switch)
        self._listener = Listener(app, host=host, port=port)

    async def __aenter__(self) -> Self:
        await self._listener.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.close()

    @property
    def base_url(self) -> str:
        return self._listener.base_url

    @property
    def url(self) -> str:
        """What to configure as an endpoint's `url`."""
        return f"{self.base_url}/hooks"

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await asyncio.sleep(self.switches.delay_ms / 1000)
        if self.switches.is_dead and request.transport is not None:
            request.transport.abort()
            return web.Response(status=503)
        check = self._check(request, body)
        if check is not Check.VERIFIED:
            self.ledger.unverified[check] += 1
            return json_answer({"error": check.value}, status=401)
        if self.switches.status < 300:
            self._note(request.headers[ID_HEADER], await json_body(request))
        return web.Response(status=self.switches.status)

    def _check(self, request: web.Request, body: bytes) -> Check:
        headers = request.headers
        named = (headers.get(ID_HEADER), headers.get(TIMESTAMP_HEADER), headers.get(SIGNATURE_HEADER))
        return self._keys.verify(*named, body, now=self._wall())

    def _note(self, message_id: str, body: dict[str, Any]) -> None:
        event = Received(self._wall(), message_id, str(body.get("type", "")), body)
        if self.ledger.note(event):
            self._on_received(event)

    async def _events(self, _request: web.Request) -> web.Response:
        return json_answer({**self.ledger.summary(), "events": list(self.ledger.received)})

    async def _switch(self, request: web.Request) -> web.Response:
        try:
            self.switches = Switches.model_validate(await json_body(request))
        except ValidationError as why:
            problems = [
                {"where": ".".join(map(str, each["loc"])), "problem": each["msg"]} for each in why.errors()
            ]
            return json_answer({"problems": problems}, status=422)
        return json_answer(self.switches.model_dump())
