"""Answers: JSON, or a problem document (RFC 9457); never a word of the request, never a version of ours."""

from collections.abc import Callable
from email.utils import formatdate
from math import ceil

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from relay import wire
from relay.core.moments import UnixMs
from relay.errors import Rejected, TooSoon, Unavailable
from relay.ingest.refusals import Unread, WrongMethod

SERVER = "typing-relay"
_JSON = CIMultiDict({hdrs.CONTENT_TYPE: "application/json", hdrs.SERVER: SERVER})
_PROBLEM = CIMultiDict({hdrs.CONTENT_TYPE: "application/problem+json", hdrs.SERVER: SERVER})


def reply(status: int, value: wire.Json) -> web.Response:
    return web.Response(status=status, body=wire.dumps(value), headers=_JSON)


class Receipt(web.StreamResponse):
    """A 202 whose bytes are made once a second instead of once a request; one object answers every such request.

    aiohttp's own `Response` fills and serialises a header table for each, a fifth of a small event's price. Only for
    callers of `suits`: the rest of HTTP's cases are left to aiohttp.
    """

    def __init__(self, value: wire.Json, *, wall: Callable[[], UnixMs]) -> None:
        super().__init__(status=202)
        self._content = wire.dumps(value)
        self._wall = wall
        self._made_at_s = -1
        self._bytes = b""

    @staticmethod
    def suits(request: web.BaseRequest) -> bool:
        return request.version == HttpVersion11 and request.keep_alive and hdrs.ORIGIN not in request.headers

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        await request.writer.write_eof(self._current())
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""

    def _current(self) -> bytes:
        now_s = self._wall() // 1000
        if now_s != self._made_at_s:
            self._made_at_s = now_s
            head = (
                "HTTP/1.1 202 Accepted\r\n"
                "Content-Type: application/json\r\n"
                f"Content-Length: {len(self._content)}\r\n"
                f"Date: {formatdate(now_s, usegmt=True)}\r\n"  # RFC 9110 section 6.6.1 asks for it
                f"Server: {SERVER}\r\n\r\n"
            )
            self._bytes = head.encode() + self._content
        return self._bytes


def problem(status: int, title: str, detail: str, **more: wire.Json) -> web.Response:
    """A problem document; `more` are its further members."""
    return web.Response(
        status=status, body=wire.dumps(_document(status, title, detail) | more), headers=_PROBLEM
    )


def document(why: Rejected | Unavailable) -> dict[str, wire.Json]:
    """What was raised, as the members of a problem document; for where there are no headers to say the rest."""
    if isinstance(why, Unavailable):
        told = _document(503, "Unavailable", why.detail)
    else:
        told = _document(why.status, why.title, why.detail) | _members(why)
    return told if why.retry_after_s is None else told | {"retryAfterS": why.retry_after_s}


def _document(status: int, title: str, detail: str) -> dict[str, wire.Json]:
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}


def refusal(why: Rejected | Unavailable) -> web.Response:
    """The problem document of what was raised, with the headers its status asks for."""
    if isinstance(why, Unavailable):
        response = problem(503, "Unavailable", why.detail)
    else:
        response = problem(why.status, why.title, why.detail, **_members(why))
    if why.retry_after_s is not None:
        # Whole seconds (RFC 9110 section 10.2.3), rounded up: coming back early would be refused again.
        response.headers[hdrs.RETRY_AFTER] = str(max(1, ceil(why.retry_after_s)))
    if isinstance(why, Unread):
        response.force_close()
    if isinstance(why, WrongMethod):
        response.headers[hdrs.ALLOW] = why.allowed
    if response.status == 426:
        response.headers[hdrs.UPGRADE] = "websocket"  # RFC 9110 section 15.5.22
        response.headers[hdrs.CONNECTION] = "Upgrade"
    if response.status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    return response


def _members(why: Rejected) -> dict[str, wire.Json]:
    members: dict[str, wire.Json] = {}
    if why.problems:
        members["errors"] = [{"loc": place, "msg": words} for place, words in why.problems]
    if isinstance(why, TooSoon):
        members["waitMs"] = why.wait_ms
    return members
