"""`POST /v1/sources/{source}`: a platform's own webhook, believed by its signature, read by its adapter.

    body ─► which source? signed, or a key of that source? ─► rate ─► form ─► adapter ─► rate ─► intake ─► 200 or 202
            401, the same for a source that is none                415    400 422              429 503

Platforms disable a webhook that answers with errors, or take it for a message's failure: what an adapter has no use for
is counted, and answered well. So is what an adapter of a platform's own shape cannot read or address (422 elsewhere).
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from aiohttp import hdrs, web

from relay.core.moments import Ms, UnixMs
from relay.errors import Rejected
from relay.ingest.accounts import Accounts
from relay.ingest.adapters.catalogue import Adapter, adapters_of
from relay.ingest.adapters.payload import Posted, Unaddressable
from relay.ingest.adapters.signatures import is_signed, request_id
from relay.ingest.answers import reply
from relay.ingest.body import form_of
from relay.ingest.credentials import Caller, unauthorised
from relay.ingest.events import Event
from relay.ingest.hosts import Headers, foreign_page
from relay.ingest.intake import Intake, Taken, placed
from relay.ingest.refusals import BadField, rejected
from relay.ingest.unproven import Proven, Unproven
from relay.observe.metrics import Metrics
from relay.observe.sampled import Sampled
from relay.observe.series import IGNORED_WEBHOOKS
from relay.settings.models import Settings

PREFIX = "/v1/sources/"
_NOTHING = Taken(0, 0, 0)

logger = logging.getLogger("relay.ingest")

Door = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class SourceDoor:
    """Answers requests under `PREFIX`. `key_of` says whose API key headers bear, or raises Rejected (401, 403)."""

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        intake: Intake,
        unproven: Unproven,
        *,
        key_of: Callable[[Headers], Caller],
        metrics: Metrics,
        now: Callable[[], Ms],
        wall: Callable[[], UnixMs],
    ) -> None:
        self._sampled = Sampled()
        self._limits = settings.server
        self._accounts = accounts
        self._intake = intake
        self._unproven = unproven
        self._key_of = key_of
        self._metrics = metrics
        self._now = now
        self._wall = wall
        self.prepared(settings)()

    def prepared(self, settings: Settings) -> Callable[[], None]:
        """What takes over these settings, and cannot fail. Raises SettingsError, and then goes on as before."""
        adapters = adapters_of(settings)

        def take() -> None:
            self._adapters: Mapping[str, Adapter] = adapters
            for source in adapters:
                self._metrics.expect(IGNORED_WEBHOOKS, source)

        return take

    def methods(self, path: str) -> Mapping[str, Door] | None:
        """What is served under `path`; a source that is none is told by 401 only, so that nobody can look for them."""
        is_ours = path.startswith(PREFIX) and len(path) > len(PREFIX) and "/" not in path[len(PREFIX) :]
        return {hdrs.METH_POST: self._answer} if is_ours else None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        source, headers = request.rel_url.raw_path[len(PREFIX) :], request.headers

        def prove(body: bytes) -> Proven:
            return self._proof(source, headers, body)

        return await self._unproven.answered(request, prove, max_bytes=self._limits.max_batch_bytes)

    def _proof(self, source: str, headers: Headers, body: bytes) -> Proven:
        """By the adapter of this moment, which then answers too. Raises Rejected (401), the same for a source that is none."""
        adapter = self._adapters.get(source)
        if adapter is None:
            raise unauthorised()
        answer = partial(self._answered, adapter, headers)
        if is_signed(adapter.secrets, headers, body, self._wall()) and foreign_page(headers) is None:
            return Proven(adapter.caller, request_id(adapter.scheme, headers), answer, adapter.status)
        if self._is_keyed(adapter, headers):
            return Proven(adapter.caller, None, answer)
        raise unauthorised()

    async def _answered(self, adapter: Adapter, headers: Headers, body: bytes) -> web.StreamResponse:
        form_of(headers, allowed=adapter.forms)
        return reply(adapter.status, self._taken(adapter, body)._asdict())

    def _is_keyed(self, adapter: Adapter, headers: Headers) -> bool:
        if hdrs.AUTHORIZATION not in headers:
            return False
        caller = self._key_of(headers)
        return caller.source == adapter.caller.source and caller.ticket is None

    def _taken(self, adapter: Adapter, body: bytes) -> Taken:
        """What became of a delivery's events. Raises Rejected, Unavailable; then of none."""
        posted: Posted = []
        try:
            posted = adapter.read(body)
            return self._applied(adapter.caller, [event for _, event in posted])
        except BadField as why:
            reason = "unaddressable" if isinstance(why, Unaddressable) else "malformed"
            refused = rejected([(why.place, why.words)])
        except Rejected as why:
            reason, refused = "unaddressable", placed(why, ["".join(map(str, place)) for place, _ in posted])
        if adapter.is_told or refused.status != 422:
            raise refused
        return self._ignored(adapter.caller, reason, refused.problems)

    def _applied(self, caller: Caller, events: Sequence[Event]) -> Taken:
        if not events:
            return self._ignored(caller, "unrelated")
        self._accounts[caller.source].rates.admit_events(len(events), self._now())
        return self._intake.all(caller.source, self._intake.batch(caller, events))

    def _ignored(self, caller: Caller, reason: str, problems: Sequence[tuple[str, str]] = ()) -> Taken:
        """`problems` are said in the log, now and then."""
        self._metrics.counter(IGNORED_WEBHOOKS, caller.source, reason).value += 1
        unsaid = self._sampled.unsaid(f"{caller.source}:{reason}", self._now()) if problems else None
        if unsaid is not None:
            told = {"source": caller.source, "reason": reason, "problems": dict(problems), "unsaid": unsaid}
            logger.warning("webhook.ignored", extra={"fields": told})
        return _NOTHING
