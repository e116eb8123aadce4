import pytest
from aiohttp import ClientResponse

from tests.ingest.house import House, opened
from tests.ingest.test_tickets import PAGE, PLAIN, by_ticket, desk, ticket

ASKING = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


async def asked(house: House, page: str, path: str = "/v1/events", **more: str) -> ClientResponse:
    assert house.client is not None
    return await house.client.options(
        house.base_url + path, headers=ASKING | {"Origin": page, "Sec-Fetch-Site": "cross-site"} | more
    )


async def test_a_listed_page_may_ask_to_post_events() -> None:
    async with opened(desk()) as house:
        answer = await asked(house, PAGE)
    assert (answer.status, await answer.read()) == (204, b"")
    allowed = {
        name: value for name, value in answer.headers.items() if name.startswith("Access-Control-Allow-")
    }
    assert allowed == {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "authorization, content-type",
    }
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("page", ["https://evil.example", "null", "https://desk.example.evil.example", "https://desk.example:8443"])  # fmt: skip
async def test_another_page_may_not(page: str) -> None:
    async with opened(desk()) as house:
        answer = await asked(house, page)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/v1/broadcasts", "/v1/tickets", "/v1/nothing"])
async def test_a_listed_page_may_ask_nothing_else(path: str) -> None:
    async with opened(desk()) as house:
        answer = await asked(house, PAGE, path)
    assert answer.status in {404, 405}
    assert "Access-Control-Allow-Methods" not in answer.headers


async def test_without_origins_nothing_is_said_of_cors() -> None:
    async with opened(desk(origins=[])) as house:
        answer = await asked(house, PAGE)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_a_page_may_read_what_became_of_its_events_also_when_they_were_refused() -> None:
    async with opened(desk()) as house:
        text = await ticket(house)
        taken = await by_ticket(house, PLAIN, text)
        refused = await by_ticket(house, PLAIN | {"seq": -1}, text)
        unknown = await by_ticket(house, PLAIN, "trt_x")
    for answer, status in ((taken, 202), (refused, 422), (unknown, 401)):
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
        assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_caller_that_is_no_page_sees_nothing_of_cors() -> None:
    async with opened(desk()) as house:
        answer = await house.post({"type": "keystroke"})
    assert not [name for name in answer.headers if name.startswith("Access-Control") or name == "Vary"]
