from typing import Any

import pytest
from aiohttp import ClientResponse

from relay.core.moments import from_rfc3339
from relay.settings.models import Settings
from tests.ingest.house import EVENT, ORDER, SESSION, WALL, House, key_settings, opened, settings, sure

PAGE = "https://desk.example"
ASKED = {"sessionId": SESSION, "guestId": "g-17", "actor": {"id": "agent-7"}}
PLAIN = {"sessionId": SESSION, "type": "keystroke"}


def desk(**crm: object) -> Settings:
    other = {"keys": [key_settings(sure("other", seed=2))], "origins": ["https://other.example"]}
    return settings(
        sources={"crm": {"keys": [key_settings(sure())], "origins": [PAGE]} | crm, "other": other}
    )


async def ticket(house: House, **change: object) -> str:
    answer = await house.post(ASKED | change, "/v1/tickets")
    assert answer.status == 200, await answer.text()
    told: str = (await answer.json())["ticket"]
    return told


async def by_ticket(
    house: House, body: object, text: str, *, page: str = PAGE, path: str = "/v1/events"
) -> ClientResponse:
    return await house.post(body, path, key=text, Origin=page)


async def test_a_ticket_is_given_for_a_key_and_says_when_it_ends() -> None:
    async with opened(desk()) as house:
        answer = await house.post(ASKED, "/v1/tickets")
        told = await answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert told["ticket"].startswith("trt_")
    assert from_rfc3339(told["expiresAt"]) == WALL + 300_000


async def test_with_a_ticket_a_page_posts_as_its_actor_and_need_not_say_who_that_is() -> None:
    async with opened(desk()) as house:
        text = await ticket(house, actor={"id": "agent-7", "device": "phone"})
        assert (await by_ticket(house, PLAIN, text)).status == 202
    (taken,) = house.taken
    assert (taken.source, taken.gateway, taken.actor) == ("crm", "guest", "agent-7/phone")
    assert (taken.address.session_id, taken.address.guest_id) == (SESSION, "g-17")


async def test_saying_what_the_ticket_says_is_no_harm() -> None:
    async with opened(desk()) as house:
        whole = EVENT | {"actor": {"id": "agent-7", "kind": "agent"}, "gateway": "guest"}
        assert (await by_ticket(house, [whole, PLAIN], await ticket(house))).status == 202
        assert {one.actor for one in house.taken} == {"agent-7"}


OTHERS: list[dict[str, Any]] = [
    {"sessionId": "5f0c2f9e-6f7a-4c1e-9a39-0c8d6a3b1f01"},
    {"guestId": "g-18"},
    {"actor": {"id": "agent-8"}},
    {"actor": {"id": "agent-7", "device": "phone"}},
    {"gateway": "eu"},
    {"communicationId": "c-1"},
    {"type": "session_ended"},
]


@pytest.mark.parametrize("change", OTHERS)
async def test_a_ticket_is_good_for_nobody_else(change: dict[str, Any]) -> None:
    async with opened(desk()) as house:
        text = await ticket(house)
        assert (await by_ticket(house, PLAIN | change, text)).status == 403
        assert (await by_ticket(house, [PLAIN, PLAIN | change], text)).status == 403
        assert house.taken == []


@pytest.mark.parametrize(
    "page", ["https://other.example", "https://evil.example", "null", "http://desk.example"]
)
async def test_a_ticket_is_good_from_its_sources_pages_only(page: str) -> None:
    async with opened(desk()) as house:
        answer = await by_ticket(house, PLAIN, await ticket(house), page=page)
        assert answer.status in {401, 403}
        assert house.taken == []


async def test_a_ticket_without_a_page_is_none() -> None:
    async with opened(desk()) as house:
        assert (await house.post(PLAIN, key=await ticket(house))).status == 401


@pytest.mark.parametrize(
    ("life_s", "asked", "status"), [(0, 422, 0), (1, 200, 202), (600, 200, 202), (601, 422, 0)]
)
async def test_a_ticket_lives_ten_minutes_at_most(life_s: int, asked: int, status: int) -> None:
    async with opened(desk()) as house:
        answer = await house.post(ASKED | {"lifeS": life_s}, "/v1/tickets")
        assert answer.status == asked
        if asked == 200:
            text = (await answer.json())["ticket"]
            house.wall = WALL + life_s * 1000 - 1
            assert (await by_ticket(house, PLAIN, text)).status == status
            house.wall += 1
            assert (await by_ticket(house, PLAIN, text)).status == 401


async def test_a_ticket_is_no_key() -> None:
    """Neither for direct orders, nor for further tickets, nor for the other source's."""
    async with opened(desk()) as house:
        text = await ticket(house)
        assert (await by_ticket(house, ORDER, text, path="/v1/broadcasts")).status == 403
        assert (await by_ticket(house, ASKED, text, path="/v1/tickets")).status == 403
        assert house.ordered == []


async def test_a_key_is_not_for_pages() -> None:
    async with opened(desk()) as house:
        assert (await house.post(EVENT, Origin=PAGE)).status == 401
        assert (await house.post(ASKED, "/v1/tickets", Origin=PAGE)).status == 401


async def test_a_source_without_pages_gets_no_tickets_and_is_told_which_setting() -> None:
    async with opened(desk(origins=[])) as house:
        answer = await house.post(ASKED, "/v1/tickets")
        assert (answer.status, "origins" in await answer.text()) == (403, True)


@pytest.mark.parametrize(
    ("change", "place"),
    [({"actor": None}, "actor"), ({"sessionId": "not-a-uuid"}, "sessionId"), ({"guestId": None}, "guestId"),
     ({"actor": {"id": "a\nb"}}, "actor.id"), ({"gateway": "eu"}, "gateway"), ({"scope": "admin"}, "scope")],
)  # fmt: skip
async def test_a_ticket_for_nobody_in_particular_is_refused(change: dict[str, Any], place: str) -> None:
    async with opened(desk()) as house:
        answer = await house.post(ASKED | change, "/v1/tickets")
        assert (answer.status, (await answer.json(content_type=None))["errors"][0]["loc"]) == (422, place)


async def test_every_bad_ticket_is_the_same_401_as_a_bad_key() -> None:
    async with opened(desk()) as house:
        text = await ticket(house)
        bad = [
            "trt_",
            "trt_x",
            text + "x",
            text[:-1],
            f"trt_{text[4:].swapcase()}",
            "trt_é",
            sure(seed=9).key,
        ]
        answers = [await by_ticket(house, PLAIN, one) for one in bad]
        assert {(one.status, await one.text()) for one in answers} == {(401, await answers[0].text())}


async def test_an_id_of_a_page_is_its_actors_own_and_no_other_event_is_taken_for_it() -> None:
    """A page could guess the next ids of its back end, and their events would come to nothing."""
    async with opened(desk()) as house:
        text = await ticket(house)
        told = [
            await (await by_ticket(house, PLAIN | {"id": "evt-2"}, text)).json(),
            await (await by_ticket(house, [PLAIN | {"id": "evt-3"}] * 2, text)).json(),
            await (await by_ticket(house, PLAIN | {"id": "evt-2"}, text)).json(),
            await (await house.post([EVENT | {"id": "evt-2"}, EVENT | {"id": "evt-3"}])).json(),
        ]
        other = await ticket(house, actor={"id": "agent-8"})
        told.append(await (await by_ticket(house, PLAIN | {"id": "evt-2"}, other)).json())
    assert [(one["accepted"], one["duplicates"]) for one in told] == [(1, 0), (1, 1), (0, 1), (2, 0), (1, 0)]


async def test_a_ticket_cannot_use_up_what_its_source_may() -> None:
    async with opened(desk(requests_per_s=25)) as house:
        text = await ticket(house)
        answers = [(await by_ticket(house, PLAIN, text)).status for _ in range(45)]
        assert answers == [202] * 40 + [429] * 5, "two seconds' worth at once, whoever's it is"
        assert (await house.post(EVENT)).status == 202
        house.now = 1000
        assert [(await by_ticket(house, PLAIN, text)).status for _ in range(21)] == [202] * 20 + [429]


async def test_a_ticket_cannot_use_up_its_source_s_events_in_one_batch() -> None:
    async with opened(desk()) as house:
        text = await ticket(house)
        answers = [await by_ticket(house, [PLAIN] * count, text) for count in (41, 40)]
        assert [answer.status for answer in answers] == [413, 202]
        assert "at most 40 events" in (await answers[0].json())["detail"]


async def test_the_rates_of_its_source_bind_a_ticket_too() -> None:
    async with opened(desk(requests_per_s=2)) as house:
        text = await ticket(house)
        assert [(await by_ticket(house, PLAIN, text)).status for _ in range(4)] == [202, 202, 202, 429]
