"""The audit for people, a page at a time, and for auditors, all of it as NDJSON while memory holds one page."""

import asyncio
from typing import Final

from aiohttp import hdrs, web

from relay import wire
from relay.ingest.answers import SERVER, reply
from relay.operate.queries import before_of, limit_of, rows_of, since_of
from relay.operate.views import audit_view
from relay.outbox.letters import Letters
from relay.outbox.rows import AuditRow, AuditSelection

NDJSON = "application/x-ndjson"
ALL: Final = 2**63 - 1
SLOWEST_PAGE_S = 30.0
"""A reader that takes longer for a page is gone, or holds the export for its own reasons."""


class AuditDoors:
    """Over what is kept."""

    def __init__(self, letters: Letters) -> None:
        self._letters = letters

    async def rows(self, request: web.BaseRequest) -> web.StreamResponse:
        """Newest first, of a `session`, `since`; as NDJSON where that is asked for (`Accept`), then without a limit
        unless one is given. A full page ends with `next`, which is `before` of the page after it.
        """
        if NDJSON in request.headers.get(hdrs.ACCEPT, ""):
            return await self._export(request, _selection(request, limit_of(request, None) or ALL))
        limit = rows_of(request)
        rows = [row async for page in self._letters.audit_pages(_selection(request, limit)) for row in page]
        more = {"next": rows[-1].row_id} if len(rows) == limit else {}
        return reply(200, {"audit": [audit_view(row) for row in rows]} | more)

    async def _export(self, request: web.BaseRequest, selection: AuditSelection) -> web.StreamResponse:
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: NDJSON, hdrs.SERVER: SERVER})
        pages = self._letters.audit_pages(selection)
        first: list[AuditRow] = await anext(
            pages, []
        )  # before the answer begins: a disk in trouble is still a 503
        await response.prepare(request)
        if request.method != hdrs.METH_HEAD:
            await _send(response, first)
            async for page in pages:
                await _send(response, page)
        await response.write_eof()
        return response


async def _send(response: web.StreamResponse, page: list[AuditRow]) -> None:
    async with asyncio.timeout(SLOWEST_PAGE_S):
        await response.write(b"".join(wire.dumps(audit_view(row)) + b"\n" for row in page))


def _selection(request: web.BaseRequest, limit: int) -> AuditSelection:
    session = request.rel_url.query.get("session")
    return AuditSelection(session, since_of(request), limit, before_of(request))
