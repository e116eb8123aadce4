"""The river between callers and the stand-in's conversations: real gateway, real throttle, the platform's limits on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from relay.carrier import Carrier
from relay.core.activity import Activity, Kind
from relay.core.engagement import Broadcast, Fact, Suppressed, Transition
from relay.core.indicator import Address, SessionKey
from relay.core.moments import Ms
from relay.core.timings import Timings
from relay.flow import Flow, Platform, Recording, Surroundings
from relay.gateway.kinds import capabilities_of, gateway_of
from relay.gateway.throttle import Throttle
from relay.observe.metrics import Metrics
from relay.observe.observer import Observer
from relay.orders import Orders
from relay.sandbox.chaos import Chaos
from relay.sandbox.conversations import Conversation
from relay.sandbox.platform import StandInPlatform
from tests.gateway.rig import CALM, now_ms, settings_for

NAME = "cloud"
WALL = 1_800_000_000_000
LAST_DIGIT_MS = 0.0015
"""What is as near as that is equal: the virtual clock counts whole microseconds, and its readings are floats."""


def agent_id(number: int) -> str:
    return str(UUID(int=0xA000 + number))


class Display(NamedTuple):
    since: Ms
    until: Ms


@dataclass
class Cloudy:
    """Times are milliseconds since the river began."""

    flow: Flow
    orders: Orders
    platform: StandInPlatform
    throttle: Throttle
    facts: list[Fact] = field(default_factory=list)
    began: Ms = field(default_factory=now_ms)

    def conversation(self, number: int = 1) -> Conversation:
        return self.platform.stagehand.open(agent_id(number), conversation_id=str(UUID(int=number)))

    def address(self, number: int = 1) -> Address:
        return Address(str(UUID(int=number)), None, None, agent_id(number))

    def act(self, kind: Kind, number: int = 1) -> None:
        self.flow.accept([Activity(NAME, self.address(number), "desk", agent_id(number), kind)])

    def type(self, number: int = 1) -> None:
        self.act(Kind.KEYSTROKE, number)

    def type_as(self, agent: int, number: int = 1) -> None:
        """Another agent's key in this conversation."""
        address = self.address(number)._replace(agent_user_id=agent_id(agent))
        self.flow.accept([Activity(NAME, address, "desk", agent_id(agent), Kind.KEYSTROKE)])

    async def play(self, keys: Sequence[Ms], number: int = 1) -> None:
        """Press these keys, each at its time after now."""
        began = now_ms()
        for at in keys:
            await asyncio.sleep(max(0.0, (began + at - now_ms()) / 1000))
            self.type(number)

    def displays(self, number: int = 1) -> list[Display]:
        """From when until when each typing that reached this conversation's guest is displayed, as the call said."""
        session = str(UUID(int=number))
        return [
            Display(a.at - self.began, a.at - self.began + a.duration_ms)
            for a in self.platform.arrivals
            if a.session_id == session and a.is_applied
        ]

    def shown_at(self, number: int = 1) -> list[Ms]:
        """When each typing of this conversation reached the guest."""
        return [display.since for display in self.displays(number)]

    def statuses(self) -> set[int]:
        return {arrival.status for arrival in self.platform.arrivals}

    def transitions(self) -> list[tuple[str, str, str | None]]:
        return [(f.state.value, f.reason.value, f.platform) for f in self.facts if isinstance(f, Transition)]

    def broadcasts(self) -> list[Broadcast]:
        return [f for f in self.facts if isinstance(f, Broadcast)]

    def suppressed(self) -> list[str]:
        return [f.why for f in self.facts if isinstance(f, Suppressed)]

    def record(self, fact: Fact) -> Recording:
        self.facts.append(fact)
        recording: Recording = asyncio.get_running_loop().create_future()
        recording.set_result(None)
        return recording


@asynccontextmanager
async def cloudy(
    chaos: Chaos = CALM,
    **changes: Any,  # settings of the gateway, which checks them
) -> AsyncIterator[Cloudy]:
    async with StandInPlatform(chaos, wall=lambda: WALL) as platform:
        settings = settings_for(platform.base_url, **{"kind": "genesys", "probe_at_start": False, **changes})

        async def carry(key: SessionKey) -> None:
            await carrier.carry(key)

        def record(fact: Fact) -> Recording:
            return it.record(fact)

        throttle = Throttle(
            NAME,
            carry,
            rate_per_minute=settings.rate_per_minute,
            burst=settings.burst,
            carriers=settings.carriers,
            has_stops=capabilities_of(settings).can_stop,
        )
        gateway = gateway_of(
            NAME, settings, permit=throttle.permit, cool_off=throttle.cool_off, wall=lambda: WALL
        )
        metrics, ids = Metrics(), iter(range(1_000_000))
        world = Surroundings(
            now_ms, lambda: WALL + round(now_ms()), lambda: 0.0, lambda: f"audit-{next(ids)}"
        )
        flow = Flow(
            {NAME: Platform(gateway, throttle, settings.timings(Timings()))},
            Timings(),
            record=record,
            world=world,
            watch=Observer(metrics, [NAME]),
        )
        carrier = Carrier(flow)
        it = Cloudy(flow, Orders(flow, carrier), platform, throttle)
        await gateway.start()
        throttle.start()
        try:
            yield it
        finally:
            flow.sessions.close()
            await throttle.close()
            await gateway.close()


@dataclass(frozen=True, slots=True)
class Darkness:
    """What a guest did not see of one who typed: `share` of the typing time, and the longest stretch of it."""

    share: float
    longest_ms: Ms
    lapses: int


def darkness(keys: Sequence[Ms], displays: Sequence[Display], *, longest_gap_ms: Ms) -> Darkness:
    """Counted by hand, not by the relay's own replay: typing time is every gap between keys up to the longest."""
    typing = dark = longest = 0.0
    lapses = 0
    runs, first = [], keys[0]
    for one, other in pairwise([*keys, float("inf")]):
        if other - one > longest_gap_ms:
            runs.append((first, one))
            first = other
    for start, end in runs:
        typing += end - start
        covered = start
        for since, until in (each for each in displays if each.since < end and each.until > start):
            gap = max(0.0, since - covered)
            dark, longest, lapses = dark + gap, max(longest, gap), lapses + (gap > LAST_DIGIT_MS)
            covered = max(covered, until)
        tail = max(0.0, end - covered)
        dark, longest, lapses = dark + tail, max(longest, tail), lapses + (tail > LAST_DIGIT_MS)
    return Darkness(dark / typing, longest, lapses)


def without_idleness(keys: Sequence[Ms], *, longest_ms: Ms) -> list[Ms]:
    """The same keys with every gap over `longest_ms` cut down to it: nothing happens in what is left out."""
    cut, now = [0.0], 0.0
    for one, other in pairwise(keys):
        now += min(other - one, longest_ms)
        cut.append(now)
    return cut


def most_in_a_minute(times: Sequence[Ms]) -> int:
    """The most of them in any half-open minute; what is a minute apart but for the last digit is a minute apart."""
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - 60_000 + LAST_DIGIT_MS:
            first += 1
        most = max(most, last - first + 1)
    return most
