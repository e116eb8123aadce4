"""LangChain and LangGraph: while a run is under way, its guest sees the bot at work.

callback = RelayCallback(client)
await graph.ainvoke(question, {"callbacks": [callback], "metadata": {"session_id": …, "guest_id": …}})

 root run starts ──► begin            chains, tools and models within it: nothing, so nothing flickers
 root run ends, fails, is cancelled, its stream is closed ──► end

LangChain says so of every chain and tool. Of a model or a retriever that is a root by itself it does not where that is
cancelled, or where one of several prompts fails (tried with langchain-core 1.8): such a run ends with the task it is
in, and in any case with its silence.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from relay.integrations.silences import Silences
from relay.integrations.whose import Client, Finding, Place, Use

MOST_RUNS = 10_000
"""A run whose end was never reported would be alive for ever; the oldest gives way."""

SILENT_S = 120.0
"""By its default a relay shows no thought for longer, so nothing is lost by the end of one of which nothing is heard."""


AfterASilence = Callable[[Callable[[], None]], Callable[[], object]]
"""What is to be done after one → what calls it off."""


def from_metadata(metadata: Mapping[str, Any]) -> Place | None:
    """`session_id`, or else the `thread_id` that LangGraph copies there, and `guest_id`.

    A gateway of kind `guest` needs both, and a UUID for the session. Of `configurable` LangChain shows a callback
    nothing but what LangGraph copies (tried with langchain-core 1.7).
    """
    session_id = metadata.get("session_id") or metadata.get("thread_id")
    return None if session_id is None else Place(str(session_id), metadata.get("guest_id"))


class RelayCallback(BaseCallbackHandler):
    """One for all runs, synchronous and asynchronous; `whose` finds session and guest in a root run's metadata.

    A model or a retriever of which nothing is heard for `silent_s` (after its last token: twice as long at most) is
    taken for abandoned. With a `RelayClient` enter that first; from then on runs may take place on any thread.
    """

    run_inline = True  # what is done here takes microseconds; a thread for it would only break the order

    def __init__(
        self,
        client: Client,
        *,
        whose: Callable[[Mapping[str, Any]], Place | None] = from_metadata,
        silent_s: float = SILENT_S,
    ) -> None:
        super().__init__()
        self._client = client
        self._whose = Finding(whose, where="a run's metadata")
        self._silent_s = silent_s
        self._silences = Silences(silent_s)
        self._runs: OrderedDict[UUID, _Run] = OrderedDict()

    def _began(
        self,
        *_: object,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        **__: object,
    ) -> "_Run | None":
        if parent_run_id is not None:
            self._heard(run_id=parent_run_id)
            return None
        place = self._whose(metadata or {})
        if place is None:
            return None
        # A config that names its run may be used again before that is over, and then nobody would end the first.
        self._ended(run_id=run_id)
        run = self._runs[run_id] = _Run(self._client.thinking(place.session_id, place.guest_id))
        if len(self._runs) > MOST_RUNS:
            self._runs.popitem(last=False)[1].end()
        return run

    def _began_alone(self, *told: object, run_id: UUID, **more: Any) -> "_Run | None":  # Any: LangChain's
        run = self._began(*told, run_id=run_id, **more)
        if run is not None:
            run.watch(self._after_a_silence, lambda: self._lost(run_id, run))
        return run

    def _began_in_its_task(self, *told: object, run_id: UUID, **more: Any) -> None:  # Any: LangChain's
        run = self._began_alone(*told, run_id=run_id, **more)
        if run is not None:
            run.watch_task(lambda: self._lost(run_id, run))

    def _heard(self, *_: object, run_id: UUID, **__: object) -> None:
        run = self._runs.get(run_id)
        if run is not None:
            run.heard()

    def _ended(self, *_: object, run_id: UUID, **__: object) -> None:
        run = self._runs.pop(run_id, None)
        if run is not None:
            run.end()

    def _lost(self, run_id: UUID, run: "_Run") -> None:
        if self._runs.get(run_id) is run:
            self._ended(run_id=run_id)

    def _after_a_silence(self, act: Callable[[], None]) -> Callable[[], object]:
        return _on_the_loop(self._silent_s, act) or self._silences.later(act)

    # A root is mostly a chain, which a graph is too; a model, a tool or a retriever may be called by itself.
    on_chain_start = on_tool_start = _began
    on_chat_model_start = on_retriever_start = _began_in_its_task
    on_llm_start = _began_alone  # in a task that LangChain makes for the call, and that is over at once
    on_llm_new_token = on_stream_event = _heard
    on_chain_end = on_llm_end = on_tool_end = on_retriever_end = _ended
    on_chain_error = on_llm_error = on_tool_error = on_retriever_error = _ended


class _Run:
    """A root run's use of the client, and what notices that it is over where LangChain does not say so."""

    def __init__(self, use: Use) -> None:
        self._use = use
        self._was_heard = False
        self._forget: list[Callable[[], object]] = []
        use.begin()

    def end(self) -> None:
        for forget in self._forget:
            forget()
        self._use.end()

    def heard(self) -> None:
        self._was_heard = True

    def watch(self, after_a_silence: AfterASilence, lost: Callable[[], None]) -> None:
        """Has `lost` called after a silence."""

        def look() -> None:
            if self._was_heard:
                self.watch(after_a_silence, lost)
            else:
                lost()

        self._was_heard = False
        self._forget[:1] = [after_a_silence(look)]

    def watch_task(self, lost: Callable[[], None]) -> None:
        """Has `lost` called at the end of the task it is in."""

        def left(task: "asyncio.Task[Any]") -> None:  # Any: whatever the bot's own task returns
            # What has said a word may say the next in another: `wait_for` of Python 3.11 makes a task for each.
            if task.cancelled() or not self._was_heard:
                lost()

        task = _current_task()
        if task is not None:
            task.add_done_callback(left)
            self._forget.append(lambda: task.remove_done_callback(left))


def _current_task() -> asyncio.Task[Any] | None:  # Any: whatever the bot's own task returns
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs on this thread
        return None


def _on_the_loop(delay_s: float, act: Callable[[], None]) -> Callable[[], object] | None:
    """What calls it off; None where no loop runs on this thread."""
    try:
        return asyncio.get_running_loop().call_later(delay_s, act).cancel
    except RuntimeError:
        return None
