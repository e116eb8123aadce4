"""What a browser needs before it lets a listed page post with a ticket: CORS, for `POST /v1/events` and nothing else.

A WebSocket needs none of it: there the browser only tells the page's origin, and the credentials look at that. The
ticket itself is fetched by the desktop's back end, which is no browser. No cookies are ever involved, so
`Access-Control-Allow-Credentials` is not either.
"""

from typing import TypeVar

from aiohttp import hdrs, web

from relay.ingest.answers import SERVER

R = TypeVar("R", bound=web.StreamResponse)

_ASKED_AGAIN_AFTER_S = "600"


def is_preflight(request: web.BaseRequest) -> bool:
    return request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers


def preflight(page: str) -> web.Response:
    """Yes, to a page that is listed (Fetch standard, section 3.2)."""
    response = web.Response(status=204, headers={hdrs.SERVER: SERVER})
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = hdrs.METH_POST
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = "authorization, content-type"
    response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = _ASKED_AGAIN_AFTER_S
    return let_read(response, page)


def let_read(response: R, page: str) -> R:
    """The answer, which that page's script may read; `page` is one of the operator's, never a caller's word."""
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = page
    response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = hdrs.RETRY_AFTER
    response.headers[hdrs.VARY] = hdrs.ORIGIN
    return response
