"""The stand-in's notifications: how an application learns that a guest is typing.

    POST /api/v2/notifications/channels                       ─► {id, connectUri, expires}
    POST, PUT /api/v2/notifications/channels/{id}/subscriptions   [{"id": topic}], added or instead of what was
                                                              ─► each topic Permitted, or Rejected and why
    GET  /api/v2/notifications/availabletopics                what there is to subscribe to
    GET  /channels/{id}                                       the socket of `connectUri`: {topicName, eventBody}

One topic carries typing here, and only a guest's: `v2.users.{id}.conversations.inbound.typing.event`, of the agents who
are connected. An agent's own typing has no topic on the real platform either.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from aiohttp import web

from relay import wire
from relay.core.moments import Ms, UnixMs, rfc3339
from relay.sandbox.callers import CLIENT, Callers
from relay.sandbox.chaos import Mischief
from relay.sandbox.cloud import USUAL_DURATION_MS, Cloud
from relay.sandbox.conversations import Conversation
from relay.sandbox.faults import Fault, json_answer

MOST_CHANNELS = 20
MOST_TOPICS = 1000
MOST_WAITING = 1000
KEPT_CHANNELS = 10_000
LIFE_MS = 24 * 3_600_000
HEARTBEAT_S = 30.0

TOPIC = "v2.users.{id}.conversations.inbound.typing.event"
_TOPIC = re.compile(r"v2\.users\.([^.]+)\.conversations\.inbound\.typing\.event")
HEARTBEAT = {"topicName": "channel.metadata", "eventBody": {"message": "WebSocket Heartbeat"}}

Told = dict[str, object]


@dataclass(slots=True, eq=False)
class Channel:
    """`caller` made it; `waiting` is what its socket is still to send, bounded: what does not fit is counted."""

    caller: str
    expires_at: Ms
    id: str = field(default_factory=lambda: f"streaming-{uuid4()}")
    topics: dict[str, None] = field(default_factory=dict)
    waiting: asyncio.Queue[Told | None] | None = None
    dropped: int = 0

    def connect(self) -> asyncio.Queue[Told | None]:
        """The queue of a new socket; the one before is closed."""
        self.close()
        self.waiting = asyncio.Queue(MOST_WAITING)
        return self.waiting

    def push(self, told: Told | None) -> None:
        if self.waiting is None:
            return
        try:
            self.waiting.put_nowait(told)
        except asyncio.QueueFull:
            self.dropped += 1

    def close(self) -> None:
        """Its socket goes once everything before is sent, or at once where it does not read."""
        if self.waiting is not None and self.waiting.full():
            self.waiting.get_nowait()
        self.push(None)
        self.waiting = None


class Notifications:
    def __init__(
        self, cloud: Cloud, callers: Callers, mischief: Mischief, *, wall: Callable[[], UnixMs]
    ) -> None:
        self._callers = callers
        self._mischief = mischief
        self._wall = wall
        self._channels: dict[str, Channel] = {}
        cloud.on_guest_typing.append(self._publish)

    def add_routes(self, app: web.Application) -> None:
        base = "/api/v2/notifications"
        app.router.add_post(f"{base}/channels", self._open)
        app.router.add_post(f"{base}/channels/{{channel_id}}/subscriptions", self._subscribe)
        app.router.add_put(f"{base}/channels/{{channel_id}}/subscriptions", self._subscribe)
        app.router.add_get(f"{base}/availabletopics", self._topics)
        app.router.add_get("/channels/{channel_id}", self._socket)

    # -- channels --------------------------------------------------------------------------------------------

    async def _open(self, request: web.Request) -> web.Response:
        """The twenty-first of one caller's takes the place of the first. Raises Fault."""
        caller = self._callers.check(request)
        mine = [each for each in self._channels.values() if each.caller == caller]
        if len(mine) >= MOST_CHANNELS:
            self._drop(mine[0])
        if len(self._channels) >= KEPT_CHANNELS:
            self._drop(next(iter(self._channels.values())))
        channel = Channel(caller, _now() + LIFE_MS)
        self._channels[channel.id] = channel
        return json_answer(
            {
                "id": channel.id,
                "connectUri": f"ws://{request.host}/channels/{channel.id}",
                "expires": rfc3339(self._wall() + LIFE_MS),
            }
        )

    def _drop(self, channel: Channel) -> None:
        channel.close()
        del self._channels[channel.id]

    def _found(self, channel_id: str) -> Channel:
        channel = self._channels.get(channel_id)
        if channel is not None and _now() >= channel.expires_at:
            self._drop(channel)
            channel = None
        if channel is None:
            raise Fault(404, "not.found", "The requested resource was not found.")
        return channel

    async def _subscribe(self, request: web.Request) -> web.Response:
        """Raises Fault."""
        caller = self._callers.check(request)
        channel = self._found(request.match_info["channel_id"])
        if channel.caller != caller:
            raise Fault(403, "not.authorized", "This channel is another's.")
        asked = await _ids(request)
        before = {} if request.method == "PUT" else channel.topics
        problems = {topic: self._problem(topic, caller) for topic in asked}
        permitted = {topic: None for topic, problem in problems.items() if problem is None}
        if len(before | permitted) > MOST_TOPICS:
            raise Fault(400, "bad.request", f"A channel has {MOST_TOPICS} topics at most.")
        channel.topics = before | permitted
        return json_answer({"entities": [_state(*each) for each in problems.items()]})

    def _problem(self, topic: str, caller: str) -> str | None:
        """Why this caller is not told of it; a topic of a user's is bound to that user."""
        known = _TOPIC.fullmatch(topic)
        if known is None:
            return "There is no such topic here."
        is_theirs = caller == known[1] or (caller == CLIENT and not self._mischief.chaos.wants_users)
        return None if is_theirs else "The topic is another user's."

    async def _topics(self, request: web.Request) -> web.Response:
        """Raises Fault."""
        self._callers.check(request)
        topic = {
            "id": TOPIC,
            "description": "A guest is typing in a conversation of this user's.",
            "requiresCurrentUser": self._mischief.chaos.wants_users,
            "topicParameters": ["id"],
            "visibility": "Public",
        }
        return json_answer({"entities": [topic]})

    # -- what is told ----------------------------------------------------------------------------------------

    def _publish(self, conversation: Conversation) -> None:
        users = {leg.user_id for leg in conversation.legs if leg.state == "connected" and leg.user_id}
        for topic in (TOPIC.replace("{id}", user) for user in sorted(users)):
            told: Told = {"topicName": topic, "eventBody": self._body(conversation)}
            for channel in self._channels.values():
                if topic in channel.topics:
                    channel.push(told)

    def _body(self, conversation: Conversation) -> Told:
        """Never with a guest's token: whoever has that is the guest."""
        to = conversation.integration_id or conversation.id
        message: Told = {
            "channel": {
                "id": to,
                "platform": "Open" if conversation.medium == "open" else "WebMessaging",
                "from": {"id": conversation.visitor_id or conversation.customer.participant_id},
                "to": {"id": to},
                "time": rfc3339(self._wall()),
            },
            "type": "Event",
            "events": [
                {"eventType": "Typing", "typing": {"type": "On", "duration": USUAL_DURATION_MS}},
            ],
            "direction": "Inbound",
        }
        return {"conversationId": conversation.id, "normalizedMessage": message}

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        """No bearer: the address, which nobody can guess, is the credential. Raises Fault (404)."""
        channel = self._found(request.match_info["channel_id"])
        socket = web.WebSocketResponse(max_msg_size=4096, compress=False)
        await socket.prepare(request)
        writer = asyncio.create_task(_write(socket, channel.connect()), name="sandbox: notifications")
        try:
            async for _ in socket:
                pass  # what a client may say here is not for us
        finally:
            writer.cancel()
            await asyncio.wait({writer})
        return socket


async def _write(socket: web.WebSocketResponse, waiting: asyncio.Queue[Told | None]) -> None:
    """A heartbeat whenever nothing was told for so long."""
    told: Told | None = {}
    while told is not None:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                told = await waiting.get()
        except TimeoutError:
            told = dict(HEARTBEAT)
        if told is not None:
            await socket.send_str(wire.dumps(told).decode())
    await socket.close()


async def _ids(request: web.Request) -> list[str]:
    """The topics of a body like [{"id": …}]. Raises Fault (400)."""
    try:
        value = wire.loads(await request.read())
    except wire.NotJson:
        value = None
    ids = [each.get("id") for each in value if isinstance(each, dict)] if isinstance(value, list) else []
    known = [each for each in ids if isinstance(each, str)]
    if not known or not isinstance(value, list) or len(known) != len(value):
        raise Fault(400, "bad.request", "The body must be a list of {id}.")
    return known


def _state(topic: str, problem: str | None) -> Told:
    if problem is None:
        return {"id": topic, "state": "Permitted"}
    return {"id": topic, "state": "Rejected", "rejectionReason": problem}


def _now() -> Ms:
    return asyncio.get_running_loop().time() * 1000
