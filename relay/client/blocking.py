"""The client for programs without a loop: the same client, on a thread of its own.

with BlockingRelayClient("http://127.0.0.1:8080", "trk_…") as relay, relay.thinking(session_id, guest_id):
    answer = model(question)
"""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from ssl import SSLContext
from types import TracebackType
from typing import NamedTuple, Self

from relay.client.activity import ActorName, Told, activity_event
from relay.client.answers import Answer
from relay.client.calling import MOST_EVENTS, RelayClient
from relay.client.living import Life, Lives, check
from relay.client.settling import Counts
from relay.client.streaming import Stream
from relay.client.thinking import AsyncThinking


class _Use(NamedTuple):
    life: Life
    thinking: AsyncThinking


class BlockingThinking:
    """A block within which the guest sees the bot at work; see `AsyncThinking`. May be used without a block too."""

    def __init__(self, made: Callable[[], _Use], *, is_strict: bool) -> None:
        self._made = made
        self._is_strict = is_strict
        self._use: _Use | None = None

    def begin(self) -> None:
        if self._use is None:
            life, thinking = self._use = self._made()
            life.soon(thinking.begin, events=1)

    def answered(self) -> None:
        """The answer is posted: the end will be told as `message_sent`."""
        if self._use is not None:
            self._use.life.soon(self._use.thinking.answered)

    def end(self) -> None:
        use, self._use = self._use, None
        if use is not None:
            use.life.soon(use.thinking.end)

    def __enter__(self) -> Self:
        if self._is_strict:
            self._entered()
        else:
            self.begin()
        return self

    def _entered(self) -> None:
        life, thinking = self._use = self._use or self._made()
        try:
            check(life.result(thinking.__aenter__(), events=1))
        except BaseException:
            self.end()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_strict or self._use is None:
            self.end()
            return
        (life, thinking), self._use = self._use, None
        told = life.result(thinking.__aexit__(kind, why, trace), is_end=True)
        if why is None:
            check(told)


class BlockingStream:
    """An open stream; `say` and `typing` neither wait nor raise, on any thread. See `Stream`."""

    def __init__(self, started: Callable[[], Life], *, leave_on_close: bool | None, is_strict: bool) -> None:
        self.counts = Counts()
        self._started = started
        self._leave_on_close = leave_on_close
        self._is_strict = is_strict
        self._open: tuple[Life, Stream] | None = None

    def say(self, event: Told) -> None:
        """Sends one `ActivityEvent`; where the stream is not open it is dropped and counted."""
        is_handed = False
        if self._open is not None:
            life, stream = self._open
            is_handed = life.soon(partial(stream.say, _as_it_is(event)))
        self.counts.dropped += not is_handed

    def typing(self, session_id: str, guest_id: str | None = None, *, actor: str | None = None) -> None:
        """A key was pressed in that session just now, by `actor` if it was not the client's own."""
        whom = None if actor is None else ActorName(id=actor)
        self.say(activity_event("keystroke", session_id, guestId=guest_id, actor=whom))

    def __enter__(self) -> Self:
        life = self._started()
        opened = life.result(self._opened(life.client))
        if isinstance(opened, Stream):
            self._open = life, opened
        elif self._is_strict:
            check(opened)
        return self

    async def _opened(self, client: RelayClient) -> Stream:
        stream = client.stream(leave_on_close=self._leave_on_close)
        stream.counts = self.counts
        return await stream.__aenter__()

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            (life, stream), self._open = self._open, None
            life.result(stream.close(), is_end=True)


class BlockingRelayClient:
    """`RelayClient` with methods that block, for any number of threads; its arguments are that client's.

    Its thread starts with the first use, in a process that was forked with the first use there: what waited before
    the fork is the parent's to send. Where no thread can be had, what is told is dropped and counted. `close` it, or
    use it as a context manager: what still waits when the program ends is lost.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        actor: str | None = None,
        gateway: str | None = None,
        strict: bool = False,
        timeout_s: float = 2.0,
        patience_s: float = 5.0,
        ssl: SSLContext | None = None,
    ) -> None:
        self._made = partial(
            RelayClient,
            url,
            key,
            actor=actor,
            gateway=gateway,
            strict=strict,
            timeout_s=timeout_s,
            patience_s=patience_s,
            ssl=ssl,
        )
        self._made()  # raises ValueError for arguments that are none, at once
        self.is_strict = strict
        self._patience_s = patience_s
        self._lives: dict[int, Lives] = {}

    def _own(self) -> Lives:
        """This process's: of threads a forked one has only that which forked, and a lock of another's is never freed.

        The parent's are kept, and never closed: their sockets and their selector are the parent's too.
        """
        process = os.getpid()
        return self._lives.get(process) or self._lives.setdefault(
            process, Lives(self._made, self._patience_s)
        )

    def _started(self) -> Life:
        return self._own().current()

    def __enter__(self) -> Self:
        self._started()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def counts(self) -> Counts:
        """What became of the events so far."""
        return self._own().counts

    def say(self, event: Told) -> None:
        """Hands over one event and is back at once."""
        life = self._started()
        life.soon(partial(life.client.say, _as_it_is(event)), events=1)

    def send(self, event: Told) -> Answer:
        """The relay's answer to one event."""
        return self.send_many([event])

    def send_many(self, events: Iterable[Told]) -> Answer:
        """The relay's answer to several, counted together."""
        told = list(events)
        parts = 1 + len(told) // MOST_EVENTS
        life = self._started()
        answer = life.result(life.client.send_many(told), events=len(told), patiences=parts)
        if self.is_strict:
            check(answer)
        return answer

    def typing(
        self,
        session_id: str,
        guest_id: str | None = None,
        *,
        communication_id: str | None = None,
        agent_user_id: str | None = None,
    ) -> None:
        """Somebody typed in that session just now. Only a strict client waits for the relay's answer."""
        said = activity_event(
            "keystroke",
            session_id,
            guestId=guest_id,
            communicationId=communication_id,
            agentUserId=agent_user_id,
        )
        if self.is_strict:
            self.send(said)
        else:
            self.say(said)

    def thinking(
        self,
        session_id: str,
        guest_id: str | None = None,
        *,
        communication_id: str | None = None,
        agent_user_id: str | None = None,
        traceparent: str | None = None,
    ) -> BlockingThinking:
        """`with relay.thinking(session_id, guest_id):` around the work on an answer."""

        def made() -> _Use:
            life = self._started()
            thinking = life.client.thinking(
                session_id,
                guest_id,
                communication_id=communication_id,
                agent_user_id=agent_user_id,
                traceparent=traceparent,
            )
            return _Use(life, thinking)

        return BlockingThinking(made, is_strict=self.is_strict)

    def stream(self, *, leave_on_close: bool | None = None) -> BlockingStream:
        """`with relay.stream() as stream:` for keystrokes as they come; see `RelayClient.stream`."""
        return BlockingStream(self._started, leave_on_close=leave_on_close, is_strict=self.is_strict)

    def close(self) -> None:
        """Ends open runs and sends what waits, for two seconds at most. Afterwards the client may be used anew."""
        self._own().end()


def _as_it_is(event: Told) -> Told:
    """A copy, which the caller cannot change before it is sent. Of what an event holds only `actor` has members."""
    if not isinstance(event, Mapping):
        return event  # said to be none further on
    return {name: dict(value) if isinstance(value, dict) else value for name, value in event.items()}
