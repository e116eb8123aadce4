"""The operator's doors to trackers: how each one stands, hold it, take it back, try it now."""

from aiohttp import web

from relay.ingest.answers import reply
from relay.operate.views import endpoint_view, resumed_view, tested_view
from relay.outbox.endpoints import Endpoints


class EndpointDoors:
    """A name that is not configured is 404, with those that are."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def all(self, _request: web.BaseRequest) -> web.Response:
        """Those configured, in their order, and then those that once were."""
        rows = {row.name: row for row in await self._endpoints.rows()}
        waiting, circuits = await self._endpoints.waiting(), self._endpoints.circuits
        failing, names = self._endpoints.failing, dict.fromkeys([*circuits, *rows, *waiting])
        views = [
            endpoint_view(
                name,
                rows.get(name),
                circuits.get(name),
                waiting=waiting.get(name, 0),
                failing=failing.get(name),
            )
            for name in names
        ]
        return reply(200, {"endpoints": views})

    async def pause(self, name: str, _request: web.BaseRequest) -> web.Response:
        """What is recorded meanwhile waits."""
        is_paused = await self._endpoints.pause(name)
        return reply(200, {"paused": is_paused, "state": self._endpoints.standings[name].value})

    async def resume(self, name: str, _request: web.BaseRequest) -> web.Response:
        """`hurried` are due now; what waits behind them in their sessions follows, and `more` takes another call.

        What was recorded while it was disabled is `cancelled`, and can be replayed.
        """
        return reply(200, resumed_view(await self._endpoints.resume(name)))

    async def test(self, name: str, _request: web.BaseRequest) -> web.Response:
        """200 whatever the tracker answered: the question was how it does."""
        return reply(200, tested_view(await self._endpoints.test(name)))
