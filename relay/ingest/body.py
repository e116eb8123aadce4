"""The body of a request: its form, its size, its time to arrive. All of it is checked before a byte is parsed."""

import asyncio
from collections.abc import Callable, Mapping
from enum import StrEnum

from aiohttp import hdrs, web

from relay.core.moments import Ms
from relay.errors import Rejected
from relay.ingest.rates import Rates
from relay.ingest.refusals import Unread, too_large


class Form(StrEnum):
    """Media types; strings, since another enum's members are hashed in Python, at every request."""

    JSON = "application/json"
    LINES = "application/x-ndjson"
    CLOUD_EVENT = "application/cloudevents+json"


Book = Callable[[int], None]
"""Told the size of each piece of a body as it comes, whatever becomes of it then; what it raises ends the reading."""

EVENTS = frozenset({Form.JSON, Form.LINES})

_FORMS = {form.value: form for form in Form}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def form_of(headers: Mapping[str, str], *, allowed: frozenset[Form] = EVENTS) -> Form:
    """What the body is written in. Raises Rejected (415), also for any Content-Encoding: nothing is unpacked."""
    if hdrs.CONTENT_ENCODING in headers:
        raise Rejected(415, "Encoded body", "send the body as it is, without Content-Encoding")
    said = headers.get(hdrs.CONTENT_TYPE, "")
    form = _FORMS.get(said) or _form(said)
    if form is None or form not in allowed:
        wanted = " or ".join(name for name, one in _FORMS.items() if one in allowed)
        raise Rejected(415, "Unsupported media type", f"Content-Type: {wanted} is wanted, in UTF-8")
    return form


def _form(said: str) -> Form | None:
    kind, *parameters = (part.strip().lower() for part in said.split(";"))
    is_utf8 = all(parameter in {"charset=utf-8", 'charset="utf-8"'} for parameter in parameters)
    return _FORMS.get(kind) if is_utf8 else None


def admit(request: web.BaseRequest, rates: Rates, *, max_bytes: int, now: Ms) -> None:
    """Pays for the request and for the bytes it announces. Raises Rejected (429), Unread (413).

    More than any body may hold is never read, and so not paid for: a length alone could empty the bucket for years.
    """
    announced_bytes = request.content_length or 0
    is_too_large = announced_bytes > max_bytes
    rates.admit_request(0 if is_too_large else announced_bytes, now)
    if is_too_large:
        raise too_large(max_bytes)


def payer(request: web.BaseRequest, rates: Rates, now: Callable[[], Ms]) -> Book | None:
    """Pays for the bytes of a body that were not announced, and so not paid for yet: also those that come to nothing."""
    if request.content_length is not None:
        return None
    return lambda size_bytes: rates.book_bytes(size_bytes, now())


def arrived(request: web.BaseRequest, *, max_bytes: int) -> bytes:
    """The body if it came with its head, as a small one does; else nothing, and `read_body` waits for it.

    Raises Unread (413).
    """
    stream = request.content
    if not stream.is_eof() or stream.exception() is not None:
        return b""
    body = stream.read_nowait()
    if len(body) > max_bytes:
        raise too_large(max_bytes)
    return body


async def read_body(
    request: web.BaseRequest, *, max_bytes: int, timeout_s: float, book: Book | None = None
) -> bytes:
    """All of it. Raises Unread (400, 408, 413), what `book` raises, or ConnectionError where the caller hung up."""
    body = bytearray()
    await read_into(request, body.extend, max_bytes=max_bytes, timeout_s=timeout_s, book=book)
    return bytes(body)


async def read_into(
    request: web.BaseRequest,
    take: Callable[[bytes], None],
    *,
    max_bytes: int,
    timeout_s: float,
    book: Book | None = None,
) -> None:
    """All of it, piece by piece as it comes. Raises as `read_body`, and what `take` raises."""
    declared = request.content_length
    if declared is not None and declared > max_bytes:
        raise too_large(max_bytes)
    size_bytes = 0
    try:
        async with asyncio.timeout(timeout_s):
            await _invite(request)
            async for piece in request.content.iter_any():
                if book is not None:
                    book(len(piece))
                size_bytes += len(piece)
                if size_bytes > max_bytes:
                    raise too_large(max_bytes)
                take(piece)
    except TimeoutError:
        raise Unread(408, "Body too slow", f"the whole body is wanted within {timeout_s:g} s") from None
    except web.RequestPayloadError:
        raise Unread(400, "Bad body", "the body's chunks or length are not as announced") from None


async def _invite(request: web.BaseRequest) -> None:
    """`Expect: 100-continue` (RFC 9110 section 10.1.1), only now that the head is known to be welcome."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # the answer itself has not begun
