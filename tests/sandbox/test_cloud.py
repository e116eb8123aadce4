"""The stand-in's conversations, spoken to by hand. Shapes and codes are those of the official SDK's models."""

import asyncio
from typing import Any

import pytest

from tests.sandbox.cloud import AGENT, LEG, ON, OTHER_AGENT, caller

pytestmark = pytest.mark.looptime
NOBODY = "99999999-9999-4999-8999-999999999999"


async def test_typing_is_an_empty_success_and_the_guest_sees_it_for_its_duration() -> None:
    async with caller() as it:
        said = await it.type()
        assert (said.status, said.body) == (200, {})
        assert it.platform.visible(it.conversation.id) == "typing"
        await asyncio.sleep(5)
        assert it.platform.visible(it.conversation.id) is None


async def test_a_message_or_the_end_takes_the_typing_from_the_guests_screen() -> None:
    async with caller() as it:
        path = f"/sandbox/conversations/{it.conversation.id}"
        await it.type()
        await it.call("POST", f"{path}/messages", json={"text": "hello"})
        assert it.platform.visible(it.conversation.id) is None
        await it.type()
        assert it.platform.visible(it.conversation.id) == "typing"
        await it.call("POST", f"{path}/disconnect")
        assert it.platform.visible(it.conversation.id) is None


@pytest.mark.parametrize(
    "body",
    [
        {"typing": {"type": "On"}},
        ON | {"dateSent": "2026-01-01T10:00:00.000Z"},
        ON | {"dateSent": "2026-01-01T10:00:00.123456+00:00"},
        ON | {"dateSent": "2026-01-01T10:00:00"},
    ],
)
async def test_duration_is_optional_and_a_date_may_be_written_in_three_ways(body: object) -> None:
    async with caller() as it:
        assert (await it.type(body)).status == 200
        assert it.platform.arrivals[0].duration_ms == 5000


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "bad.request"),
        ({"typing": "On"}, "bad.request"),
        (ON | {"text": "hello"}, "bad.request"),
        ({"typing": {"type": "Off"}}, "invalid.value"),
        ({"typing": {"type": "on"}}, "invalid.value"),
        ({"typing": {"type": "outdated_sdk_version"}}, "invalid.value"),
        ({"typing": {"type": "On", "duration": "5000"}}, "invalid.value"),
        ({"typing": {"type": "On", "duration": -1}}, "invalid.value"),
        ({"typing": {"type": "On", "duration": True}}, "invalid.value"),
        (ON | {"dateSent": "yesterday"}, "invalid.value"),
    ],
)
async def test_a_body_the_model_does_not_know_is_refused(body: object, code: str) -> None:
    async with caller() as it:
        said = await it.type(body)
        assert (said.status, said.body["code"]) == (400, code)
        assert it.platform.visible(it.conversation.id) is None


async def test_the_thirteenth_typing_of_a_minute_is_limited_by_its_conversation() -> None:
    async with caller() as it:
        assert [(await it.type()).status for _ in range(12)] == [200] * 12
        await asyncio.sleep(20)
        said = await it.type()
        assert (said.status, said.headers["retry-after"]) == (429, "40")
        assert said.body["code"] == "too.many.requests"
        assert (said.body["limit"]["namespace"], said.body["limit"]["value"]) == ("conversation", 12)
        await asyncio.sleep(40)
        assert (await it.type()).status == 200


async def test_a_client_has_three_hundred_calls_a_minute_whatever_they_are() -> None:
    async with caller(conversation_per_minute=1000) as it:
        for _ in range(150):
            await it.type()
            await it.get(f"/api/v2/conversations/{it.conversation.id}")
        said = await it.type()
        assert (said.status, said.body["limit"]["namespace"]) == (429, "platform.api")
        assert said.headers["inin-ratelimit-count"] == said.headers["inin-ratelimit-allowed"] == "300"


async def test_every_answer_says_how_much_of_the_limit_is_used_and_who_to_quote() -> None:
    async with caller() as it:
        await it.type()
        await asyncio.sleep(10)
        said = await it.get(f"/api/v2/conversations/{NOBODY}")
        assert said.status == 404
        assert (said.headers["inin-ratelimit-count"], said.headers["inin-ratelimit-reset"]) == ("2", "50")
        assert said.headers["inin-correlation-id"]
        assert said.body["contextId"]


async def test_a_call_needs_a_bearer_that_is_known_and_fresh() -> None:
    async with caller(token_life_s=300) as it:
        good, it.token = it.token, ""
        assert (await it.type()).body["code"] == "authentication.required"
        it.token = "made-up"
        assert (await it.type()).body["code"] == "bad.credentials"
        it.token = good
        await asyncio.sleep(301)
        said = await it.type()
        assert (said.status, said.body["code"]) == (401, "credentials.expired")


async def test_a_missing_permission_is_named() -> None:
    async with caller(is_permitted=False) as it:
        said = await it.type()
        assert (said.status, said.body["code"]) == (403, "missing.any.permissions")
        assert "conversation:message:create" in said.body["message"]


async def test_what_is_not_there_is_not_found() -> None:
    async with caller() as it:
        customer = it.conversation.legs[0].communication_id
        for said in (
            await it.type(conversation_id=NOBODY),
            await it.type(leg=NOBODY),
            await it.type(leg=customer),
            await it.get(f"/api/v2/conversations/{NOBODY}"),
            await it.get(f"/api/v2/conversations/messages/{NOBODY}"),
        ):
            assert (said.status, said.body["code"]) == (404, "not.found")


@pytest.mark.parametrize("status", [400, 404, 409])
async def test_a_leg_that_has_ended_takes_no_typing(status: int) -> None:
    async with caller(ended_status=status) as it:
        await it.call(
            "POST",
            f"/sandbox/conversations/{it.conversation.id}/disconnect",
            json={"communicationId": LEG},
        )
        assert (await it.type()).status == status


async def test_an_agents_own_token_types_on_the_agents_own_leg_only() -> None:
    async with caller(wants_users=True) as it:
        assert (await it.type()).status == 403
        await it.sign_in(AGENT)
        assert (await it.type()).status == 200
        await it.sign_in(OTHER_AGENT)
        assert (await it.type()).status == 403


async def test_only_the_full_shape_tells_communications() -> None:
    async with caller() as it:
        full = (await it.get(f"/api/v2/conversations/{it.conversation.id}")).body
        messages = (await it.get(f"/api/v2/conversations/messages/{it.conversation.id}")).body
        agent: dict[str, Any] = full["participants"][1]
        assert (agent["purpose"], agent["userId"]) == ("agent", AGENT)
        assert (agent["messages"][0]["id"], agent["messages"][0]["state"]) == (LEG, "connected")
        assert "endTime" not in full
        assert LEG not in str(messages)
        assert [each["state"] for each in messages["participants"]] == ["connected", "connected"]


async def test_a_conversation_that_is_over_says_when() -> None:
    async with caller() as it:
        path = f"/sandbox/conversations/{it.conversation.id}/disconnect"
        assert (await it.call("POST", path)).status == 200
        full = (await it.get(f"/api/v2/conversations/{it.conversation.id}")).body
        assert full["endTime"]
        assert {each["messages"][0]["state"] for each in full["participants"]} == {"disconnected"}


async def test_conversations_and_agents_come_by_the_stage_door() -> None:
    async with caller() as it:
        made = (await it.call("POST", "/sandbox/conversations", json={})).body
        assert [each["purpose"] for each in made["participants"]] == ["customer"]
        path = f"/sandbox/conversations/{made['id']}/agents"
        with_agent = (await it.call("POST", path, json={"userId": AGENT})).body
        leg = with_agent["participants"][1]["messages"][0]["id"]
        assert (await it.type(leg=leg, conversation_id=made["id"])).status == 200
        assert (await it.call("POST", path, json={"userId": "me"})).status == 422
        assert (await it.call("POST", "/sandbox/conversations", json={"canary": 1})).status == 422


@pytest.mark.parametrize(("asked", "seen"), [(3000, 3000), (6000, 5000)])
async def test_more_than_five_seconds_are_honoured_only_where_they_are_said_to_be(
    asked: int, seen: int
) -> None:
    async with caller() as it:
        await it.type({"typing": {"type": "On", "duration": asked}})
        assert it.platform.arrivals[0].duration_ms == seen
    async with caller(longest_duration_ms=10_000) as it:
        await it.type({"typing": {"type": "On", "duration": asked}})
        assert it.platform.arrivals[0].duration_ms == asked
