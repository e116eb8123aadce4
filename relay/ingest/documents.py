"""Documents a listener serves about itself: bytes made at the start, and a 304 for whoever has them already."""

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from relay import wire
from relay.ingest.answers import SERVER
from relay.openapi.page import Document, Guide, Page, fixed, page

Door = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Methods = dict[str, Door]


def documents(document: Document, guides: tuple[Guide, ...] = ()) -> dict[str, Methods]:
    """`/openapi.json` and `/docs`, by path and method."""
    return {
        "/openapi.json": _reading(fixed(wire.dumps(document), "application/json")),
        "/docs": _reading(page(document, guides)),
    }


def _reading(what: Page) -> Methods:
    headers = {**what.headers, hdrs.SERVER: SERVER}

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get(hdrs.IF_NONE_MATCH) == what.headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=what.body, headers=headers)

    return {hdrs.METH_GET: answer, hdrs.METH_HEAD: answer}
