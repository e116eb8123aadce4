"""What was said, read again: by its id, and by the guest who heard it."""

import asyncio
from typing import Any

import pytest

from tests.sandbox.cloud import Caller, Said, caller
from tests.sandbox.test_guests import JOIN, TYPING, Guest, guest, leg_of

pytestmark = pytest.mark.looptime
NOBODY = "99999999-9999-4999-8999-999999999999"
PATH = "/api/v2/webmessaging/messages"


async def jwt_of(one: Guest) -> str:
    return str((await one.ask("getJwt"))["body"]["jwt"])


async def history(it: Caller, jwt: str, query: str = "") -> Said:
    return await it.call("GET", PATH + query, headers={"authorization": f"Bearer {jwt}"})


def texts(said: Said) -> list[Any]:  # as the entities have them
    return [each.get("text") for each in said.body["entities"]]


async def test_a_message_is_found_by_the_id_its_guest_heard() -> None:
    async with caller() as it, guest(it) as one:
        heard = (await one.ask("onMessage", message={"type": "Text", "text": "hi"}))["body"]
        said = await it.get(f"/api/v2/conversations/messages/{heard['id']}/details")
        assert said.body["conversationId"] == leg_of(it)[0]
        assert (said.body["direction"], said.body["messengerType"]) == ("inbound", "webmessaging")
        assert (said.body["id"], said.body["normalizedMessage"]["text"]) == (heard["id"], "hi")


async def test_details_of_nothing_are_not_found_and_want_a_bearer() -> None:
    async with caller() as it:
        path = f"/api/v2/conversations/messages/{NOBODY}/details"
        said = await it.get(path)
        assert (said.status, said.body["code"]) == (404, "not.found")
        assert (await it.call("GET", path)).status == 401


async def test_a_guest_reads_what_was_said_newest_first_and_no_typing() -> None:
    async with caller() as it, guest(it) as one:
        conversation, leg = leg_of(it)
        await one.ask("onMessage", message=JOIN)
        await one.ask("onMessage", message={"type": "Text", "text": "hi"})
        await one.say("onMessage", message=TYPING)
        await it.type(conversation_id=conversation, leg=leg)
        await one.hear()
        await it.call("POST", f"/sandbox/conversations/{conversation}/messages", json={"text": "hello"})
        heard = (await one.hear())["body"]
        said = await history(it, await jwt_of(one))
        assert texts(said) == ["hello", "hi", None]
        assert [each["direction"] for each in said.body["entities"]] == ["Outbound", "Inbound", "Inbound"]
        assert said.body["entities"][0]["id"] == heard["id"]
        assert said.body["entities"][2]["events"] == [{"eventType": "Presence", "presence": {"type": "Join"}}]


async def test_the_history_comes_in_pages() -> None:
    async with caller() as it, guest(it) as one:
        for number in range(5):
            await one.ask("onMessage", message={"type": "Text", "text": str(number)})
        said = await history(it, await jwt_of(one), "?pageSize=2&pageNumber=3")
        assert texts(said) == ["0"]
        counted = {name: said.body[name] for name in ("pageSize", "pageNumber", "pageCount", "total")}
        assert counted == {"pageSize": 2, "pageNumber": 3, "pageCount": 3, "total": 5}


@pytest.mark.parametrize("query", ["?pageSize=0", "?pageSize=101", "?pageNumber=x", "?pageNumber=-1"])
async def test_a_page_that_cannot_be_is_refused(query: str) -> None:
    async with caller() as it, guest(it) as one:
        said = await history(it, await jwt_of(one), query)
        assert (said.status, said.body["code"]) == (400, "invalid.value")


async def test_a_guests_jwt_opens_that_guests_history_and_nothing_else() -> None:
    async with caller() as it, guest(it) as one, guest(it, "another") as other:
        await one.ask("onMessage", message={"type": "Text", "text": "mine"})
        assert texts(await history(it, await jwt_of(other))) == []
        assert (await history(it, it.token)).status == 401
        it.token = await jwt_of(one)
        said = await it.type()
        assert (said.status, said.body["code"]) == (401, "bad.credentials")


async def test_a_jwt_lives_an_hour() -> None:
    async with caller() as it, guest(it) as one:
        jwt = await jwt_of(one)
        await asyncio.sleep(3600)
        said = await history(it, jwt)
        assert (said.status, said.body["code"]) == (401, "credentials.expired")


async def test_the_eleventh_reading_of_a_minute_waits() -> None:
    async with caller() as it, guest(it) as one:
        jwt = await jwt_of(one)
        assert [(await history(it, jwt)).status for _ in range(10)] == [200] * 10
        said = await history(it, jwt)
        assert (said.status, said.headers["retry-after"]) == (429, "60")
        assert said.body["limit"]["namespace"] == "web.messaging"
