"""What stands around a relay under test: its platform, its tracker, its callers, and the folder it lives in."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import aiohttp
from multidict import CIMultiDictProxy
from standardwebhooks import Webhook

from relay import wire
from relay.sandbox.arrivals import Arrival
from relay.sandbox.chaos import Chaos
from relay.sandbox.platform import StandInPlatform
from tests.outbox.receiver import SECRET, Receiver, receiving
from tests.whole.process import RelayProcess, serving

GUEST = "guest-17"

BRISK: Mapping[str, str] = {
    "RELAY_TYPING__DURATION_MS": "900",
    "RELAY_TYPING__MIN_INTERVAL_MS": "400",
    "RELAY_TYPING__MARGIN_MS": "200",
    "RELAY_TYPING__PAUSE_AFTER_MS": "600",
    "RELAY_TYPING__STOP_AFTER_MS": "1600",
}
"""The machine at about four times its usual pace, for tests whose subject is not the pace."""


def session_id(number: int = 1) -> str:
    return str(UUID(int=number))


class Reply(NamedTuple):
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def value(self) -> Any:  # Any: JSON
        return wire.loads(self.body)


class Event(NamedTuple):
    """One callback the tracker could verify."""

    id: str
    type: str
    data: dict[str, Any]
    bytes: bytes


@dataclass
class Town:
    home: Path
    platform: StandInPlatform
    receiver: Receiver
    http: aiohttp.ClientSession
    environ: dict[str, str] = field(default_factory=dict)
    _proven: dict[str, list[Event]] = field(default_factory=dict)
    """By secret, what was verified already: those who wait look every ten milliseconds."""

    @asynccontextmanager
    async def relay(self, environ: Mapping[str, str] = BRISK, /, **more: str) -> AsyncIterator[RelayProcess]:
        """A relay of this town, told by the tutorial's names and `environ`."""
        async with serving(self.home, self.environ | dict(environ) | more) as relay:
            yield relay

    # -- the caller ------------------------------------------------------------------------------------------

    async def ask(
        self,
        method: str,
        url: str,
        value: wire.Json = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        said = {"Content-Type": "application/json"} if value is not None else {}
        body = wire.dumps(value) if value is not None else None
        async with self.http.request(method, url, data=body, headers=said | dict(headers or {})) as response:
            return Reply(response.status, response.headers, await response.read())

    async def post(self, relay: RelayProcess, value: wire.Json, **headers: str) -> Reply:
        return await self.ask("POST", f"{relay.public}/v1/events", value, headers=headers)

    async def type(
        self, relay: RelayProcess, number: int = 1, *, kind: str = "keystroke", **more: Any
    ) -> None:
        """One event, and it is accepted."""
        reply = await self.post(relay, event(number, kind) | more)
        assert (reply.status, reply.value["accepted"]) == (202, 1), reply.body

    async def order(self, relay: RelayProcess, number: int = 1, kind: str = "typing", **more: Any) -> Reply:
        value = {"sessionId": session_id(number), "guestId": GUEST, "type": kind} | more
        return await self.ask("POST", f"{relay.public}/v1/broadcasts", value)

    async def look(self, relay: RelayProcess, path: str, **headers: str) -> Reply:
        return await self.ask("GET", relay.operations + path, headers=headers)

    async def audit(self, relay: RelayProcess, query: str = "") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.look(relay, f"/v1/audit{query}")).value["audit"]
        return rows

    # -- the platform ----------------------------------------------------------------------------------------

    def told(self, number: int = 1) -> list[str]:
        """What the platform was told of that session, in order."""
        return [(a.indicator or "?").lower() for a in self.calls(number)]

    def calls(self, number: int = 1) -> list[Arrival]:
        return [a for a in self.platform.arrivals if a.session_id == session_id(number)]

    # -- the tracker -----------------------------------------------------------------------------------------

    def events(self, kind: str = "", *, secret: str = SECRET) -> list[Event]:
        """Every callback so far, each proven by the reference library, repetitions included."""
        proven, verifier = self._proven.setdefault(secret, []), Webhook(secret)
        for got in self.receiver.got[len(proven) :]:
            value = verifier.verify(got.body, got.headers)
            proven.append(Event(got.event_id, value["type"], value["data"], got.body))
        return [each for each in proven if each.type.startswith(kind)]

    def transitions(self, number: int = 1, *, secret: str = SECRET) -> list[tuple[str, str]]:
        """(state, reason) of that session's `session.*` events, in order of their sequence."""
        events = once(self.events("session.", secret=secret))
        mine = [e for e in events if e.data["sessionId"] == session_id(number)]
        mine.sort(key=lambda e: e.data["sequence"])
        return [(e.type.removeprefix("session."), e.data["reason"]) for e in mine]


def event(number: int = 1, kind: str = "keystroke", **more: Any) -> dict[str, Any]:
    return {"sessionId": session_id(number), "guestId": GUEST, "type": kind} | more


def once(events: Sequence[Event]) -> list[Event]:
    """Without repetitions, which have the same bytes."""
    first: dict[str, Event] = {}
    for each in events:
        assert first.setdefault(each.id, each).bytes == each.bytes, "one id, two bodies"
    return list(first.values())


def assert_no_gap(events: Sequence[Event]) -> None:
    """Every session's sequence is 1, 2, 3 … with nothing missing."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for each in events:
        if "sequence" in each.data:
            numbers[each.data["sessionId"]].add(each.data["sequence"])
    for session, seen in numbers.items():
        assert seen == set(range(1, len(seen) + 1)), f"{session} has the numbers {sorted(seen)}"


@asynccontextmanager
async def town_at(home: Path, chaos: Chaos | None = None) -> AsyncIterator[Town]:
    """A platform that behaves and a tracker that answers 200, until told otherwise."""
    async with (
        StandInPlatform(chaos or Chaos.none()) as platform,
        receiving() as receiver,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
    ):
        town = Town(home, platform, receiver, http)
        town.environ = {
            "GENESYS_CLIENT_ID": platform.identity.client_id,
            "GENESYS_CLIENT_SECRET": platform.identity.client_secret,
            "GENESYS_API_BASE_URL": platform.base_url,
            "WEBHOOK_URL": receiver.url,
            "WEBHOOK_SECRET": SECRET,
        }
        yield town
        await asyncio.sleep(0)
