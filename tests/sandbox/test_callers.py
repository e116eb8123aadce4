"""What every answer of the stand-in carries, and who may ask it for what."""

import aiohttp
import pytest

from tests.sandbox.cloud import Caller, Said, caller

pytestmark = pytest.mark.looptime
SESSION = "5f0c2f9e-8a52-4d7e-9d3a-0123456789ab"
PATHS = [
    "/api/v2/no/such/path",
    "/api/v2/conversations/messages",
    f"/api/v2/messaging/sessions/{SESSION}",
    "/webdeployments/v1/deployments/d-1/config.json",
    "/oauth/token",
    "/no/such/path",
    "/v1",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_every_answer_says_how_much_is_used_and_whom_to_quote(method: str, path: str) -> None:
    async with caller() as it:
        await it.type()
        url = it.platform.base_url + path
        async with aiohttp.ClientSession() as http, http.request(method, url, headers=it.bearer) as answer:
            assert int(answer.headers["inin-ratelimit-count"]) >= 1
            assert answer.headers["inin-ratelimit-allowed"] == "300"
            assert 1 <= int(answer.headers["inin-ratelimit-reset"]) <= 60
            assert answer.headers["inin-correlation-id"]


async def test_the_handshake_of_a_guests_socket_says_it_too() -> None:
    async with caller() as it, aiohttp.ClientSession() as http:
        url = f"{it.platform.base_url}/v1?deploymentId=d-1"
        async with http.ws_connect(url) as socket:
            assert socket._response.headers["inin-correlation-id"]


async def test_a_path_that_is_not_there_asks_for_a_bearer_first() -> None:
    async with caller() as it:
        good, it.token = it.token, ""
        said = await it.get("/api/v2/no/such/path")
        assert (said.status, said.body["code"]) == (401, "authentication.required")
        it.token = "made-up"
        assert (await it.get("/api/v2/no/such/path")).body["code"] == "bad.credentials"
        it.token = good
        said = await it.get("/api/v2/no/such/path")
        assert (said.status, said.body["code"], said.body["status"]) == (404, "not.found", 404)
        assert said.body["contextId"]


async def test_what_is_not_there_counts_as_well() -> None:
    async with caller() as it:
        for _ in range(300):
            await it.get("/api/v2/no/such/path")
        assert (await it.get("/api/v2/no/such/path")).status == 429
        assert it.platform.callers.refused_429 == 1


async def read(it: Caller, path: str) -> Said:
    return await it.get(path + it.conversation.id)


async def test_reading_legs_has_a_permission_of_its_own_and_the_messages_shape_has_none() -> None:
    async with caller(may_read=False) as it:
        said = await read(it, "/api/v2/conversations/")
        assert (said.status, said.body["code"]) == (403, "missing.any.permissions")
        assert "conversation:communication:view" in said.body["message"]
        assert (await read(it, "/api/v2/conversations/messages/")).status == 200
        assert (await it.type()).status == 200
        it.platform.mischief.change({"may_read": True, "is_permitted": False})
        assert (await read(it, "/api/v2/conversations/")).status == 200
        assert (await it.type()).status == 403
