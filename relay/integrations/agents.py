"""Microsoft 365 Agents SDK: while a turn answers a message, its guest sees the agent at work.

adapter.use(RelayMiddleware(client))

 a message comes in ──► begin ──► the agent sends a message ──► answered, end
                          ▲                    │
                          └── sends `typing` ◄─┘            the turn is over, however ──► end
"""

from collections.abc import Awaitable, Callable
from typing import Any

from microsoft_agents.activity import Activity, ActivityTypes
from microsoft_agents.hosting.core import TurnContext

from relay.integrations.whose import Client, Finding, Place, Use


def from_activity(activity: Activity) -> Place | None:
    """The conversation, and who wrote in it.

    Channels whose ids hold more than `A-Z a-z 0-9 . _ : ~ -` need a function of their own, and so does a gateway of
    kind `guest` where a conversation's id is no UUID.
    """
    return Place(activity.conversation.id, activity.from_property.id)


class RelayMiddleware:
    """For an adapter's `use`; `whose` finds session and guest in the activity that came in."""

    def __init__(self, client: Client, *, whose: Callable[[Activity], Place | None] = from_activity) -> None:
        self._client = client
        self._whose = Finding(whose, where="a message")

    async def on_turn(self, context: TurnContext, logic: Callable[[TurnContext], Awaitable[Any]]) -> None:
        place = self._whose(context.activity) if context.activity.type == ActivityTypes.message else None
        if place is None:
            await logic(context)
            return
        turn = _Turn(self._client, place)
        context.on_send_activities(turn.sending)
        turn.work()
        try:
            await logic(context)
        finally:
            turn.over()


class _Turn:
    def __init__(self, client: Client, place: Place) -> None:
        self._client = client
        self._place = place
        self._use: Use | None = None
        self._is_over = False

    def work(self) -> None:
        if self._use is None and not self._is_over:
            self._use = self._client.thinking(self._place.session_id, self._place.guest_id)
            self._use.begin()

    def rest(self) -> None:
        if self._use is not None:
            self._use.end()
        self._use = None

    def over(self) -> None:
        """Nobody would end what is begun by something the turn has left behind."""
        self._is_over = True
        self.rest()

    async def sending(
        self,
        _context: TurnContext,
        activities: list[Activity],
        go_on: Callable[[], Awaitable[Any]],  # Any: the SDK's answer, handed through
    ) -> Any:
        sent = await go_on()
        kinds = {activity.type for activity in activities}
        if ActivityTypes.message in kinds:
            if self._use is not None:
                self._use.answered()
            self.rest()
        elif ActivityTypes.typing in kinds:
            self.work()
        return sent
