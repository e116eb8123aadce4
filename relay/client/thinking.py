"""`thinking`: what a bot puts around its work so that the guest sees it working."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Protocol, Self

from relay.client.answers import Answer
from relay.client.runs import Ending, Run, Whose
from relay.client.sending import Sender
from relay.client.tracing import current_traceparent


class Soon(Protocol):
    """Does something on the client's loop, from any thread and without waiting, in the order in which it is asked for.

    `may_start`: also where the client has to start for it. What only ends something needs no client that is closed.
    """

    def __call__(self, act: Callable[[Sender], None], *, may_start: bool = True) -> None: ...


class Thinking:
    """One use. `begin` and `end` neither wait nor raise, and may be called on any thread.

    For a program whose work has no block to stand in: callbacks, middleware. Else use it as the context manager
    that `RelayClient.thinking` gives. Ending twice is ending once, and what never began has no end; what has ended
    may begin anew.
    """

    def __init__(self, soon: Soon, whose: Whose, traceparent: str | None = None) -> None:
        self._soon = soon
        self._whose = whose
        self._traceparent = traceparent
        self._has_begun = self._has_ended = self._is_answered = False
        self._run: Run | None = None

    def begin(self) -> None:
        if self._has_begun and not self._has_ended:
            return
        self._has_begun, self._has_ended, self._is_answered = True, False, False
        traceparent = self._traceparent or current_traceparent()

        def enter(sender: Sender) -> None:
            self._run = sender.enter(self._whose, traceparent)

        self._soon(enter)

    def answered(self) -> None:
        """The answer is posted: the end will be told as `message_sent`. Leave soon after it."""
        self._is_answered = True

        def note(_: Sender) -> None:
            if self._run is not None:
                self._run.ends_with = "message_sent"

        self._soon(note, may_start=False)

    def end(self) -> None:
        if not self._has_begun or self._has_ended:
            return
        self._has_ended = True
        ending: Ending = "message_sent" if self._is_answered else "thinking_done"

        def leave(sender: Sender) -> None:
            if self._run is not None:
                sender.leave(self._run, ending)

        self._soon(leave, may_start=False)


Hear = Callable[[Callable[[], Run | None]], Awaitable[Answer]]
"""The relay's answer to what is said of a run, which is asked for on the client's loop, once it has been entered there."""


class AsyncThinking(Thinking):
    """A block within which the guest sees the bot at work; it costs the block no waiting.

    However the block is left, the end is told: by its last line, by an exception, by cancellation. With a client
    that is `strict`, entering waits for the relay's answer, and so does leaving unless an exception is on its way.
    """

    def __init__(self, soon: Soon, whose: Whose, traceparent: str | None, *, hear: Hear | None) -> None:
        super().__init__(soon, whose, traceparent)
        self._hear = hear

    async def __aenter__(self) -> Self:
        self.begin()
        try:
            await self._checked()
        except BaseException:
            self.end()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, why: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.end()
        if why is None:
            await self._checked()

    async def _checked(self) -> None:
        if self._hear is None:
            return
        error = (await self._hear(lambda: self._run)).error()
        if error is not None:
            raise error
