"""`POST /v1/events`: an event, an array or lines of them, by whoever has a key, a ticket or a signature.

whole, small, of no page ─► at_once: all of it in the turn of the loop it arrives in
anything else ────────────► __call__: who? ─► rate ─► form, size, time ─► fields ─► rate ─► intake ─► 202
"""

from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from multidict import CIMultiDictProxy

from relay.core.moments import Ms, UnixMs
from relay.core.signature import ID_HEADER
from relay.errors import Rejected, Unavailable
from relay.ingest.accounts import Account, Accounts
from relay.ingest.answers import Letterhead, refusal, reply
from relay.ingest.body import Form, admit, arrived, form_of, payer, read_body, read_into
from relay.ingest.counts import count_refusal
from relay.ingest.credentials import WRITE, Caller, Credentials
from relay.ingest.events import EventReader
from relay.ingest.hosts import HostRule
from relay.ingest.intake import DUPLICATE, Intake, Taken
from relay.ingest.lines import Lines
from relay.ingest.plain import Batch
from relay.ingest.refusals import too_large
from relay.ingest.shares import Share
from relay.ingest.unproven import Unproven
from relay.observe.metrics import Metrics
from relay.settings.models import Server

PATH = "/v1/events"
_LINES = Form.LINES  # looked up once: through its class a member costs 95 ns a time (Python 3.11)

Headers = CIMultiDictProxy[str]


class EventDoor:
    """Raises Rejected, Unavailable; then nothing of a body was applied. `credentials` is replaced by its owner."""

    def __init__(
        self,
        credentials: Credentials,
        accounts: Accounts,
        intake: Intake,
        unproven: Unproven,
        *,
        reader: EventReader,
        hosts: HostRule,
        limits: Server,
        metrics: Metrics,
        now: Callable[[], Ms],
        wall: Callable[[], UnixMs],
    ) -> None:
        self.credentials = credentials
        self._accounts = accounts
        self._intake = intake
        self._unproven = unproven
        self._reader = reader
        self._hosts = hosts
        self._limits = limits
        self._metrics = metrics
        self._now = now
        self._letterhead = Letterhead(wall)

    def at_once(self, message: RawRequestMessage, payload: StreamReader) -> bytes | None:
        """The answer to a whole request, as `__call__` would give it; None, and nothing was read, where it is for another door."""
        is_ours = message.path == PATH and message.method == hdrs.METH_POST
        if not is_ours or payload.total_bytes > self._limits.max_batch_bytes:
            return None
        headers = message.headers
        try:
            self._hosts.check(headers)
            taken = self._signed_at_once if self.credentials.is_signed(headers) else self._keyed_at_once
            told = taken(headers, payload)
        except (Rejected, Unavailable) as why:
            response = refusal(why)
            count_refusal(self._metrics, response.status)
            return self._letterhead.written(response)
        return self._letterhead.accepted(told)

    def _keyed_at_once(self, headers: Headers, payload: StreamReader) -> Taken:
        caller = self.credentials.caller(headers, WRITE)
        account = self._account(caller)
        account.rates.admit_request(payload.total_bytes, self._now())
        return self._taken(caller, account, form_of(headers), payload.read_nowait())

    def _signed_at_once(self, headers: Headers, payload: StreamReader) -> Taken:
        form, body = form_of(headers), payload.read_nowait()
        caller, message_id, now = self._signer(headers, body), headers[ID_HEADER], self._now()
        account = self._accounts[caller.source]
        account.rates.admit_request(len(body), now)
        if account.knows(message_id, now):
            return self._intake.counted(caller.source, DUPLICATE)
        told = self._taken(caller, account, form, body)
        account.remember(message_id, now)
        return told

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = request.headers
        if self.credentials.is_signed(headers):
            return await self._signed(request)
        caller = self.credentials.caller(headers, WRITE)
        account = self._account(caller)
        admit(request, account.rates, max_bytes=self._limits.max_batch_bytes, now=self._now())
        form = form_of(headers)
        if form is _LINES:
            return await self._lines(request, caller, account)
        return _told(self._taken(caller, account, form, await self._body(request, account)))

    async def _body(self, request: web.BaseRequest, account: Account | Share) -> bytes:
        limits = self._limits
        is_announced = request.content_length is not None
        body = arrived(request, max_bytes=limits.max_batch_bytes) if is_announced else b""
        return body or await read_body(
            request,
            max_bytes=limits.max_batch_bytes,
            timeout_s=limits.body_timeout_s,
            book=payer(request, account.rates, self._now),
        )

    async def _signed(self, request: web.BaseRequest) -> web.StreamResponse:
        form = form_of(request.headers)

        async def answer(caller: Caller, body: bytes) -> web.StreamResponse:
            return _told(self._taken(caller, self._accounts[caller.source], form, body))

        most = self._limits.max_batch_bytes
        return await self._unproven.signed(request, self._signer, answer, max_bytes=most)

    def _signer(self, headers: Headers, body: bytes) -> Caller:
        """Raises Rejected (401)."""
        return self.credentials.signer(headers, body, WRITE)

    async def _lines(
        self, request: web.BaseRequest, caller: Caller, account: Account | Share
    ) -> web.StreamResponse:
        limits, lines = self._limits, self._new_lines()
        await read_into(
            request,
            lines.feed,
            max_bytes=limits.max_batch_bytes,
            timeout_s=limits.body_timeout_s,
            book=payer(request, account.rates, self._now),
        )
        return _told(self._all_taken(caller, account, self._intake.batch(caller, lines.end())))

    def _account(self, caller: Caller) -> Account | Share:
        account, ticket = self._accounts[caller.source], caller.ticket
        return account if ticket is None else account.shares.of(ticket, self._now())

    def _new_lines(self) -> Lines:
        limits = self._limits
        return Lines(self._reader, max_events=limits.max_batch_events, max_line_bytes=limits.max_event_bytes)

    def _taken(self, caller: Caller, account: Account | Share, form: Form, body: bytes) -> Taken:
        """What became of the events in a body. Raises Rejected, Unavailable; then of none."""
        if form is _LINES:
            lines = self._new_lines()
            lines.feed(body)
            return self._all_taken(caller, account, self._intake.batch(caller, lines.end()))
        if body.lstrip().startswith(b"["):
            return self._all_taken(caller, account, self._intake.array(caller, body))
        if len(body) > self._limits.max_event_bytes:
            raise too_large(self._limits.max_event_bytes)
        (activity,), (event_id,) = self._intake.event(caller, body)
        account.rates.admit_events(1, self._now())
        return self._intake.one(activity, event_id)

    def _all_taken(self, caller: Caller, account: Account | Share, batch: Batch) -> Taken:
        account.rates.admit_events(len(batch.ids), self._now())
        return self._intake.all(caller.source, batch)


def _told(taken: Taken) -> web.StreamResponse:
    return reply(202, taken._asdict())
