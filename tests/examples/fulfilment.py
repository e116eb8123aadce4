"""A Dialogflow CX fulfilment webhook: while it looks for an answer, the guest sees the bot at work.

    python tests/examples/fulfilment.py http://127.0.0.1:8080 8091

Give Dialogflow the address of `/fulfilment`; for Dialogflow ES, Rasa or Lex put `dialogflow_es`, `rasa` or `lex` in the
place of `dialogflow_cx`.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

from aiohttp import web

from relay.client import RelayClient
from relay.integrations.aiohttp import dialogflow_cx, thinking_while


async def fulfil(request: web.Request) -> web.Response:
    try:
        tag = (await request.json())["fulfillmentInfo"]["tag"]
    except (LookupError, TypeError, ValueError):
        raise web.HTTPBadRequest(text="a webhook request of Dialogflow CX is wanted") from None
    await asyncio.sleep(1)
    text = f"You asked for {tag}: 42"
    return web.json_response({"fulfillmentResponse": {"messages": [{"text": {"text": [text]}}]}})


def application(url: str) -> web.Application:
    relay = RelayClient(url, os.environ.get("RELAY_KEY"))

    async def entered(_: web.Application) -> AsyncIterator[None]:
        async with relay:
            yield

    app = web.Application(middlewares=[thinking_while(relay, dialogflow_cx)])
    app.cleanup_ctx.append(entered)
    app.router.add_post("/fulfilment", fulfil)
    return app


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python tests/examples/fulfilment.py URL PORT")
    web.run_app(application(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
