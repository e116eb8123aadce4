"""Answers: JSON, or a problem document (RFC 9457); never a word of the request, never a version of ours."""

from collections.abc import Callable
from email.utils import formatdate
from math import ceil

from aiohttp import hdrs, web
from multidict import CIMultiDict

from relay import wire
from relay.core.moments import UnixMs
from relay.errors import Rejected, TooSoon, Unavailable
from relay.ingest.intake import Taken
from relay.ingest.refusals import Unread, WrongMethod

SERVER = "typing-relay"
_JSON = CIMultiDict({hdrs.CONTENT_TYPE: "application/json", hdrs.SERVER: SERVER})
_PROBLEM = CIMultiDict({hdrs.CONTENT_TYPE: "application/problem+json", hdrs.SERVER: SERVER})


def reply(status: int, value: wire.Json) -> web.Response:
    return web.Response(status=status, body=wire.dumps(value), headers=_JSON)


class Letterhead:
    """Answers as bytes, for requests that are answered at once."""

    def __init__(self, wall: Callable[[], UnixMs]) -> None:
        self._wall = wall
        self._written_at_s = -1
        self._accepted: dict[Taken, bytes] = {}

    def accepted(self, told: Taken) -> bytes:
        """A 202 with these numbers. Nearly all are alike: their bytes are made once a second, which is the Date's grain."""
        now_s = self._wall() // 1000
        if now_s != self._written_at_s:
            self._written_at_s = now_s
            self._accepted.clear()
        written = self._accepted.get(told)
        if written is None:
            written = self._accepted[told] = self.written(reply(202, told._asdict()))
        return written

    def written(self, response: web.Response) -> bytes:
        return as_bytes(response, self._wall() / 1000)


def as_bytes(response: web.Response, unix_s: float) -> bytes:
    """A small answer as it goes over the wire, on a connection that stays open."""
    body, headers = response.body, response.headers
    assert isinstance(body, bytes)
    headers[hdrs.CONTENT_LENGTH] = str(len(body))
    headers[hdrs.DATE] = formatdate(unix_s, usegmt=True)  # RFC 9110 section 6.6.1 asks for it
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {response.status} {response.reason}\r\n{lines}\r\n".encode() + body


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
