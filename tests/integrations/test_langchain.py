"""A real LangGraph graph, and what its guest sees of it."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any, TypedDict
from uuid import UUID

import pytest

from relay.client import BlockingRelayClient, RelayClient
from tests.client.beside import GUEST, SESSION, Beside, beside
from tests.client.standing import standing
from tests.client.test_blocking import Relay, until
from tests.client.test_blocking import relay as relay  # noqa: PLC0414 - the fixture, by its own name

pytest.importorskip("langgraph.graph", reason="langgraph is not installed (extra `langchain`, and langgraph)")

from langchain_core.documents import Document
from langchain_core.language_models import LLM, BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph

from relay.integrations import Place
from relay.integrations.langchain import RelayCallback

SETTLED_S = 3.0


class State(TypedDict):
    answer: str


Step = Any  # Any: of its overloads for steps LangGraph's `add_node` takes no union


def graph_of(*steps: Step) -> Any:  # Any: the compiled graph's four type parameters say nothing here
    graph = StateGraph(State)
    names = [f"step{n}" for n in range(len(steps))]
    for name, step in zip(names, steps, strict=True):
        graph.add_node(name, step)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph.compile()


def config(
    client: RelayClient | BlockingRelayClient, *, silent_s: float = 120, **metadata: object
) -> RunnableConfig:
    told = metadata or {"session_id": SESSION, "guest_id": GUEST}
    return {"callbacks": [RelayCallback(client, silent_s=silent_s)], "metadata": told}


async def thinks(_: State) -> State:
    await asyncio.sleep(6)
    return {"answer": "42"}


async def fast(_: State) -> State:
    return {"answer": "42"}


async def fails(_: State) -> State:
    await asyncio.sleep(1)
    raise LookupError("no answer")


QUESTION: State = {"answer": ""}


class Model(BaseChatModel):
    """Thinks for `takes_s`, and fails at what it does not like."""

    takes_s: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "model"

    def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:  # Any: LangChain's own signature
        if messages[0].content == "bad":
            raise LookupError("no answer")
        return ChatResult(generations=[ChatGeneration(message=AIMessage("42"))])

    async def _agenerate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:  # Any: as above
        await asyncio.sleep(self.takes_s)
        return self._generate(messages)


class Talker(Model):
    """Says a word every `takes_s`."""

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:  # Any: as above
        for _word in range(6):
            await asyncio.sleep(self.takes_s)
            yield ChatGenerationChunk(message=AIMessageChunk(content="42 "))


class Completer(LLM):
    @property
    def _llm_type(self) -> str:
        return "completer"

    def _call(self, *_: Any, **__: Any) -> str:  # Any: as above
        return "42"

    async def _acall(self, *_: Any, **__: Any) -> str:  # Any: as above
        await asyncio.sleep(6)
        return "42"


class Finder(BaseRetriever):
    def _get_relevant_documents(self, *_: Any, **__: Any) -> list[Document]:  # Any: as above
        return []

    async def _aget_relevant_documents(self, *_: Any, **__: Any) -> list[Document]:  # Any: as above
        await asyncio.sleep(60)
        return []


@contextlib.asynccontextmanager
async def cleared(relay: Beside) -> AsyncIterator[None]:
    """Afterwards the guest sees nobody any more."""
    yield
    await asyncio.sleep(SETTLED_S)
    assert (relay.kinds()[-1], relay.sees()) == ("thinking_done", None)


@pytest.mark.looptime
async def test_a_graph_of_twelve_seconds_is_shown_without_a_gap_and_cleared_when_it_answers() -> None:
    async with beside() as (relay, client), cleared(relay):
        run = asyncio.create_task(
            graph_of(thinks, thinks).ainvoke(QUESTION, config(client)), name="the graph"
        )
        await asyncio.sleep(0.5)  # the relay's delay, after which it shows
        assert await relay.watched(11.4) == ["typing"] * 114
        assert (await run)["answer"] == "42"
    assert relay.timed() == [(0, "thinking"), (5, "heartbeat"), (10, "heartbeat"), (12, "thinking_done")]


@pytest.mark.looptime
async def test_one_that_fails_is_cleared() -> None:
    async with beside() as (relay, client), cleared(relay):
        with pytest.raises(LookupError, match="no answer"):
            await graph_of(thinks, fails).ainvoke(QUESTION, config(client))


@pytest.mark.looptime
async def test_one_that_is_cancelled_is_cleared() -> None:
    async with beside() as (relay, client), cleared(relay):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await graph_of(thinks).ainvoke(QUESTION, config(client))


@pytest.mark.looptime
async def test_one_whose_stream_is_left_is_cleared() -> None:
    async with beside() as (relay, client), cleared(relay):
        stream = graph_of(thinks, thinks).astream(QUESTION, config(client))
        await anext(stream)
        assert relay.sees() == "typing"
        await stream.aclose()


@pytest.mark.looptime
async def test_one_that_is_streamed_to_its_end_is_cleared() -> None:
    async with beside() as (relay, client), cleared(relay):
        events = graph_of(thinks).astream_events(QUESTION, config(client), version="v2")
        assert len([event async for event in events]) > 2


@pytest.mark.looptime
@pytest.mark.parametrize(
    "root", [Model(takes_s=60), Talker(takes_s=60), Finder()], ids=lambda one: type(one).__name__
)
async def test_a_model_or_a_retriever_by_itself_that_is_cancelled_is_cleared(
    root: Any,
) -> None:  # Any: as above
    """Escaped because every test cancelled a graph: of these LangChain reports no end."""
    async with beside() as (relay, client), cleared(relay):
        run = asyncio.create_task(root.ainvoke("?", config(client)), name="the model")
        await asyncio.sleep(2)
        assert relay.sees() == "typing"
        run.cancel()
        await asyncio.wait([run])


@pytest.mark.looptime
async def test_a_model_whose_caller_gives_up_and_goes_on_is_cleared_by_its_silence() -> None:
    async with beside() as (relay, client):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await Model(takes_s=60).ainvoke("?", config(client, silent_s=10))
        await asyncio.sleep(4)
        assert relay.sees() == "typing"
        await asyncio.sleep(4)
        assert (relay.timed()[-1], relay.sees()) == ((10, "thinking_done"), None)


@pytest.mark.looptime
@pytest.mark.parametrize("root", [Model(takes_s=60), Talker(takes_s=60)], ids=["in one piece", "in words"])
async def test_a_model_whose_stream_of_events_is_left_is_cleared(root: Model) -> None:
    async with beside() as (relay, client), cleared(relay):
        events = root.astream_events("?", config(client), version="v2")
        await anext(events)
        await asyncio.sleep(2)
        assert relay.sees() == "typing"
        await events.aclose()  # type: ignore[attr-defined] # it is a generator, whatever LangChain says


@pytest.mark.looptime
async def test_a_model_that_talks_is_shown_as_long_as_it_does_and_whoever_listens() -> None:
    """`wait_for` listens in a task of its own, each time another."""
    async with beside() as (relay, client), cleared(relay):
        words = aiter(Talker(takes_s=4).astream("?", config(client, silent_s=5)))
        for _ in range(6):
            await asyncio.wait_for(anext(words), 10)
            await asyncio.sleep(0.2)
            assert relay.sees() == "typing"
        assert [word async for word in words][-1].content == ""


@pytest.mark.looptime
async def test_what_langchain_begins_in_tasks_of_its_own_is_shown_until_it_is_over() -> None:
    async with beside() as (relay, client):
        told = config(client)
        await Completer().ainvoke("?", told)
        await RunnableLambda(thinks).abatch([QUESTION, QUESTION], told)
        await graph_of(thinks).abatch([QUESTION, QUESTION], told)
        await asyncio.sleep(SETTLED_S)
        assert relay.timed() == [
            (at, kind)
            for began in (0, 6, 12)
            for at, kind in [(began, "thinking"), (began + 5, "heartbeat"), (began + 6, "thinking_done")]
        ]


@pytest.mark.looptime
async def test_of_two_runs_with_one_name_none_is_left_open() -> None:
    async with beside() as (relay, client), cleared(relay):
        told = config(client) | {"run_id": UUID(int=7)}
        await asyncio.gather(graph_of(thinks).ainvoke(QUESTION, told), graph_of(fast).ainvoke(QUESTION, told))


def test_of_several_prompts_none_is_shown_for_ever_when_one_fails(relay: Relay) -> None:
    with BlockingRelayClient(relay.url) as client:
        callback = RelayCallback(client, silent_s=0.5)
        with pytest.raises(LookupError, match="no answer"):
            Model().generate(
                [[AIMessage("bad")], [AIMessage("good")]], callbacks=[callback], metadata={"session_id": "s1"}
            )
        until(lambda: relay.kinds() == ["thinking", "thinking_done"])


@pytest.mark.looptime
async def test_graphs_and_tools_within_a_graph_are_one_run() -> None:
    @tool
    async def calculator(question: str) -> str:
        """Knows the answer."""
        await asyncio.sleep(1)
        return f"{question}: 42"

    inner = graph_of(thinks)

    async def asks(state: State) -> State:
        await inner.ainvoke(state)
        return {"answer": await calculator.ainvoke({"question": "all"})}

    async with beside() as (relay, client), cleared(relay):
        assert (await graph_of(asks).ainvoke(QUESTION, config(client)))["answer"] == "all: 42"
    assert relay.kinds() == ["thinking", "heartbeat", "thinking_done"]


@pytest.mark.looptime
async def test_a_step_that_is_no_coroutine_runs_in_a_thread_and_changes_nothing() -> None:
    def knows(_: State) -> State:
        assert threading.current_thread() is not threading.main_thread()
        return {"answer": "42"}

    async with standing() as relay, RelayClient(relay.url) as client:
        await graph_of(knows).ainvoke(QUESTION, config(client, thread_id="t1"))
        await client.close()
    assert set(relay.kinds()) <= {"thinking", "thinking_done"}


@pytest.mark.looptime
async def test_without_a_session_nothing_is_told_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Escaped because only a function that raised was looked at."""
    async with standing() as relay, RelayClient(relay.url) as client:
        told = config(client, other="canary")
        for _ in range(2):
            await graph_of(thinks).ainvoke(QUESTION, told)
        await client.close()
        assert relay.kinds() == []
    assert [one.getMessage() for one in caplog.records if one.name == "relay.integrations"] == [
        "no session to be found in a run's metadata: nobody is told that the bot is at work; this is said once"
    ]


@pytest.mark.looptime
async def test_the_thread_of_a_graph_serves_as_its_session() -> None:
    async with standing() as relay, RelayClient(relay.url) as client:
        told: RunnableConfig = {"callbacks": [RelayCallback(client)], "configurable": {"thread_id": "t1"}}
        await graph_of(thinks).ainvoke(QUESTION, told)
        assert relay.requests[0][0]["sessionId"] == "t1"


@pytest.mark.looptime
async def test_a_function_of_ones_own_finds_session_and_guest_and_its_mistakes_harm_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with standing() as relay, RelayClient(relay.url) as client:
        callback = RelayCallback(client, whose=lambda told: Place(told["chat"]["id"], "g1"))
        graph = graph_of(thinks)
        for metadata in ({"chat": {"id": "s1"}}, {"chat": None}, {}):
            await graph.ainvoke(QUESTION, {"callbacks": [callback], "metadata": metadata})
        assert [(event["sessionId"], event["guestId"]) for (event, *_) in relay.requests[:1]] == [
            ("s1", "g1")
        ]
        assert relay.kinds().count("thinking") == 1
    assert len(caplog.records) == 1


def test_a_graph_without_a_loop_and_a_model_by_itself_are_told_by_the_blocking_client(relay: Relay) -> None:
    def knows(_: State) -> State:
        until(lambda: "thinking" in relay.kinds())
        return {"answer": "42"}

    with BlockingRelayClient(relay.url) as client:
        told = config(client, session_id="s1")
        assert graph_of(knows).invoke(QUESTION, told)["answer"] == "42"
        until(lambda: relay.kinds() == ["thinking", "thinking_done"])
        FakeListChatModel(responses=["42"], sleep=0.2).invoke("?", told)
        until(lambda: relay.kinds() == ["thinking", "thinking_done"] * 2)


async def test_a_synchronous_call_that_stops_its_loop_is_told_by_the_blocking_client(relay: Relay) -> None:
    def knows(_: State) -> State:
        until(lambda: relay.kinds() == ["thinking"])
        return {"answer": "42"}

    with BlockingRelayClient(relay.url) as client:
        assert graph_of(knows).invoke(QUESTION, config(client, session_id="s1"))["answer"] == "42"


def test_synchronous_models_cost_one_thread_between_them() -> None:
    """Each cost one, for as long as it ran."""
    before = set(threading.enumerate())
    callback = RelayCallback(NoClient(), silent_s=1)
    runs = [UUID(int=number) for number in range(100)]
    for run_id in runs:
        callback.on_llm_start({}, ["?"], run_id=run_id, metadata={"session_id": str(run_id)})
    assert [one.name for one in set(threading.enumerate()) - before] == ["relay silences"]
    for run_id in runs:
        callback.on_llm_end(LLMResult(generations=[]), run_id=run_id)


class NoUse:
    def begin(self) -> None: ...
    def answered(self) -> None: ...
    def end(self) -> None: ...


class NoClient:
    def thinking(self, _session_id: str, _guest_id: str | None = None) -> NoUse:
        return NoUse()


@pytest.mark.looptime
async def test_a_retriever_is_at_work_as_long_as_the_models_it_asks_are() -> None:
    class Asking(BaseRetriever):
        # LangChain hands `run_manager` over where this signature, of all, has its name
        def _get_relevant_documents(self, *_: Any, run_manager: Any) -> list[Document]:  # noqa: ARG002 # Any: as above
            return []

        async def _aget_relevant_documents(
            self,
            query: str,
            *,
            run_manager: Any,  # Any: as above
        ) -> list[Document]:
            for _ in range(4):
                await Model(takes_s=4).ainvoke(query, {"callbacks": run_manager.get_child()})
            return []

    async with beside() as (relay, client), cleared(relay):
        await Asking().ainvoke("?", config(client, silent_s=5))
        assert relay.timed()[-1] == (15, "heartbeat")


@pytest.mark.looptime
async def test_the_end_of_a_task_ends_no_run_that_took_the_name_of_its_own() -> None:
    """What a task calls at its end is called off in vain once the task has ended."""

    def begin() -> None:
        callback.on_chat_model_start({}, [[]], run_id=UUID(int=7), metadata={"session_id": "s1"})

    async def left() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda _: begin())  # before what the callback has done then
        begin()
        await asyncio.sleep(1)

    async with standing() as relay, RelayClient(relay.url) as client:
        callback = RelayCallback(client)
        await asyncio.create_task(left(), name="a task that is left")
        await asyncio.sleep(3)
        assert relay.kinds() == ["thinking", "thinking_done", "thinking"]
