"""A turn of the real Agents SDK, through its own adapter's pipeline, and what its guest sees of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from relay.client import RelayClient
from tests.client.beside import GUEST, SESSION, beside
from tests.client.standing import standing

pytest.importorskip(
    "microsoft_agents.hosting.core", reason="the Agents SDK is not installed (extra `agents`)"
)

from microsoft_agents.activity import (
    Activity,
    ActivityTypes,
    ChannelAccount,
    ConversationAccount,
    ConversationReference,
    ResourceResponse,
    TurnContextProtocol,
)
from microsoft_agents.hosting.core import ChannelAdapter, TurnContext

from relay.integrations.agents import RelayMiddleware

pytestmark = pytest.mark.looptime

Context = TurnContextProtocol[Any]  # Any: the SDK's identity, of no concern here
Logic = Callable[[TurnContext], Awaitable[Any]]


class Adapter(ChannelAdapter):
    """Delivers into a list; everything else is the SDK's own."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # the SDK says nothing of it
        self.sent: list[Activity] = []

    async def send_activities(
        self,
        context: Context,  # noqa: ARG002 - the SDK's signature
        activities: list[Activity],
    ) -> list[ResourceResponse]:
        self.sent += activities
        return [ResourceResponse(id="1") for _ in activities]

    async def update_activity(self, context: Context, activity: Activity) -> None:
        raise NotImplementedError

    async def delete_activity(self, context: Context, reference: ConversationReference) -> None:
        raise NotImplementedError

    async def hears(
        self, logic: Logic, *, kind: str = ActivityTypes.message, session_id: str = SESSION
    ) -> None:
        came_in = Activity(
            type=kind,
            channel_id="directline",
            conversation=ConversationAccount(id=session_id),
            from_property=ChannelAccount(id=GUEST),
            recipient=ChannelAccount(id="agent"),
            service_url="http://127.0.0.1/",
            text="?",
        )
        context = TurnContext(self, came_in)
        await self.run_pipeline(context, logic)


def adapter(client: RelayClient) -> Adapter:
    it = Adapter()
    it.use(RelayMiddleware(client))
    return it


async def test_a_turn_is_shown_until_its_message_is_sent() -> None:
    async def answers(context: TurnContext) -> None:
        await asyncio.sleep(7)
        assert relay.sees() == "typing"
        await context.send_activity("42")
        await asyncio.sleep(3)
        assert relay.sees() is None
        await asyncio.sleep(5)

    async with beside() as (relay, client):
        await adapter(client).hears(answers)
        await asyncio.sleep(1)
        assert relay.timed() == [(0, "thinking"), (5, "heartbeat"), (7, "message_sent")]


async def test_typing_between_two_messages_is_shown_again() -> None:
    async def answers(context: TurnContext) -> None:
        await asyncio.sleep(1)
        await context.send_activity("a moment, please")
        await asyncio.sleep(1)
        await context.send_activity(Activity(type=ActivityTypes.typing))
        await asyncio.sleep(3)
        await context.send_activity("42")

    async with beside() as (relay, client):
        await adapter(client).hears(answers)
        await asyncio.sleep(1)
        assert relay.timed() == [(0, "thinking"), (1, "message_sent"), (2, "thinking"), (5, "message_sent")]


async def test_a_turn_that_fails_or_is_cancelled_is_over() -> None:
    async def fails(_: TurnContext) -> None:
        await asyncio.sleep(1)
        raise LookupError("no answer")

    async def hangs(_: TurnContext) -> None:
        await asyncio.sleep(60)

    async with beside() as (relay, client):
        with pytest.raises(LookupError):
            await adapter(client).hears(fails)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await adapter(client).hears(hangs)
        await asyncio.sleep(3)
        assert (relay.kinds(), relay.sees()) == (["thinking", "thinking_done"] * 2, None)


async def test_what_is_no_message_is_no_work() -> None:
    async def notes(_: TurnContext) -> None:
        await asyncio.sleep(1)

    async with standing() as relay, RelayClient(relay.url) as client:
        await adapter(client).hears(notes, kind=ActivityTypes.conversation_update)
        await client.close()
        assert relay.requests == []


async def test_a_relay_that_is_down_changes_nothing_for_the_agent() -> None:
    async def answers(context: TurnContext) -> None:
        await context.send_activity("42")

    it = adapter(RelayClient("http://127.0.0.1:1"))
    began = asyncio.get_running_loop().time()
    await it.hears(answers)
    assert asyncio.get_running_loop().time() == began
    assert [activity.text for activity in it.sent] == ["42"]


async def test_typing_that_is_sent_once_the_turn_is_over_is_no_work_that_nobody_ends() -> None:
    async def answers(context: TurnContext) -> None:
        await context.send_activity("42")
        later.append(context)

    later: list[TurnContext] = []
    async with standing() as relay, RelayClient(relay.url) as client:
        await adapter(client).hears(answers)
        await later[0].send_activity(Activity(type=ActivityTypes.typing))
        await asyncio.sleep(300)
        assert relay.kinds() == ["message_sent"]
