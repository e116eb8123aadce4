"""The public doors: what is asked where, by whom, and what comes of it.

    request ─► meant for us? ─► which door? ─► who? ─► rate ─► form, size, time ─► fields ─► rate ─► intake ─► 202
               hosts            404, 405       credentials     body                events           seen, accept

Whoever signs is known only once its body is here: then `who?` and the first `rate` come after `time`.

A table of paths on aiohttp's low-level server: its router and `Application` would be a seventh of an event's
price, for names we can look up in a dictionary.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from relay.core.moments import Ms, UnixMs, rfc3339
from relay.core.ticket import Ticket
from relay.errors import Rejected, Unavailable
from relay.ingest import event_door
from relay.ingest.accounts import Accounts
from relay.ingest.adapters.door import PREFIX as SOURCES
from relay.ingest.adapters.door import SourceDoor
from relay.ingest.answers import refusal, reply
from relay.ingest.api import public_documents
from relay.ingest.body import Form, admit, form_of, payer, read_body
from relay.ingest.counts import count_refusal
from relay.ingest.credentials import WRITE, Caller, Credentials
from relay.ingest.event_door import EventDoor
from relay.ingest.events import EventReader, actor_key
from relay.ingest.hosts import Headers, HostRule
from relay.ingest.intake import Beyond, Intake
from relay.ingest.orders import address_of, read_order, request_of
from relay.ingest.pages import is_preflight, let_read, preflight
from relay.ingest.refusals import WrongMethod
from relay.ingest.streams import Streams
from relay.ingest.tickets import DEFAULT_LIFE_S, read_ticket_request, ticketed_address
from relay.ingest.unproven import Unproven
from relay.observe.metrics import Metrics
from relay.settings.models import Server, Settings

_ONLY_JSON = frozenset({Form.JSON})
_DRAINING_RETRY_S = 5.0  # a restart takes ten at most; most of it is over by then


Door = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Doors:
    """Answers every request of the public listener; hand it to a `Listener`."""

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        beyond: Beyond,
        *,
        metrics: Metrics,
        now: Callable[[], Ms],
        wall: Callable[[], UnixMs],
    ) -> None:
        self.credentials = credentials
        """Replaced by what `prepared` returns."""
        self.is_draining = False
        """Set when the relay is about to stop: every further request is answered 503."""
        self._limits: Server = settings.server
        self._accounts = Accounts(settings, metrics=metrics)
        self._hosts = HostRule(settings.server.host, settings.server.allowed_hosts)
        self._reader = EventReader(max_events=settings.server.max_batch_events)
        self._beyond = beyond
        self._metrics = metrics
        self.intake = Intake(self._accounts, beyond, self._reader, metrics=metrics, now=now)
        self._now = now
        self.streams = Streams(
            self._accounts,
            self.intake,
            beyond,
            limits=settings.server,
            metrics=metrics,
            now=now,
            wall=wall,
        )
        self._hosts.origins = self._accounts.origins
        self._unproven = Unproven(
            self._accounts, self.intake, timeout_s=settings.server.body_timeout_s, metrics=metrics, now=now
        )
        self._events = EventDoor(
            credentials, self._accounts, self.intake, self._unproven,
            reader=self._reader, hosts=self._hosts, limits=settings.server, metrics=metrics, now=now, wall=wall,
        )  # fmt: skip
        self._sources = SourceDoor(
            settings, self._accounts, self.intake, self._unproven,
            key_of=lambda said: self.credentials.caller(said, WRITE), metrics=metrics, now=now, wall=wall,
        )  # fmt: skip
        self._doors: Mapping[str, Mapping[str, Door]] = {
            event_door.PATH: {hdrs.METH_POST: self._events},
            "/v1/stream": {hdrs.METH_GET: self._stream},
            "/v1/tickets": {hdrs.METH_POST: self._tickets},
            "/v1/broadcasts": {hdrs.METH_POST: self._broadcasts},
            **public_documents(),
        }

    @property
    def served(self) -> dict[str, frozenset[str]]:
        """Every path and its methods, for whoever compares the doors with what is told of them."""
        paths = {path: frozenset(methods) for path, methods in self._doors.items()}
        return paths | {f"{SOURCES}{{source}}": frozenset({hdrs.METH_POST})}

    def prepared(self, settings: Settings, credentials: Credentials) -> Callable[[], None]:
        """What takes over who may post; what the sources that stay have sent and used is remembered.

        Raises SettingsError, and then goes on as before; what it returns cannot fail.
        """
        take_sources = self._sources.prepared(settings)

        def take() -> None:
            self.credentials = self._events.credentials = credentials
            self._accounts.use(settings)
            self._hosts.origins = self._accounts.origins
            take_sources()
            self.streams.use(credentials)

        return take

    async def drain(self) -> None:
        """Refuse what comes (503), and close what is open; in about a second."""
        self.is_draining = True
        await self.streams.drain()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        is_page = hdrs.ORIGIN in request.headers
        answered = await (self._answered_to_a_page(request) if is_page else self._answered(request))
        if hdrs.EXPECT in request.headers and not request.content.is_eof():
            # Uninvited, a caller leaves its body out or sends it all the same (RFC 9110 section 10.1.1): what comes
            # next is one of two things, and is not read.
            answered.force_close()
        return answered

    def at_once(self, message: RawRequestMessage, payload: StreamReader) -> bytes | None:
        """The answer to what need not wait for aiohttp's own way (see `prompt`); None where it must."""
        return None if self.is_draining else self._events.at_once(message, payload)

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._door(request)(request)
        except (Rejected, Unavailable) as why:
            response = refusal(why)
            if hdrs.UPGRADE in request.headers:
                response.force_close()  # aiohttp takes what follows for another protocol's, and would not read it
            count_refusal(self._metrics, response.status)
            return response

    async def _answered_to_a_page(self, request: web.BaseRequest) -> web.StreamResponse:
        page = self._hosts.listed_page(request.headers)
        if page is not None and is_preflight(request) and request.rel_url.raw_path == event_door.PATH:
            return preflight(page)
        response = await self._answered(request)
        return response if page is None or response.prepared else let_read(response, page)

    def _door(self, request: web.BaseRequest) -> Door:
        """The door a request may knock at. Raises Rejected (400, 403, 404, 405), Unavailable."""
        self._hosts.check(request.headers)
        path = request.rel_url.raw_path
        methods = self._doors.get(path) or self._sources.methods(path)
        if methods is None:
            raise Rejected(404, "Not found", "nothing is served under this path: /docs tells what is")
        door = methods.get(request.method)
        if door is None:
            raise WrongMethod(", ".join(methods))
        if self.is_draining:
            raise Unavailable("the relay is stopping: repeat this later", retry_after_s=_DRAINING_RETRY_S)
        return door

    async def _broadcasts(self, request: web.BaseRequest) -> web.StreamResponse:
        headers, most = request.headers, self._limits.max_event_bytes
        if self.credentials.is_signed(headers):
            form_of(headers)
            ordered = partial(self._ordered, request)
            return await self._unproven.signed(request, self._signer, ordered, max_bytes=most)
        caller, body = await self._asked(request)
        return await self._ordered(request, caller, body)

    async def _asked(self, request: web.BaseRequest) -> tuple[Caller, bytes]:
        """Whoever came with a key, and its small body."""
        headers, limits = request.headers, self._limits
        caller = self.credentials.caller(headers, WRITE)
        if caller.ticket is not None:
            raise Rejected(403, "Forbidden", "a ticket is good for events and streams only")
        account = self._accounts[caller.source]
        admit(request, account.rates, max_bytes=limits.max_event_bytes, now=self._now())
        form_of(headers, allowed=_ONLY_JSON)
        return caller, await read_body(
            request,
            max_bytes=limits.max_event_bytes,
            timeout_s=limits.body_timeout_s,
            book=payer(request, account.rates, self._now),
        )

    async def _tickets(self, request: web.BaseRequest) -> web.StreamResponse:
        caller, body = await self._asked(request)
        if not self.credentials.pages(caller.source):
            raise Rejected(
                403, "No pages", "this source lists no page that could use a ticket: see its `origins`"
            )
        asked = read_ticket_request(body)
        address, tickets = ticketed_address(asked), self.credentials.tickets
        gateway = self.intake.gateway_for(asked.get("gateway") or caller.gateway, address)
        until = tickets.until(asked.get("lifeS") or DEFAULT_LIFE_S)
        ticket = Ticket(caller.source, gateway, address, actor_key(asked["actor"]), until)
        response = reply(200, {"ticket": tickets.sealed(ticket), "expiresAt": rfc3339(until)})
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        return response

    async def _ordered(self, request: web.BaseRequest, caller: Caller, body: bytes) -> web.StreamResponse:
        form_of(request.headers, allowed=_ONLY_JSON)
        order = read_order(body)
        address = address_of(order)
        gateway = self.intake.gateway_for(order.get("gateway") or caller.gateway, address)
        told = await self._beyond.broadcast(request_of(order, address, source=caller.source, gateway=gateway))
        return reply(200, {
            "success": told.success,
            "latencyMs": told.latency_ms,
            "auditId": told.audit_id,
            "status": told.status,
        })  # fmt: skip

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self.streams.serve(request, self.credentials)

    def _signer(self, headers: Headers, body: bytes) -> Caller:
        """Raises Rejected (401)."""
        return self.credentials.signer(headers, body, WRITE)
