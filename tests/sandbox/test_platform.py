"""The stand-in is spoken to by hand here, not by our gateway: what one got wrong the other could not show."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from relay.core.indicator import Indicator
from relay.sandbox.arrivals import Arrival
from relay.sandbox.chaos import Chaos
from relay.sandbox.platform import StandInPlatform

pytestmark = pytest.mark.looptime
SESSION = "6d8b1d0e-5a86-4a1e-9f5e-0c0a3b1b7f10"
GOOD = {"sessionId": SESSION, "guestId": "guest-1", "type": "typing", "duration": 3000}
FORM = {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}


class Client:
    def __init__(self, http: aiohttp.ClientSession, platform: StandInPlatform) -> None:
        self.http = http
        self.platform = platform
        self.token = ""

    async def call(
        self, method: str, path: str, **options: Any
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        async with self.http.request(method, self.platform.base_url + path, **options) as response:
            text = await response.text()
            body = await response.json() if text else {}
            return response.status, body, {name.lower(): value for name, value in response.headers.items()}

    async def log_in(self) -> None:
        _, body, _ = await self.call("POST", "/oauth/token", data=FORM)
        self.token = body["access_token"]

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    async def typing(
        self, body: Any = GOOD, guest_id: str = "guest-1"
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        path = f"/api/v2/messaging/guests/{guest_id}/typing"
        return await self.call("POST", path, json=body, headers=self.bearer)

    async def switch(self, **switches: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
        return await self.call("POST", "/sandbox/chaos", json=switches)


@asynccontextmanager
async def client(**chaos: Any) -> AsyncIterator[Client]:
    async with StandInPlatform(Chaos.none().changed(**chaos)) as platform, aiohttp.ClientSession() as http:
        made = Client(http, platform)
        await made.log_in()
        yield made


async def test_the_token_endpoint_takes_form_and_basic_and_every_token_is_new() -> None:
    async with client() as it:
        basic = {"authorization": f"Basic {b64encode(b'sandbox-client:sandbox-secret').decode()}"}
        first = await it.call("POST", "/oauth/token", data=FORM | {"scope": "messaging:guest:write"})
        other = await it.call(
            "POST", "/oauth/token", data={"grant_type": "client_credentials"}, headers=basic
        )
        assert (first[0], other[0]) == (200, 200)
        assert first[1]["access_token"] != other[1]["access_token"]
        assert first[1]["token_type"] == "bearer"
        assert first[1]["expires_in"] == 3600


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        (FORM | {"client_secret": "wrong"}, 401, "invalid_client"),
        (FORM | {"client_id": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, 401, "invalid_client"),
        (FORM | {"grant_type": "password"}, 400, "unsupported_grant_type"),
        (FORM | {"scope": "everything"}, 400, "invalid_scope"),
        ({}, 400, "unsupported_grant_type"),
    ],
)
async def test_the_token_endpoint_refuses_with_its_own_shape(
    form: dict[str, str], status: int, error: str
) -> None:
    async with client() as it:
        found, body, _ = await it.call("POST", "/oauth/token", data=form)
        assert (found, body["error"]) == (status, error)
        assert body["description"] == body["error_description"]


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({}, "authentication.required"),
        ({"authorization": "Basic eA=="}, "authentication.required"),
        ({"authorization": "Bearer nonsense"}, "bad.credentials"),
    ],
)
async def test_a_call_without_a_good_token_is_told_which_way_it_is_bad(
    header: dict[str, str], code: str
) -> None:
    async with client() as it:
        for method, path in [("GET", f"sessions/{SESSION}"), ("POST", "guests/guest-1/typing")]:
            status, body, _ = await it.call(method, f"/api/v2/messaging/{path}", headers=header)
            assert (status, body["code"], body["status"]) == (401, code, 401)
            assert body["contextId"]


async def test_a_token_expires_when_it_said_and_can_be_revoked_before() -> None:
    async with client(token_life_s=60) as it:
        await asyncio.sleep(59)
        assert (await it.typing())[0] == 200
        await asyncio.sleep(2)
        assert (await it.typing())[1]["code"] == "credentials.expired"
        await it.log_in()
        await it.switch(revoke_tokens=True)
        assert (await it.typing())[1]["code"] == "bad.credentials"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        GOOD | {"extra": 1},
        {name: value for name, value in GOOD.items() if name != "duration"},
        GOOD | {"sessionId": "s"},
        GOOD | {"guestId": "another"},
        GOOD | {"type": "Typing"},
        GOOD | {"type": ["typing"]},
        GOOD | {"duration": 99},
        GOOD | {"duration": 10_001},
        GOOD | {"duration": 3000.5},
        GOOD | {"duration": "3000"},
        GOOD | {"duration": True},
    ],
)
async def test_a_body_off_the_contract_is_refused_and_shows_nothing(body: Any) -> None:
    async with client() as it:
        status, answer, _ = await it.typing(body)
        assert (status, answer["status"]) == (400, 400)
        assert it.platform.visible(SESSION) is None


async def test_a_good_call_is_seen_by_the_guest_until_it_lapses() -> None:
    async with client() as it:
        assert (await it.typing())[0] == 200
        assert (await it.call("GET", f"/sandbox/visible/{SESSION}"))[1] == {"visible": "typing"}
        await asyncio.sleep(3)
        assert (await it.call("GET", f"/sandbox/visible/{SESSION}"))[1] == {"visible": None}


async def test_sessions_have_the_status_they_were_given() -> None:
    other = SESSION.replace("6", "7")
    async with client(sessions={SESSION: "DISCONNECTED"}) as it:
        path = "/api/v2/messaging/sessions/"
        assert (await it.call("GET", path + SESSION, headers=it.bearer))[1]["status"] == "DISCONNECTED"
        assert (await it.call("GET", path + other, headers=it.bearer))[1]["status"] == "ACTIVE"
        assert (await it.typing())[0] == 409
        await it.switch(session_status="")
        assert (await it.call("GET", path + other, headers=it.bearer))[0] == 404


async def test_a_session_told_twice_inside_its_interval_is_limited_by_name() -> None:
    async with client(min_interval_ms=2000) as it:
        assert (await it.typing())[0] == 200
        status, body, headers = await it.typing()
        assert (status, headers["retry-after"], body["limit"]["namespace"]) == (429, "2", "session")


async def test_a_script_forces_the_next_answers_and_then_all_is_as_before() -> None:
    async with client() as it:
        await it.switch(
            script=[{"status": 429, "headers": {"retry-after": "7"}}, {"status": 500, "is_applied": True}]
        )
        limited, failed, fine = await it.typing(), await it.typing(), await it.typing()
        assert (limited[0], limited[2]["retry-after"], failed[0], fine[0]) == (429, "7", 500, 200)
        assert [arrival.is_applied for arrival in it.platform.arrivals] == [False, True, True]


async def test_a_forced_reset_is_noted_and_the_caller_gets_nothing() -> None:
    async with client() as it:
        await it.switch(script=[{"reset": True}])
        with pytest.raises(aiohttp.ClientError):
            await it.typing()
        assert len(it.platform.arrivals) == 1


async def test_a_call_is_applied_when_it_arrives_or_as_late_as_the_script_says() -> None:
    async with client() as it:
        await it.switch(script=[{"delay_ms": 5000}, {"applies_after_ms": 1000}])
        began = asyncio.get_running_loop().time() * 1000
        await it.typing()
        await it.typing()
        at = [arrival.at - began for arrival in it.platform.arrivals]
        assert at == [pytest.approx(0, abs=50), pytest.approx(6000, abs=50)]


async def test_a_refused_call_does_not_lengthen_the_wait_of_its_session() -> None:
    async with client(min_interval_ms=2000) as it:
        await it.typing()
        await asyncio.sleep(1.9)
        assert (await it.typing())[0] == 429
        await asyncio.sleep(0.2)
        assert (await it.typing())[0] == 200


async def test_a_bad_switch_is_refused_and_changes_nothing() -> None:
    async with client() as it:
        status, body, _ = await it.switch(rate_429=7)
        assert status == 422
        assert body["problems"][0]["where"] == "rate_429"
        assert it.platform.mischief.chaos == Chaos.none()


async def test_every_call_is_listed_with_its_times_and_answer() -> None:
    async with client() as it:
        await it.typing()
        await it.typing(GOOD | {"duration": 1})
        _, listed, _ = await it.call("GET", "/sandbox/arrivals")
        assert [(each["status"], each["is_applied"]) for each in listed["arrivals"]] == [
            (200, True),
            (400, False),
        ]
        assert listed["arrivals"][0]["indicator"] == Indicator.TYPING.value
        assert listed["tokens"] == {"granted": 1, "refused": 0}


async def test_by_default_it_misbehaves() -> None:
    async with client(rate_429=0.02, rate_5xx=0.01, latency_ms=200) as it:
        statuses = [(await it.typing())[0] for _ in range(400)]
        assert {200, 429, 503} == set(statuses)
        assert statuses.count(200) > 360


async def test_whoever_asked_is_told_of_each_arrival_with_its_answer() -> None:
    told: list[Arrival] = []
    chaos = Chaos.none()
    async with (
        StandInPlatform(chaos, on_arrival=told.append, wall=lambda: 7) as platform,
        aiohttp.ClientSession() as http,
    ):
        made = Client(http, platform)
        await made.log_in()
        await made.typing()
        await made.switch(rate_429=1.0)
        await made.typing()
    assert [(each.status, each.is_applied, each.wall) for each in told] == [(200, True, 7), (429, False, 7)]


@pytest.mark.parametrize("body", [b'{"rate_429": 1', b"[]", b"\xff", b"rate_429=1"])
async def test_switches_that_cannot_be_read_are_refused_and_change_nothing(body: bytes) -> None:
    async with client() as it:
        before = it.platform.mischief.chaos
        status, answer, _ = await it.call("POST", "/sandbox/chaos", data=body)
        assert (status, len(answer["problems"])) == (422, 1)
        assert it.platform.mischief.chaos == before
        assert (await it.call("POST", "/sandbox/chaos"))[0] == 200
