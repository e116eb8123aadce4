import pytest

from relay import wire
from relay.core.activity import Kind
from relay.core.indicator import Indicator
from relay.errors import Rejected, TooSoon, Unavailable
from tests.ingest.house import EVENT, ORDER, SESSION, House, opened, settings

LINES = "application/x-ndjson"


async def test_one_event_is_taken(house: House) -> None:
    answer = await house.post(EVENT)
    assert answer.status == 202
    assert await answer.json() == {"accepted": 1, "duplicates": 0, "stale": 0}
    assert [(one.kind, one.address.session_id, one.source) for one in house.taken] == [
        (Kind.KEYSTROKE, SESSION, "crm")
    ]


async def test_an_array_is_taken_in_order(house: House) -> None:
    answer = await house.post([EVENT | {"seq": seq} for seq in range(3)])
    assert await answer.json() == {"accepted": 3, "duplicates": 0, "stale": 0}
    assert [one.seq for one in house.taken] == [0, 1, 2]


async def test_lines_are_taken_in_order(house: House) -> None:
    body = b"\n".join(wire.dumps(EVENT | {"seq": seq}) for seq in range(3)) + b"\r\n\n"
    answer = await house.post(body, Content_Type=LINES)
    assert await answer.json() == {"accepted": 3, "duplicates": 0, "stale": 0}
    assert [one.seq for one in house.taken] == [0, 1, 2]


async def test_an_array_may_be_empty_and_begin_with_space(house: House) -> None:
    answer = await house.post(b" \n[]")
    assert (answer.status, house.taken) == (202, [])


async def test_the_same_id_twice_has_one_effect(house: House) -> None:
    await house.post(EVENT | {"id": "evt-1"})
    again = await house.post(EVENT | {"id": "evt-1"})
    assert (again.status, await again.json()) == (202, {"accepted": 0, "duplicates": 1, "stale": 0})
    assert len(house.taken) == 1


async def test_an_id_is_new_again_after_its_window(house: House) -> None:
    await house.post(EVENT | {"id": "evt-1"})
    house.now = 600_000  # dedupe_window_s is 600
    assert (await (await house.post(EVENT | {"id": "evt-1"})).json())["accepted"] == 1


async def test_an_id_repeated_inside_a_batch_has_one_effect(house: House) -> None:
    answer = await house.post([EVENT | {"id": "a"}, EVENT | {"id": "a"}, EVENT | {"id": "b"}])
    assert await answer.json() == {"accepted": 2, "duplicates": 1, "stale": 0}


async def test_a_batch_with_one_bad_event_leaves_no_trace(house: House) -> None:
    good = EVENT | {"id": "a"}
    answer = await house.post([good, EVENT | {"seq": -1}, EVENT | {"actor": {"id": "../x"}}])
    assert answer.status == 422
    assert {one["loc"] for one in (await answer.json())["errors"]} == {"1.seq", "2.actor.id"}
    assert house.taken == []
    assert (await (await house.post(good)).json())["accepted"] == 1, (
        "the id of a refused batch is not remembered"
    )


@pytest.mark.parametrize("bad", [b'{"sessionId":', b'{"type":"keystroke"}', b"[]"])
async def test_one_bad_line_refuses_all_lines_and_is_named(house: House, bad: bytes) -> None:
    good = wire.dumps(EVENT)
    answer = await house.post(b"\n".join((good, bad, good)), Content_Type=LINES)
    assert answer.status == 422
    assert (await answer.json())["errors"][0]["loc"].startswith("1")
    assert house.taken == []


async def test_what_the_flow_refuses_is_not_remembered(house: House) -> None:
    house.refuses = Unavailable("the outbox is full", retry_after_s=2.5)
    refused = await house.post(EVENT | {"id": "a"})
    assert (refused.status, refused.headers["Retry-After"]) == (503, "3")
    house.refuses = None
    assert (await (await house.post(EVENT | {"id": "a"})).json())["accepted"] == 1


async def test_a_problem_found_behind_the_door_keeps_its_place_in_what_was_posted(house: House) -> None:
    await house.post(EVENT | {"id": "a"})
    house.refuses = Rejected(422, "Other address", "x", problems=(("1.guestId", "differs"),))
    answer = await house.post([EVENT | {"id": "a"}, EVENT | {"id": "b"}, EVENT | {"id": "c"}])
    assert (await answer.json())["errors"] == [{"loc": "2.guestId", "msg": "differs"}]


@pytest.mark.parametrize(
    ("posted", "place"),
    [
        (EVENT, "guestId"),
        ([EVENT], "0.guestId"),
        ([EVENT | {"id": "a"}, EVENT | {"id": "a"}, EVENT | {"id": "b"}], "2.guestId"),
    ],
)
async def test_the_place_of_the_only_event_that_is_new_is_its_place_in_what_was_posted(
    house: House, posted: object, place: str
) -> None:
    """It was told without a place: the sender looked for the mistake in its first event."""
    await house.post(EVENT | {"id": "a"})
    house.refuses = Rejected(422, "Other address", "x", problems=(("0.guestId", "differs"),))
    assert (await (await house.post(posted)).json())["errors"] == [{"loc": place, "msg": "differs"}]


async def test_a_full_house_answers_429_and_when_to_come_back(house: House) -> None:
    house.refuses = Rejected(429, "Too many sessions", "no room", retry_after_s=1)
    answer = await house.post(EVENT)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "GET", 404), ("/v1/events/", "POST", 404), ("/v1/events", "GET", 405), ("/v1/broadcasts", "PUT", 405), ("/v1/x", "GET", 404)],
)  # fmt: skip
async def test_other_doors_do_not_exist(house: House, path: str, method: str, status: int) -> None:
    assert house.client is not None
    answer = await house.client.request(method, house.base_url + path)
    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    assert answer.headers.get("Allow") == ("POST" if status == 405 else None)


@pytest.mark.parametrize(
    "target", ["/%2e%2e/v1/events", "/x/../v1/events", "//v1/events", "/v1/events%2f", "*"]
)
async def test_a_path_that_only_resolves_to_a_door_is_none(house: House, target: str) -> None:
    answer = await house.said(
        f"POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.0 400"))


async def test_a_draining_relay_refuses_and_says_when_to_come_back(house: House) -> None:
    assert house.doors is not None
    house.doors.is_draining = True
    answer = await house.post(EVENT)
    assert (answer.status, answer.headers["Retry-After"], house.taken) == (503, "5", [])


@pytest.mark.parametrize("more", [{}, {"duration": None, "gateway": None, "communicationId": None}])
async def test_an_order_is_carried_out(house: House, more: dict[str, object]) -> None:
    answer = await house.post(ORDER | more, "/v1/broadcasts")
    assert answer.status == 200
    assert await answer.json() == {"success": True, "latencyMs": 12, "auditId": "aud-1", "status": 202}
    (ordered,) = house.ordered
    assert (ordered.gateway, ordered.source, ordered.indicator) == ("guest", "crm", Indicator.TYPING)
    assert ordered.duration_ms is None  # the gateway's own


@pytest.mark.parametrize("indicator", ["typing", "paused", "typing_stopped"])
@pytest.mark.parametrize("duration", [100, 10_000])
async def test_an_order_may_be_any_indicator_of_any_length_the_platform_takes(
    house: House, indicator: str, duration: int
) -> None:
    answer = await house.post(ORDER | {"type": indicator, "duration": duration}, "/v1/broadcasts")
    assert answer.status == 200
    assert house.ordered[0].duration_ms == duration


@pytest.mark.parametrize(
    "change",
    [{"sessionId": "not-a-uuid"}, {"guestId": ""}, {"guestId": "../../oauth/token"}, {"guestId": "a/b?c"},
     {"type": "stopped"}, {"duration": 99}, {"duration": 10_001}, {"duration": 3000.0}, {"duration": "3000"},
     {"duration": True}, {"text": "hello"}, {"gateway": "eu"}],
)  # fmt: skip
async def test_an_order_the_platform_would_refuse_is_refused_here(
    house: House, change: dict[str, object]
) -> None:
    answer = await house.post(ORDER | change, "/v1/broadcasts")
    assert answer.status == 422
    assert (await answer.json())["errors"][0]["loc"] == next(iter(change))
    assert house.ordered == []


async def test_an_order_too_soon_says_how_long_to_wait(house: House) -> None:
    house.refuses = TooSoon(1400)
    answer = await house.post(ORDER, "/v1/broadcasts")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
    assert (await answer.json())["waitMs"] == 1400


async def test_lines_are_no_order(house: House) -> None:
    assert (await house.post(ORDER, "/v1/broadcasts", Content_Type=LINES)).status == 415


async def test_what_became_of_events_is_counted_by_source(house: House) -> None:
    await house.post([EVENT | {"id": "a"}, EVENT | {"id": "a"}])
    await house.post(b"{")
    assert house.counted('relay_events_total{outcome="accepted",source="crm"}') == 1
    assert house.counted('relay_events_total{outcome="duplicate",source="crm"}') == 1
    assert house.counted('relay_refused_requests_total{reason="malformed"}') == 1


async def test_the_events_of_a_source_go_to_its_gateway() -> None:
    guest = {"client_id": "c", "client_secret": "s"}
    keys = settings().model_dump()["sources"]["crm"]["keys"]
    two = settings(gateways={"guest": guest, "eu": guest}, sources={"crm": {"gateway": "eu", "keys": keys}})
    async with opened(two) as house:
        await house.post(EVENT)
        await house.post(EVENT | {"gateway": "guest"})
        assert [one.gateway for one in house.taken] == ["eu", "guest"]


async def test_with_several_gateways_an_event_names_one() -> None:
    guest = {"client_id": "c", "client_secret": "s"}
    async with opened(settings(gateways={"guest": guest, "eu": guest})) as house:
        answer = await house.post(EVENT)
        assert answer.status == 422
        assert (await answer.json())["errors"][0]["loc"] == "gateway"
