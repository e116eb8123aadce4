"""The stand-in platform's answers in JSON, its error bodies first of all."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from aiohttp import web

from relay import wire
from relay.core.moments import Ms
from relay.sandbox.chaos import Forced


class Limit(NamedTuple):
    """Whose limit was hit, as error bodies name it."""

    key: str
    namespace: str
    value: int


class Fault(Exception):  # noqa: N818 - an answer on its way out, not an error of ours
    """Ends a call with one of the platform family's error bodies."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: str | None = None,
        limit: Limit | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {} if retry_after is None else {"retry-after": retry_after}
        self.body: dict[str, object] = {
            "message": message,
            "code": code,
            "status": status,
            "contextId": str(uuid4()),
            "details": [],
            "errors": [],
        }
        if limit is not None:
            self.body["limit"] = limit._asdict()

    def answer(self) -> web.Response:
        return json_answer(self.body, status=self.status, headers=self.headers)


def too_many(wait_s: str, *, limit: Limit | None = None) -> Fault:
    message = f"Rate limit exceeded the maximum. Retry the request in [{wait_s}] seconds"
    return Fault(429, "too.many.requests", message, retry_after=wait_s, limit=limit)


def json_answer(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=wire.dumps(body), status=status, headers=headers, content_type="application/json"
    )


def forced_answer(forced: Forced) -> web.Response:
    """The answer a script asks for; its `status` must not be None."""
    status = forced.status or 200
    if isinstance(forced.body, str):
        return web.Response(text=forced.body, status=status, headers=forced.headers)
    usual = {} if status < 300 else Fault(status, "sandbox.forced", "An answer forced by the script.").body
    return json_answer(usual if forced.body is None else forced.body, status=status, headers=forced.headers)


async def stall(request: web.Request, forced: Forced | None, usual_ms: Ms) -> None:
    """Be as slow as the script says, else `usual_ms`; then cut the connection if it says so."""
    await asyncio.sleep((usual_ms if forced is None else forced.delay_ms) / 1000)
    if forced is not None and forced.reset and request.transport is not None:
        request.transport.abort()


async def json_body(request: web.Request) -> dict[str, Any]:
    """The request's JSON object; {} for anything else."""
    try:
        value = wire.loads(await request.read())
    except wire.NotJson:
        return {}
    return value if isinstance(value, dict) else {}
