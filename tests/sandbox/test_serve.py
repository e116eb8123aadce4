import asyncio

import aiohttp
import pytest

from relay.sandbox.chaos import Chaos
from relay.sandbox.serve import serve_sandbox, serve_tracker

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the example of the Standard Webhooks specification


async def test_both_servers_announce_where_they_listen_and_end_when_cancelled() -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    servers = [
        asyncio.create_task(serve_sandbox(chaos=Chaos.none(), announce=heard.put_nowait)),
        asyncio.create_task(serve_tracker(secrets=[SECRET], announce=heard.put_nowait)),
    ]
    async with aiohttp.ClientSession() as http:
        for _ in servers:
            url = await heard.get()
            async with http.get(url) as response:
                assert response.status in {404, 405}
    for server in servers:
        server.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server
