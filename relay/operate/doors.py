"""The operator's doors: is it alive, is it ready, what does it do, what did it do.

    GET /healthz  /readyz  /metrics                      for probes and scrapers
    GET /v1/metrics  /v1/sessions[/{id}]                 what is so now
    GET /v1/audit  /v1/deliveries  /v1/endpoints         what was done, and what is left to do
    GET /v1/deliveries/{id}[/attempts]  /v1/attempts     one with all that is known of it; an endpoint's attempts
    GET /v1/why                                          why an event was delivered, or was not
    POST /v1/deliveries/{id}/replay                      send one that has ended once more
    POST /v1/deliveries/replay  /purge                   dead letters by a filter: send them again, forget them
    POST /v1/sessions/{id}/purge                         forget all that was recorded of a session
    POST /v1/endpoints/{name}/pause  /resume  /test      hold a tracker's deliveries, take it back, try it now
    POST /v1/reload                                      read the settings again
    GET /openapi.json  /docs                             all of this, told

The host rule is the public listener's: no page of another origin gets in. There is no login: whoever reaches the
listener may do all of it, so it listens on loopback, and what a proxy passed on (`Forwarded`, `X-Forwarded-…`, `Via`,
`X-Real-IP`) is not from this machine and gets no further than the probes. A proxy that adds no such header opens the
doors to its callers.
"""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from urllib.parse import unquote

from aiohttp import hdrs, web

from relay import __version__
from relay.assembly import Assembly
from relay.core.delivery import State
from relay.errors import Rejected, RelayError, SettingsError, Unavailable
from relay.ingest.answers import SERVER, problem, refusal, reply
from relay.ingest.hosts import HostRule, is_forwarded
from relay.ingest.refusals import WrongMethod
from relay.observe.health import Health
from relay.observe.series import (
    DELIVERIES_ENDED,
    DELIVERIES_SHED,
    OUTBOX_BYTES,
    OUTBOX_DELIVERIES,
    OUTBOX_OLDEST,
)
from relay.operate.api import operator_documents, query_names
from relay.operate.audit import AuditDoors
from relay.operate.endpoints import EndpointDoors
from relay.operate.letters import LetterDoors
from relay.operate.queries import check_names, rows_of
from relay.operate.views import rest_view, session_view
from relay.settings.models import Operations

OPEN = frozenset({"/healthz", "/readyz", "/metrics"})
"""For probes and scrapers, from wherever they ask."""
ONE = "(?P<what>[0-9]{1,18})"
READS = ("GET", "HEAD")

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Deed = Callable[[str, web.BaseRequest], Awaitable[web.StreamResponse]]


class OperatorDoors:
    """Answers every request of the operations listener. `health` is asked each time."""

    def __init__(
        self,
        settings: Operations,
        assembly: Assembly,
        *,
        health: Callable[[], Health],
        reload: Callable[[], Awaitable[tuple[int, tuple[str, ...]]]],
    ) -> None:
        """`reload` answers the generation and what changed, or raises SettingsError."""
        self._hosts = HostRule(settings.host, settings.allowed_hosts)
        self._assembly = assembly
        self._health = health
        self._reload = reload
        endpoints = EndpointDoors(assembly.outbox.endpoints)
        letters = LetterDoors(assembly)
        self._doors: dict[str, Answer] = {
            "/healthz": self._alive,
            "/readyz": self._ready,
            "/metrics": self._metrics,
            "/v1/metrics": self._figures,
            "/v1/sessions": self._sessions,
            "/v1/audit": AuditDoors(assembly.outbox.letters).rows,
            "/v1/deliveries": letters.all,
            "/v1/attempts": letters.endpoints_attempts,
            "/v1/why": letters.why,
            "/v1/endpoints": endpoints.all,
            **{path: methods["GET"] for path, methods in operator_documents().items()},
        }
        self._things: dict[str, Deed] = {
            rf"/v1/deliveries/{ONE}": letters.one,
            rf"/v1/deliveries/{ONE}/attempts": letters.attempts,
            r"/v1/sessions/(?P<what>.*)": self._session,
        }
        self._deeds: dict[str, Deed] = {
            rf"/v1/deliveries/{ONE}/replay": letters.replay_one,
            r"/v1/deliveries/(?P<what>replay)": letters.replay,
            r"/v1/deliveries/(?P<what>purge)": letters.purge,
            r"/v1/sessions/(?P<what>[^/]{1,512})/purge": letters.purge_session,
            r"/v1/endpoints/(?P<what>[a-z0-9-]{1,64})/pause": endpoints.pause,
            r"/v1/endpoints/(?P<what>[a-z0-9-]{1,64})/resume": endpoints.resume,
            r"/v1/endpoints/(?P<what>[a-z0-9-]{1,64})/test": endpoints.test,
            r"/v1/(?P<what>reload)": self._read_again,
        }

    @property
    def served(self) -> dict[str, str]:
        """The pattern of every path and its method, for whoever compares the doors with what is told of them."""
        reads = [*map(re.escape, self._doors), *self._things]
        return dict.fromkeys(reads, "GET") | dict.fromkeys(self._deeds, "POST")

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            self._hosts.check(request.headers)
            _check_nearness(request)
            door = self._door(request)
            if request.rel_url.raw_path not in OPEN:
                check_names(request, query_names(request.rel_url.raw_path))
            return await door(request)
        except (Rejected, Unavailable) as why:
            return refusal(why)
        except RelayError as why:
            return problem(503, "Unavailable", str(why))

    def _door(self, request: web.BaseRequest) -> Answer:
        path = request.rel_url.raw_path
        deed = _matching(self._deeds, path)
        if deed is not None:
            _check_method(request, {"POST"})
            return deed
        door = self._doors.get(path) or _matching(self._things, path)
        if door is None:
            raise Rejected(404, "Not found", "nothing is served under this path: /docs tells what is")
        _check_method(request, {"GET", "HEAD"})
        return door

    async def _alive(self, _request: web.BaseRequest) -> web.Response:
        health = self._health()
        return reply(200 if health.is_alive else 503, {"status": "alive" if health.is_alive else "stalled"})

    async def _ready(self, _request: web.BaseRequest) -> web.Response:
        health = self._health()
        return reply(200 if health.is_ready else 503, health.shown() | {"version": __version__})

    async def _metrics(self, _request: web.BaseRequest) -> web.Response:
        with suppress(RelayError):  # a disk in trouble is when the other figures are wanted most
            await self._look_at_the_outbox()
        content_type, text = self._assembly.metrics.render()
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: content_type, hdrs.SERVER: SERVER})

    async def _look_at_the_outbox(self) -> None:
        depth = await self._assembly.outbox.depth()
        metrics, wall = self._assembly.metrics, self._assembly.flow.world.wall()
        for state in State:
            metrics.gauge(OUTBOX_DELIVERIES, state.value).value = depth.by_state.get(state, 0)
        for state, ended in depth.ended.items():
            metrics.counter(DELIVERIES_ENDED, state.value).value = ended
        metrics.counter(DELIVERIES_SHED).value = depth.shed
        metrics.gauge(OUTBOX_BYTES).value = depth.body_bytes
        oldest = depth.oldest_pending_at
        metrics.gauge(OUTBOX_OLDEST).value = 0 if oldest is None else max(0, wall - oldest) / 1000

    async def _figures(self, _request: web.BaseRequest) -> web.Response:
        return reply(200, self._assembly.observer.tally.shown())

    async def _sessions(self, request: web.BaseRequest) -> web.Response:
        sessions, now, limit = self._assembly.flow.sessions, self._assembly.flow.world.now(), rows_of(request)
        awake = [session_view(one, now) for one in sessions.awake()[:limit]]
        at_rest = [rest_view(key, rest, now) for key, rest in sessions.resting.first(limit - len(awake))]
        return reply(200, {"alive": len(sessions), "sessions": awake + at_rest})

    async def _session(self, what: str, _request: web.BaseRequest) -> web.Response:
        session_id = unquote(what)
        flow = self._assembly.flow
        for gateway in flow.platforms:
            key = (gateway, session_id)
            if (session := flow.sessions.get(key)) is not None:
                return reply(200, session_view(session, flow.world.now()))
            if (rest := flow.sessions.resting.get(key)) is not None:
                return reply(200, rest_view(key, rest, flow.world.now()))
        raise Rejected(404, "Not alive", "no live session has this id; /v1/audit?session= tells its past")

    async def _read_again(self, _: str, _request: web.BaseRequest) -> web.Response:
        """All of what changed is taken over, or none of it (422, each problem in a line)."""
        try:
            generation, changed = await self._reload()
        except SettingsError as why:
            raise Rejected(422, "Not taken over", str(why)) from why
        return reply(200, {"generation": generation, "changed": list(changed)})


def _matching(deeds: dict[str, Deed], path: str) -> Answer | None:
    for pattern, deed in deeds.items():
        found = re.fullmatch(pattern, path)
        if found:
            return partial(deed, found["what"])
    return None


def _check_nearness(request: web.BaseRequest) -> None:
    if request.rel_url.raw_path not in OPEN and is_forwarded(request.headers):
        raise Rejected(
            403, "Not from this machine", "a proxy passed this on, and only this machine may ask for it"
        )


def _check_method(request: web.BaseRequest, allowed: set[str]) -> None:
    if request.method not in allowed:
        raise WrongMethod(", ".join(sorted(allowed)))
