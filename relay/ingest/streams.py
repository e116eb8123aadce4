"""`GET /v1/stream`: who may open one, which are open, and what their closing means.

handshake ─► who? (header, or a ticket among the subprotocols) ─► rate, cap ─► 101 ─► stream ─► closed
                                                   no other stream carries its actors ─► `actor_left` for each
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from aiohttp import hdrs, web

from relay.core.activity import Activity
from relay.core.moments import Ms, UnixMs
from relay.core.ticket import PREFIX as TICKET_PREFIX
from relay.errors import Rejected, Unavailable
from relay.ingest.accounts import Accounts
from relay.ingest.carried import Carried
from relay.ingest.credentials import WRITE, Caller, Credentials
from relay.ingest.ends import End
from relay.ingest.intake import Beyond, Intake
from relay.ingest.shares import Share
from relay.ingest.stream import GRACE_S, Socket, Stream
from relay.ingest.turns import Turns
from relay.ingest.workshop import Workshop
from relay.observe.metrics import Metrics
from relay.observe.series import STREAM_ENDS, STREAM_ERRORS, STREAM_FRAMES, STREAMS
from relay.settings.models import Server

PROTOCOL = "typing-relay.v1"
"""What a page offers beside its ticket, since the server must choose one and a ticket is not to be repeated."""

_LEAVE_AT_ONCE = 500
_CLOSE_S = 1.0
TICKETED_S = 12 * 3600
"""A stream opened with a ticket lives as long: a working day and more, and then its page asks for leave once again."""
_LOOKED_AT_S = 60.0
"""How late a stream may end whose end came nearer because the wall clock was set."""
_QUERY = "leaveOnClose"


class Streams:
    """Every open stream of the relay."""

    def __init__(
        self,
        accounts: Accounts,
        intake: Intake,
        beyond: Beyond,
        *,
        limits: Server,
        metrics: Metrics,
        now: Callable[[], Ms],
        wall: Callable[[], UnixMs],
    ) -> None:
        self._accounts = accounts
        self._intake = intake
        self._beyond = beyond
        self._limits = limits
        self._metrics = metrics
        self._now = now
        self._wall = wall
        self._carried = Carried()
        self._open: dict[Stream, web.BaseRequest] = {}
        self._of_source: Counter[str] = Counter()
        self._turns: dict[str, Turns] = {}
        self._timers: dict[Stream, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._is_draining = False
        metrics.watch(STREAMS, lambda: {(name,): float(count) for name, count in self._of_source.items()})

    async def serve(self, request: web.BaseRequest, credentials: Credentials) -> web.StreamResponse:
        """The stream, from its handshake to its end. Raises Rejected (400, 401, 403, 426, 429)."""
        caller = _caller(request, credentials)
        account = self._accounts[caller.source]
        share = None if caller.ticket is None else account.shares.of(caller.ticket, self._now())
        (account if share is None else share).rates.admit_request(0, self._now())
        leaves = _leaves(request, is_default=account.leave_on_close)
        socket = _socket(request, max_bytes=self._limits.max_event_bytes)
        if self._of_source[caller.source] >= account.max_streams:
            raise _too_many_streams("this source has as many open as it may (max_streams)")
        if share is not None and share.is_full:
            raise _too_many_streams("this actor has as many open in this session as tickets are good for")
        stream = Stream(caller, self._lines(caller.source, share), socket, self._workshop(caller.source))
        self._open[stream] = request  # before the first await, so that the cap holds
        self._of_source[caller.source] += 1
        if share is not None:
            share.streams += 1
        transport = request.transport
        if caller.ticket is not None:
            stream.caller = replace(caller, good_until=self._wall() + TICKETED_S * 1000)
        try:
            await socket.prepare(request)
            self._end_in_time(stream)
            await stream.run()
        finally:
            del self._open[stream]
            self._stop_timer(stream)
            self._of_source[caller.source] -= 1
            if share is not None:
                share.streams -= 1
            self._metrics.counter(STREAM_ENDS, stream.why.value).value += 1
            left = self._carried.closed(stream.load)
            if leaves and not self._is_draining:
                await self._leave(left)
            _hang_up(transport)
        return socket

    def use(self, credentials: Credentials) -> None:
        """Settings were read again: streams whose credentials are no longer good are closed."""
        for stream, request in self._open.items():
            try:
                stream.caller = _still(stream.caller, request, credentials)
                self._end_in_time(stream)
            except Rejected:
                self._end_soon(stream, End.REVOKED)

    async def drain(self) -> None:
        """Close all of them (1001), in about a second. Their sessions are stopped by the drain that follows."""
        self._is_draining = True
        for stream in self._open:
            self._end_soon(stream, End.DRAINING)
        if self._ending:
            await asyncio.wait(self._ending, timeout=_CLOSE_S)

    def _end_in_time(self, stream: Stream) -> None:
        """Once its credentials are over; asked now and then, since only the wall clock knows when."""
        self._stop_timer(stream)
        good_until = stream.caller.good_until
        if good_until is None:
            return
        left_s = (good_until - self._wall()) / 1000
        if left_s <= 0:
            self._end_soon(stream, End.REVOKED)
        else:
            nap_s = min(left_s, _LOOKED_AT_S)
            self._timers[stream] = asyncio.get_running_loop().call_later(nap_s, self._end_in_time, stream)

    def _stop_timer(self, stream: Stream) -> None:
        timer = self._timers.pop(stream, None)
        if timer is not None:
            timer.cancel()

    def _end_soon(self, stream: Stream, why: End) -> None:
        task = asyncio.create_task(stream.end(why), name=f"stream-end-{why.value}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _lines(self, source: str, share: Share | None) -> tuple[Turns, ...]:
        """Before its ticket's rates, where it came with one (few streams share those), and before its source's."""
        own = () if share is None else (Turns(share.rates, self._now),)
        return (*own, self._turns_of(source))

    def _turns_of(self, source: str) -> Turns:
        """The line before a source's rates, made on first use: sources are few and fixed."""
        turns = self._turns.get(source)
        if turns is None:
            turns = self._turns[source] = Turns(self._accounts[source].rates, self._now)
        return turns

    def _workshop(self, source: str) -> Workshop:
        bind = self._metrics.counter
        return Workshop(
            self._intake,
            self._carried,
            frames=bind(STREAM_FRAMES, source),
            errors=bind(STREAM_ERRORS, source),
        )

    async def _leave(self, left: list[Activity]) -> None:
        """A session at rest, or told elsewhere by now, is left alone: nobody who was carried here is in it."""
        for first in range(0, len(left), _LEAVE_AT_ONCE):
            some = [one for one in left[first : first + _LEAVE_AT_ONCE] if self._is_there(one)]
            if some:
                with suppress(Rejected, Unavailable):  # the relay is stopping, and stops every session itself
                    self._beyond.accept(some)
            await asyncio.sleep(0)

    def _is_there(self, activity: Activity) -> bool:
        session = self._beyond.awake[activity.gateway].get(activity.address.session_id)
        return session is not None and session.address == activity.address


def _too_many_streams(why: str) -> Rejected:
    return Rejected(429, "Too many streams", why, retry_after_s=5)


def _caller(request: web.BaseRequest, credentials: Credentials) -> Caller:
    ticket = next((one for one in _offered(request) if one.startswith(TICKET_PREFIX)), None)
    if ticket is None or credentials.is_open:
        return credentials.caller(request.headers, WRITE)
    return credentials.ticket_bearer(ticket, request.headers)


def _still(caller: Caller, request: web.BaseRequest, credentials: Credentials) -> Caller:
    """As of now. A ticket is asked for when the stream opens; later only its page has to be listed still."""
    if caller.ticket is None:
        return credentials.caller(request.headers, WRITE)
    if request.headers.get(hdrs.ORIGIN) not in credentials.pages(caller.source):
        raise Rejected(401, "Unauthorised", "this page is no longer listed")
    return caller


def _offered(request: web.BaseRequest) -> list[str]:
    return [one.strip() for one in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")]


def _leaves(request: web.BaseRequest, *, is_default: bool) -> bool:
    query = request.rel_url.query
    said = query.get(_QUERY)
    if len(query) > (said is not None) or said not in {None, "true", "false"}:
        raise Rejected(400, "Unknown query", f"only {_QUERY}=true or {_QUERY}=false may be asked here")
    return is_default if said is None else said == "true"


def _socket(request: web.BaseRequest, *, max_bytes: int) -> Socket:
    """Not yet prepared. Looked at here, since aiohttp's own refusals repeat what was sent, in answers and logs."""
    if request.headers.get(hdrs.UPGRADE, "").strip().lower() != "websocket":
        raise Rejected(426, "Upgrade required", "a WebSocket is opened here (RFC 6455)")
    if hdrs.SEC_WEBSOCKET_PROTOCOL in request.headers and PROTOCOL not in _offered(request):
        raise Rejected(
            400, "Unknown subprotocol", f"offer {PROTOCOL}, and a ticket beside it where there is one"
        )
    socket: Socket = web.WebSocketResponse(
        timeout=GRACE_S,
        autoclose=False,  # an ack that is due goes first
        autoping=False,  # its pings count the time in which we ourselves do not read
        protocols=(PROTOCOL,),
        compress=False,  # nothing is unpacked
        max_msg_size=max_bytes + 1,  # a message as large as that is one too many for aiohttp
        writer_limit=16_384,
        decode_text=False,
    )
    if not socket.can_prepare(request):
        raise Rejected(400, "Bad handshake", "a WebSocket handshake of version 13 is wanted (RFC 6455)")
    return socket


def _hang_up(transport: asyncio.Transport | None) -> None:
    """Closing waits until everything is sent; whoever does not read would keep that waiting for ever."""
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()
