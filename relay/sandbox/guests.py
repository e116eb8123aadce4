"""Guests of the stand-in platform: the Web Messaging socket, and who is connected to which conversation.

    GET /v1?deploymentId=…     WebSocket: configureSession ─► SessionResponse, then onMessage, echo, getJwt, …
                               pushed: the agent's typing and messages, the end of the conversation
    GET /webdeployments/v1/deployments/{id}/config.json

A guest's session is a `token` that the guest's client makes, and with it comes a conversation. Limits are the
documented ones: 5 messages a second, 60 requests and 2 echoes a minute, 3 connections a session.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from aiohttp import WSMsgType, web

from relay import wire
from relay.core.moments import Ms, UnixMs
from relay.sandbox import frames
from relay.sandbox.chaos import Mischief
from relay.sandbox.cloud import Cloud
from relay.sandbox.conversations import Conversation, Leg, Message
from relay.sandbox.faults import json_answer
from relay.sandbox.frames import Frame
from relay.sandbox.identity import Identity
from relay.sandbox.rates import Rolling

MOST_CONNECTIONS = 3
MOST_MESSAGE_BYTES = 4096
MOST_FRAME_BYTES = 65_536
MOST_WAITING = 1000
KEPT_SESSIONS = 100_000
JWT_S = 3600


Frames = Sequence[Frame | None]
"""What is answered, in order; None closes the socket behind it."""


@dataclass(slots=True, eq=False)
class Connection:
    """One socket; what waits to be sent is bounded, and what does not fit is counted."""

    waiting: asyncio.Queue[Frame | None] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))
    token: str | None = None
    requests: Rolling = field(default_factory=Rolling)
    dropped: int = 0

    def push(self, frame: Frame | None) -> None:
        """None: close once everything before it is sent."""
        try:
            self.waiting.put_nowait(frame)
        except asyncio.QueueFull:
            self.dropped += 1


@dataclass(slots=True)
class GuestSession:
    conversation: Conversation
    expires_at: Ms
    connections: list[Connection] = field(default_factory=list)
    messages: Rolling = field(default_factory=lambda: Rolling(1000))

    def push(self, frame: Frame) -> None:
        for connection in self.connections:
            connection.push(frame)


class Guests:
    """Every guest there is. `typed` counts the typing events guests sent."""

    def __init__(
        self, cloud: Cloud, identity: Identity, mischief: Mischief, *, wall: Callable[[], UnixMs]
    ) -> None:
        self._cloud = cloud
        self._identity = identity
        self._mischief = mischief
        self._wall = wall
        self._sessions: dict[str, GuestSession] = {}
        self._by_conversation: dict[str, GuestSession] = {}
        self.typed = 0
        cloud.on_typing.append(self._show_typing)
        cloud.on_message.append(self._show)
        cloud.on_end.append(self._show)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/v1", self._socket)
        app.router.add_get("/webdeployments/v1/deployments/{deployment_id}/config.json", self._deployment)

    def conversation_of(self, token: str) -> Conversation | None:
        """The conversation of the guest who made this token."""
        session = self._sessions.get(token)
        return None if session is None else session.conversation

    def admit(self, token: str, conversation: Conversation) -> GuestSession:
        """This token is the guest of this conversation."""
        life_ms = self._mischief.chaos.guest_session_s * 1000
        session = GuestSession(conversation, _now() + life_ms)
        self._sessions[token] = self._by_conversation[conversation.id] = session
        if len(self._sessions) > KEPT_SESSIONS:
            oldest = self._sessions.pop(next(iter(self._sessions)))
            self._by_conversation.pop(oldest.conversation.id, None)
        return session

    # -- what the platform tells guests ----------------------------------------------------------------------

    def _show_typing(self, conversation: Conversation, _leg: Leg, duration_ms: int) -> None:
        self._push(conversation, frames.agent_typing(duration_ms, self._wall()))

    def _show(self, conversation: Conversation, message: Message) -> None:
        self._push(conversation, frames.told(message))

    def _push(self, conversation: Conversation, frame: Frame) -> None:
        session = self._by_conversation.get(conversation.id)
        if session is not None:
            session.push(frame)

    # -- the socket ------------------------------------------------------------------------------------------

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        allowed = self._mischief.chaos.guest_origins
        if allowed and request.headers.get("origin") not in allowed:
            return web.Response(status=403)
        if not request.query.get("deploymentId"):
            return web.Response(status=400)
        socket = web.WebSocketResponse(max_msg_size=MOST_FRAME_BYTES)
        await socket.prepare(request)
        connection = Connection()
        writer = asyncio.create_task(_write(socket, connection), name="sandbox: guest socket")
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._hear(connection, message.data)
                else:
                    connection.push(frames.problem(400, "Only text frames are understood."))
        finally:
            self._leave(connection)
            writer.cancel()
            await asyncio.wait({writer})
        return socket

    def _hear(self, connection: Connection, text: str) -> None:
        try:
            asked = wire.loads(text.encode())
        except wire.NotJson:
            asked = None
        if not isinstance(asked, dict):
            connection.push(frames.problem(400, "A JSON object was expected."))
            return
        tracing = {"tracingId": asked["tracingId"]} if isinstance(asked.get("tracingId"), str) else {}
        for frame in self._answers(connection, asked, len(text.encode())):
            connection.push(frame if frame is None else {**frame, **tracing})

    def _answers(self, connection: Connection, asked: Mapping[str, object], length: int) -> Frames:
        wait_ms = connection.requests.admit("all", _now(), most=60)
        if wait_ms > 0:
            return [frames.too_many(ceil(wait_ms / 1000), "Request")]
        action, token = asked.get("action"), asked.get("token")
        if not isinstance(token, str) or not token:
            return [frames.problem(frames.MISSING_PARAMETER, "token is missing")]
        if action == "configureSession":
            return [self._configure(connection, token)]
        return self._in_session(connection, token, asked, length)

    def _in_session(
        self, connection: Connection, token: str, asked: Mapping[str, object], length: int
    ) -> Frames:
        session = self._sessions.get(token)
        if session is None or connection.token != token:
            return [frames.problem(frames.SESSION_NOT_FOUND, "session not found: configure it first")]
        if _now() >= session.expires_at:
            return [frames.session_expired(), frames.problem(frames.SESSION_EXPIRED, "session expired")]
        if length > MOST_MESSAGE_BYTES:
            return [frames.problem(frames.MESSAGE_TOO_LONG, "message too long")]
        return self._act(connection, session, str(asked.get("action")), asked)

    def _configure(self, connection: Connection, token: str) -> Frame:
        session = self._sessions.get(token)
        is_new = session is None or _now() >= session.expires_at
        if session is None or is_new:
            session = self.admit(token, self._cloud.conversations.add(Conversation(self._wall())))
        connection.token = token
        if connection not in session.connections:
            session.connections.append(connection)
        for extra in session.connections[:-MOST_CONNECTIONS]:
            session.connections.remove(extra)
            extra.push(frames.connection_closed("maxConnections"))
            extra.push(None)
        left_s = max(0, round((session.expires_at - _now()) / 1000))
        return frames.session_response(
            is_new=is_new,
            life_s=round(self._mischief.chaos.guest_session_s),
            expires_s=self._wall() // 1000 + left_s,
            is_read_only=session.conversation.ended_at is not None,
        )

    def _act(
        self, connection: Connection, session: GuestSession, action: str, asked: Mapping[str, object]
    ) -> Frames:
        match action:
            case "onMessage":
                return self._message(session, asked)
            case "echo":
                return [self._echo(connection, asked)]
            case "getJwt":
                return [self._jwt(str(connection.token))]
            case "closeSession":
                return [frames.connection_closed("userClose"), None]
            case "disconnectCustomer":
                self._cloud.end(session.conversation)
                return []
            case _:
                text = "Turn on the Feature Toggle or fix the configuration."
                return [frames.problem(frames.FEATURE_UNAVAILABLE, text)]

    def _message(self, session: GuestSession, asked: Mapping[str, object]) -> list[Frame]:
        wait_ms = session.messages.admit("all", _now(), most=5)
        if wait_ms > 0:
            return [frames.too_many(ceil(wait_ms / 1000), "Message")]
        message = asked.get("message")
        message = message if isinstance(message, dict) else {}
        if session.conversation.ended_at is not None:
            return [frames.problem(409, "The conversation is read-only.")]
        if message.get("type") == "Text" and isinstance(message.get("text"), str):
            said = Message("Inbound", self._wall(), message["text"])
            return [frames.told(self._cloud.conversations.note(session.conversation, said))]
        return [each for event in _events(message) for each in self._event(session.conversation, event)]

    def _event(self, conversation: Conversation, event: Mapping[str, object]) -> list[Frame]:
        """A guest's own typing is told to nobody who listens here; a Join comes back."""
        match event:
            case {"eventType": "Typing", "typing": {"type": "On"}}:
                if not self._mischief.chaos.guest_may_type:
                    return [frames.problem(403, "Turn on the Feature Toggle or fix the configuration.")]
                self.typed += 1
                self._cloud.guest_types(conversation)
                return []
            case {"eventType": "Presence", "presence": {"type": "Join"}}:
                joined = Message("Inbound", self._wall(), presence="Join")
                return [frames.told(self._cloud.conversations.note(conversation, joined))]
            case _:
                return [frames.problem(400, "This event is not understood.")]

    def _echo(self, connection: Connection, asked: Mapping[str, object]) -> Frame:
        wait_ms = connection.requests.admit("echo", _now(), most=2)
        if wait_ms > 0:
            return frames.too_many(ceil(wait_ms / 1000), "Health check")
        message = asked.get("message")
        text = message.get("text", "") if isinstance(message, dict) else ""
        return frames.echoed(text, self._wall())

    def _jwt(self, token: str) -> Frame:
        """With it the guest may read what was said."""
        jwt = self._identity.grant_guest(token, now=_now(), life_s=JWT_S)
        return frames.jwt_response(jwt, self._wall() // 1000 + JWT_S)

    def _leave(self, connection: Connection) -> None:
        session = self._sessions.get(connection.token or "")
        if session is not None and connection in session.connections:
            session.connections.remove(connection)

    async def _deployment(self, request: web.Request) -> web.Response:
        """What a widget reads before it connects; a switch that is missing there counts as off."""
        chaos = self._mischief.chaos
        switches = {
            "showAgentTypingIndicator": chaos.shows_agent_typing,
            "showUserTypingIndicator": chaos.guest_may_type,
        }
        config = {
            "id": request.match_info["deployment_id"],
            "status": "Active",
            "auth": {"enabled": False},
            "messenger": {"enabled": True, "apps": {"conversations": {"enabled": True, **switches}}},
        }
        return json_answer(config)


async def _write(socket: web.WebSocketResponse, connection: Connection) -> None:
    while (frame := await connection.waiting.get()) is not None:  # for as long as the guest is there
        await socket.send_str(wire.dumps(frame).decode())
    await socket.close()


def _events(message: Mapping[str, object]) -> list[Mapping[str, object]]:
    events = message.get("events")
    found: list[Mapping[str, object]] = []
    if isinstance(events, list):
        found = [each for each in events if isinstance(each, dict)]
    return found or [{}]


def _now() -> Ms:
    return asyncio.get_running_loop().time() * 1000
