import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from relay import wire
from relay.operate.views import plain_text
from tests.operate.house import OTHER, SESSION, House, Reply, house_at
from tests.outbox.planted import plant


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """With a dead letter, an audit row and a delivered event of each of two sessions.

    `plant` leaves the sessions open, so the start closes them: two more events, delivered at once.
    """
    await plant(tmp_path, SESSION, OTHER)
    async with house_at(tmp_path) as house:
        await house.receiver.until(2)  # of the sessions the earlier life left open
        await house.quiet()
        yield house


async def post(house: House, path: str, body: object = None, **headers: str) -> Reply:
    async with house.http.post(
        house.url + path, data=wire.dumps(body), headers={"Content-Type": "application/json"} | headers
    ) as reply:
        return Reply(reply.status, reply.headers, await reply.read())


async def dead(house: House) -> list[dict[str, Any]]:
    return list((await house.ask("/v1/deliveries?state=exhausted")).value["deliveries"])


async def test_dead_letters_are_replayed_by_filter_with_id_and_body_as_they_were(house: House) -> None:
    letters = await dead(house)
    reply = await post(house, "/v1/deliveries/replay", {"endpoint": "tracker", "type": "session.*"})
    assert (reply.status, reply.value) == (202, {"replayed": 2, "found": 2, "more": False})
    got = (await house.receiver.until(4))[2:]
    assert {one.event_id for one in got} == {letter["eventId"] for letter in letters}
    assert await dead(house) == []


async def test_what_an_endpoint_that_is_disabled_missed_is_left_where_it_is_and_said(house: House) -> None:
    house.receiver.answers = [410]
    house.type()
    await house.ended("cancelled")
    (letter, *_) = await dead(house)
    reply = await post(house, f"/v1/deliveries/{letter['id']}/replay")
    assert (reply.status, reply.value["title"]) == (409, "Endpoint disabled")
    reply = await post(house, "/v1/deliveries/replay", {"endpoint": "tracker", "type": "session.*"})
    assert reply.value == {"replayed": 0, "found": 0, "more": False, "leftOut": 2}


async def test_a_dry_run_counts_and_does_nothing(house: House) -> None:
    for deed, told in (("replay", "replayed"), ("purge", "purged")):
        reply = await post(house, f"/v1/deliveries/{deed}", {"type": "*", "dryRun": True})
        assert (reply.status, reply.value) == (200, {told: 0, "found": 2, "more": False})
    assert len(await dead(house)) == 2


async def test_dead_letters_are_purged_by_filter(house: House) -> None:
    assert (await post(house, "/v1/deliveries/purge", {"type": "typing_*"})).value["purged"] == 0
    assert (await post(house, "/v1/deliveries/purge", {"type": "session.typing"})).value["purged"] == 2
    assert await dead(house) == []
    assert (await house.ask("/v1/deliveries")).value["deliveries"] != []


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({}, 422, "at least one"),
        ({"state": "exhausted"}, 422, "at least one"),
        ({"endpoint": None}, 422, "at least one"),
        ({"endpoint": "nobody"}, 404, "configured: tracker"),
        ({"endpoint": "../etc"}, 422, "endpoint"),
        ({"type": ""}, 422, "type"),
        ({"type": "a*b"}, 422, "type"),
        ({"type": "**"}, 422, "type"),
        ({"type": 5}, 422, "type"),
        ({"since": "yesterday"}, 422, "since"),
        ({"since": "2026-02-30T10:00:00Z"}, 422, "since"),
        ({"type": "*", "state": "pending"}, 422, "state"),
        ({"type": "*", "state": "delivered"}, 422, "state"),
        ({"type": "*", "dryRun": "no"}, 422, "dryRun"),
        ({"type": "*", "canary": 1}, 422, "not known"),
        ([], 422, "an object with the filter is wanted, and the body is an array"),
        ("tracker", 422, "the body is a string"),
        (5, 422, "the body is a number"),
        (True, 422, "the body is true or false"),
        (None, 422, "the body is null"),
    ],
)
@pytest.mark.parametrize("deed", ["replay", "purge"])
async def test_a_filter_that_means_nothing_does_nothing_and_says_what_is_wanted(
    house: House, deed: str, body: object, status: int, word: str
) -> None:
    reply = await post(house, f"/v1/deliveries/{deed}", body)
    assert reply.status == status, reply.body
    assert word in reply.value["detail"]
    for canary in (b"canary", b"yesterday", b"etc", b"nobody"):
        assert canary not in reply.body
    assert len(await dead(house)) == 2


async def test_a_filter_is_json_and_said_to_be(house: House) -> None:
    assert (
        await post(house, "/v1/deliveries/purge", {"type": "*"}, **{"Content-Type": "text/plain"})
    ).status == 415
    async with house.http.post(
        house.url + "/v1/deliveries/purge", data=b"{", headers={"Content-Type": "application/json"}
    ) as reply:
        assert reply.status == 400


async def test_a_purged_session_is_gone_from_every_list_and_the_other_is_whole(house: House) -> None:
    before = (await house.ask(f"/v1/deliveries?session={OTHER}")).value
    reply = await post(house, f"/v1/sessions/{SESSION}/purge")
    assert (reply.status, reply.value) == (
        200,
        {"events": 3, "deliveries": 3, "attempts": 3, "audit": 1, "waitingToLand": 0, "alive": False},
    )
    assert (await house.ask(f"/v1/deliveries?session={SESSION}")).value == {"deliveries": []}
    assert (await house.ask(f"/v1/audit?session={SESSION}")).value == {"audit": []}
    assert (await house.ask(f"/v1/deliveries?session={OTHER}")).value == before
    assert len((await house.ask(f"/v1/audit?session={OTHER}")).value["audit"]) == 1


async def test_a_live_sessions_purge_also_takes_its_part_of_the_last_hundred_and_says_it_is_alive(
    tmp_path: Path,
) -> None:
    async with house_at(tmp_path) as house:
        house.type(SESSION)
        await house.audited(1)
        assert (await post(house, f"/v1/sessions/{SESSION}/purge?gateway=guest")).value["alive"]
        assert (await house.ask("/v1/metrics")).value["auditLog"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/sessions/a%2fb/purge", 422),
        ("/v1/sessions/a%20b/purge", 422),
        (f"/v1/sessions/{SESSION}/purge?gateway=nobody", 404),
    ],
)
async def test_a_purge_of_no_session_or_at_no_gateway_is_refused(
    house: House, path: str, status: int
) -> None:
    assert (await post(house, path)).status == status


async def test_purges_are_not_done_by_reading(house: House) -> None:
    for path in ("/v1/deliveries/purge", "/v1/deliveries/replay", f"/v1/sessions/{SESSION}/purge"):
        assert (await house.ask(path)).status == 405, path


async def test_one_delivery_is_shown_with_body_attempts_and_what_happens_next(house: House) -> None:
    letter = (await dead(house))[0]
    told = (await house.ask(f"/v1/deliveries/{letter['id']}")).value
    assert told["body"]["type"] == "session.typing"
    assert [(one["number"], one["status"], one["excerpt"]) for one in told["log"]] == [(1, 500, "answer")]
    assert told["why"]["why"] == "exhausted"
    assert (await house.ask(f"/v1/deliveries/{letter['id']}/attempts")).value == {"attempts": told["log"]}
    assert (await house.ask("/v1/deliveries/999999")).status == 404


@pytest.mark.parametrize("path", ["/v1/deliveries/999", "/v1/deliveries/999/attempts"])
async def test_of_a_delivery_that_is_not_kept_nothing_is_shown_as_if_it_were(house: House, path: str) -> None:
    assert (await house.ask(path)).status == 404


async def test_an_endpoints_attempts_are_listed_page_by_page(house: House) -> None:
    whole = (await house.ask("/v1/attempts?endpoint=tracker")).value["attempts"]
    assert len(whole) == 6
    paged, query = [], "&limit=4"
    while query:
        page = (await house.ask(f"/v1/attempts?endpoint=tracker{query}")).value
        paged += page["attempts"]
        query = f"&limit=4&before={page['next']}" if "next" in page else ""
    assert paged == whole
    assert (await house.ask("/v1/attempts?endpoint=nobody")).status == 404
    assert (await house.ask("/v1/attempts")).status == 422
    assert (await house.ask("/v1/attempts?endpoint=tracker&before=1")).status == 422


async def test_deliveries_are_listed_page_by_page(house: House) -> None:
    await house.quiet()
    whole = (await house.ask("/v1/deliveries")).value["deliveries"]
    first = (await house.ask("/v1/deliveries?limit=4")).value
    rest = (await house.ask(f"/v1/deliveries?limit=4&before={first['next']}")).value
    assert first["deliveries"] + rest["deliveries"] == whole
    assert "next" not in rest
    assert (await house.ask("/v1/deliveries?before=x")).status == 422


@pytest.mark.long
async def test_the_whole_audit_is_exported_whatever_its_length(tmp_path: Path) -> None:
    await plant(tmp_path, *(f"s{n}" for n in range(1100)))
    async with house_at(tmp_path) as house:
        reply = await house.ask("/v1/audit", Accept="application/x-ndjson")
        sessions = [wire.loads(line)["sessionId"] for line in reply.body.splitlines()]
        assert sessions == [f"s{n}" for n in reversed(range(1100))]
        assert (await house.ask("/v1/audit", "HEAD", Accept="application/x-ndjson")).body == b""


async def why(house: House, **query: str) -> list[tuple[str, str]]:
    verdicts = (await house.ask(f"/v1/why?{urlencode(query)}")).value["verdicts"]
    return [(one["endpoint"], one["why"]) for one in verdicts]


async def test_why_tells_of_each_endpoint_or_of_the_one_asked_about(house: House) -> None:
    event = (await dead(house))[0]["eventId"]
    assert await why(house, event=event) == [("tracker", "exhausted")]
    assert await why(house, event=event, endpoint="tracker") == [("tracker", "exhausted")]
    assert await why(house, event=event, endpoint="nobody") == [("nobody", "unknown_endpoint")]


async def test_why_knows_what_waits_for_its_attempt_and_what_waits_behind_it(
    tmp_path: Path,
) -> None:
    async with house_at(tmp_path) as house:
        house.receiver.answers = [500]
        house.type(SESSION)
        await house.audited(1)
        async with asyncio.timeout(5):
            while not (rows := (await house.ask("/v1/attempts?endpoint=tracker")).value["attempts"]):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        second, first = (await house.ask("/v1/deliveries")).value["deliveries"]
        assert rows[0]["delivery"] == first["id"]
        assert await why(house, event=first["eventId"]) == [("tracker", "next_attempt")]
        told = (await house.ask(f"/v1/why?event={second['eventId']}")).value["verdicts"][0]
        assert (told["why"], told["event"]) == ("behind", first["eventId"])


async def test_why_knows_a_paused_endpoint_and_one_whose_circuit_is_open(tmp_path: Path) -> None:
    async with house_at(tmp_path) as house:
        assert (await post(house, "/v1/endpoints/tracker/pause")).status == 200
        house.type(SESSION)
        await house.audited(1)
        event = (await house.ask("/v1/deliveries")).value["deliveries"][-1]["eventId"]
        assert await why(house, event=event) == [("tracker", "paused")]
        house.receiver.answers = [500] * 50
        for number in range(10):
            house.type(f"{number}{SESSION[1:]}")
        await post(house, "/v1/endpoints/tracker/resume")
        async with asyncio.timeout(5):
            while await why(house, event=event) != [("tracker", "circuit_open")]:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "event", ["msg_1", "msg_019a0000-0000-7000-8000-000000000000", "5f0c2f9e-8a52-4d7e-9d3a-0123456789ab"]
)
async def test_why_says_that_an_event_is_not_known(house: House, event: str) -> None:
    assert await why(house, event=event) == [("*", "unknown_event")]
    assert (await house.ask("/v1/why")).status == 422
    assert (await house.ask(f"/v1/why?event={'x' * 500}")).status == 422


def test_a_receivers_answer_cannot_move_an_operators_cursor() -> None:
    assert plain_text(b"ok\n\x1b[2J\xff") == "ok\n\ufffd[2J\ufffd"
    assert plain_text("a\u202eb".encode()) == "a\ufffdb"


@pytest.mark.parametrize("path", ["/v1/deliveries?", "/v1/audit?", "/v1/attempts?endpoint=tracker&"])
async def test_a_page_before_a_key_that_is_far_to_come_is_the_first_page(house: House, path: str) -> None:
    """Not a search down from there, twenty thousand keys at a time."""
    first = (await house.ask(path)).value
    far = "before=999999999999999999" + (".1" if "attempts" in path else "")
    async with asyncio.timeout(5):
        assert (await house.ask(path + far)).value == first


async def test_a_place_that_no_file_can_hold_is_refused(house: House) -> None:
    assert (await house.ask(f"/v1/attempts?endpoint=tracker&before={'9' * 20}.1")).status == 422
    assert (await house.ask(f"/v1/attempts?endpoint=tracker&before=1.{'9' * 20}")).status == 422
