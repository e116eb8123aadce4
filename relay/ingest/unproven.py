"""Requests whose caller is known only once their body is here: signed ones, and platforms' own webhooks.

    body ─► who? ─► rate ─► seen before? ─► answer
     503     401     429     202, a duplicate

Until then a stranger may have sent it. So what all of them hold at once is bounded; who comes with a key is not
concerned, since a key is looked at before a body.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from aiohttp import web
from multidict import CIMultiDictProxy

from relay.core.moments import Ms
from relay.core.signature import ID_HEADER
from relay.ingest.accounts import Accounts
from relay.ingest.answers import reply
from relay.ingest.body import Book, read_body
from relay.ingest.credentials import Caller
from relay.ingest.intake import DUPLICATE, Intake
from relay.ingest.refusals import Unread
from relay.observe.metrics import Metrics
from relay.observe.series import UNPROVEN_REFUSED

MOST_BYTES = 32 * 2**20
"""Of all such bodies on their way: thirty-two of the largest, thousands of the usual ones."""


Answer = Callable[[bytes], Awaitable[web.StreamResponse]]
SignedAnswer = Callable[[Caller, bytes], Awaitable[web.StreamResponse]]
Signer = Callable[[CIMultiDictProxy[str], bytes], Caller]
"""Who signed these headers and bytes, by the settings of this moment. Raises Rejected (401)."""


class Proven(NamedTuple):
    """Who sent a body, and who answers it. `message_id` tells a repeat, None where nothing does; `status` answers one."""

    caller: Caller
    message_id: str | None
    answer: Answer
    status: int = 202


class Unproven:
    """Raises Rejected (401, 408, 413, 429, 503), and whatever is raised by who proves and who answers."""

    def __init__(
        self,
        accounts: Accounts,
        intake: Intake,
        *,
        timeout_s: float,
        metrics: Metrics,
        now: Callable[[], Ms],
    ) -> None:
        self._accounts = accounts
        self._intake = intake
        self._timeout_s = timeout_s
        self._refused = metrics.counter(UNPROVEN_REFUSED)
        self._now = now
        self._held_bytes = 0

    async def signed(
        self, request: web.BaseRequest, signer: Signer, answer: SignedAnswer, *, max_bytes: int
    ) -> web.StreamResponse:
        """As `answered`, of Standard Webhooks."""
        headers = request.headers

        def prove(body: bytes) -> Proven:
            caller = signer(headers, body)
            return Proven(caller, headers[ID_HEADER], partial(answer, caller))

        return await self.answered(request, prove, max_bytes=max_bytes)

    async def answered(
        self, request: web.BaseRequest, prove: Callable[[bytes], Proven], *, max_bytes: int
    ) -> web.StreamResponse:
        """The same message twice has one effect and two answers of 2xx, whatever the first answer did.

        `prove` is asked once the body is here: what the settings said when its head came may hold no longer.
        """
        with self._room() as book:
            body = await read_body(request, max_bytes=max_bytes, timeout_s=self._timeout_s, book=book)
            proof = prove(body)
        caller, answer, now = proof.caller, proof.answer, self._now()
        account = self._accounts[caller.source]
        account.rates.admit_request(len(body), now)
        if proof.message_id is None:
            return await answer(body)
        if account.knows(proof.message_id, now):
            return reply(proof.status, self._intake.counted(caller.source, DUPLICATE)._asdict())
        with account.answering(proof.message_id, now):
            return await answer(body)

    @contextmanager
    def _room(self) -> Iterator[Book]:
        held_bytes = 0

        def book(size_bytes: int) -> None:
            nonlocal held_bytes
            if self._held_bytes + size_bytes > MOST_BYTES:
                self._refused.value += 1
                raise Unread(
                    503, "Unavailable", "too many bodies nobody has answered for are on their way", retry_after_s=1
                )  # fmt: skip
            self._held_bytes += size_bytes
            held_bytes += size_bytes

        try:
            yield book
        finally:
            self._held_bytes -= held_bytes
