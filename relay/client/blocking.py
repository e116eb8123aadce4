"""The client for programs without a loop: the same client, on a thread of its own.

with BlockingRelayClient("http://127.0.0.1:8080", "trk_…") as relay, relay.thinking(session_id, guest_id):
    answer = model(question)
"""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from relay.client.activity import Told
from relay.client.answers import Answer
from relay.client.calling import MOST_EVENTS, RelayClient
from relay.client.engine import CLOSE_S
from relay.client.settling import Counts
from relay.client.streaming import Stream
from relay.client.thinking import AsyncThinking

T = TypeVar("T")

SLACK_S = 5.0
"""Beyond the client's own deadlines, for a thread that gets no turn on a busy machine."""


class BlockingThinking:
    """A block within which the guest sees the bot at work; see `AsyncThinking`. May be used without a block too."""

    def __init__(self, relay: "BlockingRelayClient", thinking: AsyncThinking) -> None:
        self._relay = relay
        self._thinking = thinking

    def begin(self) -> None:
        self._thinking.begin()

    def answered(self) -> None:
        """The answer is posted: the end will be told as `message_sent`."""
        self._thinking.answered()

    def end(self) -> None:
        self._thinking.end()

    def __enter__(self) -> Self:
        if self._relay.is_strict:
            self._relay.wait_for(self._thinking.__aenter__())
        else:
            self._thinking.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._relay.is_strict:
            self._relay.wait_for(self._thinking.__aexit__(kind, why, trace))
        else:
            self._thinking.end()


class BlockingStream:
    """An open stream; `say` and `typing` neither wait nor raise, on any thread. See `Stream`."""

    def __init__(self, relay: "BlockingRelayClient", stream: Stream) -> None:
        self._relay = relay
        self._stream = stream
        self.say = stream.say
        self.typing = stream.typing
        self.counts = stream.counts

    def __enter__(self) -> Self:
        self._relay.wait_for(self._stream.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._relay.wait_for(self._stream.close())


class BlockingRelayClient:
    """`RelayClient` with methods that block, for any number of threads; its arguments are that client's.

    Its thread starts with the first use, in a process that was forked with the first use there: what waited before
    the fork is the parent's to send. `close` it, or use it as a context manager: what still waits when the program
    ends is lost.
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
        )
        self._patience_s = patience_s
        self._parents: list[RelayClient] = []
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._own = self._made()
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def _client(self) -> RelayClient:
        """This process's own: of threads a forked one has only that which forked, and a lock of another's is never freed."""
        if self._process != os.getpid():
            # Kept, and never closed: its sockets and its selector are the parent's too.
            self._parents.append(self._own)
            self._begin()
        return self._own

    def __enter__(self) -> Self:
        self._started()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_strict(self) -> bool:
        return self._client.is_strict

    @property
    def counts(self) -> Counts:
        """What became of the events so far."""
        return self._client.counts

    def say(self, event: Told) -> None:
        """Hands over one event and is back at once."""
        self._started()
        self._client.say(event)

    def send(self, event: Told) -> Answer:
        """The relay's answer to one event."""
        return self.wait_for(self._client.send(event))

    def send_many(self, events: Iterable[Told]) -> Answer:
        """The relay's answer to several, counted together."""
        told = list(events)
        most_s = SLACK_S + self._patience_s * (len(told) // MOST_EVENTS)  # one patience is `wait_for`'s own
        return self.wait_for(self._client.send_many(told), most_s=most_s)

    def typing(
        self,
        session_id: str,
        guest_id: str | None = None,
        *,
        communication_id: str | None = None,
        agent_user_id: str | None = None,
    ) -> None:
        """Somebody typed in that session just now."""
        said = self._client.typing(
            session_id, guest_id, communication_id=communication_id, agent_user_id=agent_user_id
        )
        self.wait_for(said)

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
        self._started()
        use = self._client.thinking(
            session_id,
            guest_id,
            communication_id=communication_id,
            agent_user_id=agent_user_id,
            traceparent=traceparent,
        )
        return BlockingThinking(self, use)

    def stream(self, *, leave_on_close: bool | None = None) -> "BlockingStream":
        """`with relay.stream() as stream:` for keystrokes as they come; see `RelayClient.stream`."""
        self._started()
        return BlockingStream(self, self._client.stream(leave_on_close=leave_on_close))

    def close(self) -> None:
        """Ends open runs and sends what waits, for two seconds at most. Afterwards the client may be used anew."""
        client = self._client
        with self._starting:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        try:
            asyncio.run_coroutine_threadsafe(client.close(), loop).result(CLOSE_S + SLACK_S)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(SLACK_S)

    def wait_for(self, work: Coroutine[Any, Any, T], *, most_s: float = SLACK_S) -> T:
        """What `work` of this client's comes to, on its thread; `most_s` is beyond its patience."""
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        return future.result(self._patience_s + most_s)

    def _started(self) -> asyncio.AbstractEventLoop:
        client = self._client
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="relay client", daemon=True
                )
                self._thread.start()
                asyncio.run_coroutine_threadsafe(client.__aenter__(), self._loop).result(SLACK_S)
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
