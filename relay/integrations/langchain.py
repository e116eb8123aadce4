"""LangChain and LangGraph: while a run is under way, its guest sees the bot at work.

callback = RelayCallback(client)
await graph.ainvoke(question, {"callbacks": [callback], "metadata": {"session_id": …, "guest_id": …}})

 root run starts ──► begin            chains, tools and models within it: nothing, so nothing flickers
 root run ends, fails, is cancelled, its stream is closed ──► end
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from relay.integrations.whose import Client, Finding, Place, Use

MOST_RUNS = 10_000
"""A run whose end was never reported would be alive for ever; the oldest gives way."""


def from_metadata(metadata: Mapping[str, Any]) -> Place | None:
    """`session_id`, or else the `thread_id` that LangGraph copies there, and `guest_id`.

    Of `configurable` LangChain shows a callback nothing but what LangGraph copies (tried with langchain-core 1.7).
    """
    session_id = metadata.get("session_id") or metadata.get("thread_id")
    return None if session_id is None else Place(str(session_id), metadata.get("guest_id"))


class RelayCallback(BaseCallbackHandler):
    """One for all runs, synchronous and asynchronous; `whose` finds session and guest in a root run's metadata.

    With a `RelayClient` enter that first; from then on runs may take place on any thread.
    """

    run_inline = True  # what is done here takes microseconds; a thread for it would only break the order

    def __init__(
        self, client: Client, *, whose: Callable[[Mapping[str, Any]], Place | None] = from_metadata
    ) -> None:
        super().__init__()
        self._client = client
        self._whose = Finding(whose)
        self._uses: OrderedDict[UUID, Use] = OrderedDict()

    def _began(
        self,
        *_: object,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        **__: object,
    ) -> None:
        place = self._whose(metadata or {}) if parent_run_id is None else None
        if place is None:
            return
        use = self._uses[run_id] = self._client.thinking(place.session_id, place.guest_id)
        use.begin()
        if len(self._uses) > MOST_RUNS:
            self._uses.popitem(last=False)[1].end()

    def _ended(self, *_: object, run_id: UUID, **__: object) -> None:
        use = self._uses.pop(run_id, None)
        if use is not None:
            use.end()

    # A root is mostly a chain, which a graph is too; a model, a tool or a retriever may be called by itself.
    on_chain_start = on_chat_model_start = on_llm_start = on_tool_start = on_retriever_start = _began
    on_chain_end = on_llm_end = on_tool_end = on_retriever_end = _ended
    on_chain_error = on_llm_error = on_tool_error = on_retriever_error = _ended
