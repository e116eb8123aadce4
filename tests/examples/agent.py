"""A Microsoft 365 Agents SDK agent whose guest sees it at work until its message is sent.

    python tests/examples/agent.py http://127.0.0.1:8080 5f0c2f9e-8a52-4d7e-9d3a-0123456789ab guest-17

It hears one message and answers it on the terminal; with the SDK's `CloudAdapter` in the place of `Terminal` it does so
on Teams or Direct Line, and `use(RelayMiddleware(…))` stays as it is. Needs `pip install '.[agents]'`.
"""

import asyncio
import os
import sys
from typing import Any

from microsoft_agents.activity import (
    Activity,
    ActivityTypes,
    ChannelAccount,
    ChannelId,
    ConversationAccount,
    ConversationReference,
    ResourceResponse,
    TurnContextProtocol,
)
from microsoft_agents.hosting.core import ChannelAdapter, TurnContext

from relay.client import RelayClient
from relay.integrations.agents import RelayMiddleware

Context = TurnContextProtocol[Any]  # Any: the SDK's identity, which is nobody's here


class Terminal(ChannelAdapter):
    async def send_activities(self, context: Context, activities: list[Activity]) -> list[ResourceResponse]:
        for activity in activities:
            print(activity.text, context.activity.type, flush=True)
        return [ResourceResponse(id=str(number)) for number in range(len(activities))]

    async def update_activity(self, context: Context, activity: Activity) -> None:
        raise NotImplementedError

    async def delete_activity(self, context: Context, reference: ConversationReference) -> None:
        raise NotImplementedError


async def answer(context: TurnContext) -> None:
    await asyncio.sleep(1)
    await context.send_activity("42")


async def main(url: str, session_id: str, guest_id: str) -> None:
    async with RelayClient(url, os.environ.get("RELAY_KEY")) as relay:
        terminal = Terminal()  # type: ignore[no-untyped-call] # the SDK says nothing of it
        terminal.use(RelayMiddleware(relay))
        heard = Activity(
            type=ActivityTypes.message,
            text="?",
            channel_id=ChannelId("terminal"),
            service_url="http://127.0.0.1/",
            conversation=ConversationAccount(id=session_id),
            from_property=ChannelAccount(id=guest_id),
            recipient=ChannelAccount(id="agent"),
        )
        await terminal.run_pipeline(TurnContext(terminal, heard), answer)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python tests/examples/agent.py URL SESSION_ID GUEST_ID")
    asyncio.run(main(*sys.argv[1:]))
