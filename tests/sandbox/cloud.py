"""Somebody who talks to the stand-in's conversations by hand, header by header."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from relay.sandbox.chaos import Chaos
from relay.sandbox.conversations import Conversation
from relay.sandbox.platform import StandInPlatform

AGENT = "11111111-1111-4111-8111-111111111111"
OTHER_AGENT = "22222222-2222-4222-8222-222222222222"
LEG = "33333333-3333-4333-8333-333333333333"
ON: dict[str, Any] = {"typing": {"type": "On", "duration": 5000}}  # a body, of any shape where it is changed


class Said(NamedTuple):
    status: int
    body: dict[str, Any]  # whatever JSON the platform says
    headers: dict[str, str]


class Caller:
    def __init__(self, http: aiohttp.ClientSession, platform: StandInPlatform) -> None:
        self._http = http
        self.platform = platform
        self.conversation: Conversation = platform.stagehand.open(AGENT, communication_id=LEG)
        self.token = ""

    async def call(self, method: str, path: str, **options: Any) -> Said:  # aiohttp's own options
        async with self._http.request(method, self.platform.base_url + path, **options) as response:
            text = await response.text()
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Said(response.status, await response.json() if text else {}, headers)

    async def get(self, path: str) -> Said:
        return await self.call("GET", path, headers=self.bearer)

    async def text(self, path: str) -> str:
        async with self._http.get(self.platform.base_url + path) as response:
            return await response.text()

    async def log_in(self) -> None:
        pair = b64encode(b"sandbox-client:sandbox-secret").decode()
        said = await self.call(
            "POST",
            "/oauth/token",
            data={"grant_type": "client_credentials"},
            headers={"authorization": f"Basic {pair}"},
        )
        self.token = said.body["access_token"]

    async def sign_in(self, user_id: str) -> None:
        self.token = (await self.call("GET", f"/sandbox/users/{user_id}/token")).body["access_token"]

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    async def type(self, body: object = ON, *, leg: str = LEG, conversation_id: str | None = None) -> Said:
        where = conversation_id or self.conversation.id
        path = f"/api/v2/conversations/messages/{where}/communications/{leg}/typing"
        return await self.call("POST", path, json=body, headers=self.bearer)


@asynccontextmanager
async def caller(**chaos: Any) -> AsyncIterator[Caller]:  # `Chaos` checks them
    async with StandInPlatform(Chaos.none().changed(**chaos)) as platform, aiohttp.ClientSession() as http:
        made = Caller(http, platform)
        await made.log_in()
        yield made
