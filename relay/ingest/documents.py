"""Documents a listener serves about itself: bytes made at the start, and a 304 for whoever has them already."""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final

from aiohttp import hdrs, web

from relay import wire
from relay.ingest.answers import SERVER
from relay.openapi import curl
from relay.openapi.page import Document, Guide, Page, fixed, page

Door = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Methods = dict[str, Door]

_MOST_ADDRESSES: Final = 8
"""Of one machine, at which its pages are kept; they are made anew for more."""


def documents(document: Document, guides: tuple[Guide, ...] = ()) -> dict[str, Methods]:
    """`/openapi.json` and `/docs`, by path and method."""
    text, told = fixed(wire.dumps(document), "application/json"), page(document, guides)
    return {"/openapi.json": _reading(lambda _: text), "/docs": _reading(lambda _: told)}


def near_documents(document: Document) -> dict[str, Methods]:
    """As `documents`, for a listener that nobody stands before: its page's samples hold its own address as sent."""

    @lru_cache(maxsize=_MOST_ADDRESSES)
    def told(origin: str) -> Page:
        return page(document, origin=origin)

    return documents(document) | {"/docs": _reading(lambda request: told(origin_of(request)))}


def origin_of(request: web.BaseRequest) -> str:
    """Where it came in, by the socket: a port of 0 is known there only, and a caller's word is not asked for."""
    if request.transport is None:  # the connection is gone, and nobody reads the answer
        return curl.ORIGIN
    host, port, *_ = request.transport.get_extra_info("sockname")
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _reading(find: Callable[[web.BaseRequest], Page]) -> Methods:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        what = find(request)
        headers = {**what.headers, hdrs.SERVER: SERVER}
        if _has(request, what.headers["ETag"]):
            return web.Response(status=304, headers=headers)
        return web.Response(body=what.body, headers=headers)

    return {hdrs.METH_GET: answer, hdrs.METH_HEAD: answer}


def _has(request: web.BaseRequest, etag: str) -> bool:
    """By weak comparison, and one of several will do (RFC 9110 section 13.1.2)."""
    return any(one.value in {etag.strip('"'), "*"} for one in request.if_none_match or ())
