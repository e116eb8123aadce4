"""Doors to what is kept of deliveries: lists and attempts, one with all that is known of it, replay, purge, why."""

from typing import Final
from urllib.parse import unquote

from aiohttp import web

from relay.assembly import Assembly
from relay.core.ids import is_id
from relay.errors import Rejected
from relay.ingest.answers import reply
from relay.operate.queries import before_of, letter_filter, rows_of, since_of, state_of
from relay.operate.views import attempt_view, body_view, delivery_view, purged_view, verdict_view
from relay.outbox.letters import Done
from relay.outbox.rows import AttemptSelection, Pick, Selection

LONGEST_ID: Final = 128
LONGEST_KEY: Final = 18
"""Digits: what the outbox's file can hold as a number."""


class LetterDoors:
    """`what` is the part of the path that names one thing."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._letters = assembly.outbox.letters

    async def all(self, request: web.BaseRequest) -> web.Response:
        """Newest first, of one `state` (`exhausted`: the dead letters), `endpoint`, `session`, `since`.

        A full page ends with `next`, which is `before` of the page after it.
        """
        asked, limit = request.rel_url.query, rows_of(request)
        selection = Selection(
            state_of(request),
            asked.get("endpoint"),
            asked.get("session"),
            since_of(request),
            limit,
            before_of(request),
        )
        rows = await self._letters.deliveries(selection)
        more = {"next": rows[-1].delivery_id} if len(rows) == limit else {}
        return reply(200, {"deliveries": [delivery_view(row) for row in rows]} | more)

    async def one(self, what: str, _request: web.BaseRequest) -> web.Response:
        """With the event's body, every attempt, and what happens next."""
        found = await self._letters.delivery(int(what))
        if found is None:
            raise _unknown_delivery()
        row, body = found
        attempts = await self._letters.attempts(row.delivery_id)
        verdicts = await self._assembly.outbox.inquiry.why(row.event_id, row.endpoint)
        told = delivery_view(row) | {
            "body": body_view(body),
            "log": [attempt_view(attempt) for attempt in attempts],
            "why": verdict_view(row.endpoint, verdicts[row.endpoint]),
        }
        return reply(200, told)

    async def attempts(self, what: str, _request: web.BaseRequest) -> web.Response:
        """Of one delivery, oldest first."""
        rows = await self._letters.attempts(int(what))
        if not rows and await self._letters.delivery(int(what)) is None:
            raise _unknown_delivery()
        return reply(200, {"attempts": [attempt_view(row) for row in rows]})

    async def endpoints_attempts(self, request: web.BaseRequest) -> web.Response:
        """Of one `endpoint`, those of its newest deliveries first; `next` as in `all`."""
        asked, limit = request.rel_url.query, rows_of(request)
        if "endpoint" not in asked:
            raise Rejected(422, "Invalid query", "endpoint: the name of one is wanted")
        self._must_know(asked["endpoint"])
        selection = AttemptSelection(asked["endpoint"], since_of(request), limit, _place(asked.get("before")))
        rows = await self._letters.endpoints_attempts(selection)
        more = {"next": f"{rows[-1].delivery_id}.{rows[-1].number}"} if len(rows) == limit else {}
        return reply(200, {"attempts": [attempt_view(row) for row in rows]} | more)

    async def replay_one(self, what: str, _request: web.BaseRequest) -> web.Response:
        if not await self._assembly.outbox.replay(int(what)):
            raise Rejected(
                404,
                "Not replayable",
                "no delivery with this id has ended: it was never there, or it waits, and `typing-relay endpoints "
                "resume` with its endpoint's name makes it due at once",
            )
        return reply(202, {"replayed": 1})

    async def replay(self, _what: str, request: web.BaseRequest) -> web.Response:
        """202: so many are on their way again; `more` where others are left, since one call does 10,000.

        `leftOut` are those of endpoints that are disabled or not configured any more: they stay as they are.
        """
        pick, is_dry = await letter_filter(request)
        done = await (self._letters.count(pick) if is_dry else self._letters.replay(pick))
        return self._done(pick, done, "replayed", is_dry=is_dry, status=202)

    async def purge(self, _what: str, request: web.BaseRequest) -> web.Response:
        """200: so many are forgotten; `more` as in `replay`."""
        pick, is_dry = await letter_filter(request)
        done = await (self._letters.count(pick) if is_dry else self._letters.purge(pick))
        return self._done(pick, done, "purged", is_dry=is_dry, status=200)

    async def purge_session(self, what: str, request: web.BaseRequest) -> web.Response:
        """All that was recorded of a session until now, in one `gateway` or in any; what it does next is recorded."""
        session, gateway = unquote(what), request.rel_url.query.get("gateway")
        if not is_id(session):
            raise Rejected(422, "Invalid session", "a session's id is wanted in the path")
        platforms = self._assembly.flow.platforms
        if gateway is not None and gateway not in platforms:
            names = ", ".join(platforms)
            raise Rejected(
                404, "Unknown gateway", f"no gateway of this name is configured; configured: {names}"
            )
        purged = await self._letters.purge_session(session, gateway)
        self._assembly.observer.tally.forget(session, gateway)
        keys = [(one, session) for one in platforms if gateway in (None, one)]
        is_alive = any(key in self._assembly.flow.sessions for key in keys)
        return reply(200, purged_view(purged) | {"alive": is_alive})

    async def why(self, request: web.BaseRequest) -> web.Response:
        """Why an `event` was delivered to an `endpoint`, or was not; without it, for every one."""
        event, endpoint = request.rel_url.query.get("event", ""), request.rel_url.query.get("endpoint")
        if not 0 < len(event) <= LONGEST_ID:
            raise Rejected(422, "Invalid query", "event: the webhook-id of an event is wanted (msg_…)")
        verdicts = await self._assembly.outbox.inquiry.why(event, endpoint)
        return reply(200, {"verdicts": [verdict_view(name, one) for name, one in verdicts.items()]})

    def _done(self, pick: Pick, done: Done, deed: str, *, is_dry: bool, status: int) -> web.Response:
        if done.count == 0 and pick.endpoint is not None:
            self._must_know(pick.endpoint)
        told = {deed: 0 if is_dry else done.count, "found": done.count, "more": done.is_more}
        left_out = {"leftOut": done.left_out} if done.left_out else {}
        return reply(200 if is_dry else status, told | left_out)

    def _must_know(self, endpoint: str) -> None:
        known = self._assembly.settings.endpoints
        if endpoint not in known:
            names = ", ".join(known) or "none"
            raise Rejected(
                404, "Unknown endpoint", f"no endpoint of this name is configured; configured: {names}"
            )


def _unknown_delivery() -> Rejected:
    return Rejected(404, "Unknown delivery", "no delivery with this id is kept")


def _place(said: str | None) -> tuple[int, int] | None:
    """Where a page of attempts ended: a delivery and a number."""
    if said is None:
        return None
    delivery, _, number = said.partition(".")
    is_place = all(
        part.isascii() and part.isdigit() and len(part) <= LONGEST_KEY for part in (delivery, number)
    )
    if not is_place:
        raise Rejected(422, "Invalid query", "before: wanted `next` of the page before")
    return int(delivery), int(number)
