"""A LangGraph graph whose guest sees it at work, whichever of its steps takes the time.

    python tests/examples/graph.py http://127.0.0.1:8080 5f0c2f9e-8a52-4d7e-9d3a-0123456789ab guest-17 12

The last figure is how many seconds it thinks. Needs `pip install '.[langchain]' langgraph`.
"""

import asyncio
import os
import sys
from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph

from relay.client import RelayClient
from relay.integrations.langchain import RelayCallback


class State(TypedDict):
    seconds: float
    answer: str


async def think(state: State) -> State:
    await asyncio.sleep(state["seconds"])
    return state | {"answer": "42"}


async def main(url: str, session_id: str, guest_id: str, seconds: str) -> None:
    graph = (
        StateGraph(State).add_node("think", think).add_edge(START, "think").add_edge("think", END).compile()
    )
    async with RelayClient(url, os.environ.get("RELAY_KEY")) as relay:
        config: RunnableConfig = {
            "callbacks": [RelayCallback(relay)],
            "metadata": {"session_id": session_id, "guest_id": guest_id},
        }
        state = await graph.ainvoke({"seconds": float(seconds), "answer": ""}, config)
        print(state["answer"], flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: python tests/examples/graph.py URL SESSION_ID GUEST_ID SECONDS")
    asyncio.run(main(*sys.argv[1:]))
