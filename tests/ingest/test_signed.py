import asyncio
import base64
import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest
from aiohttp import ClientResponse
from standardwebhooks.webhooks import Webhook

from relay import wire
from relay.errors import Rejected
from relay.ingest import BroadcastRequest, BroadcastResult
from tests.ingest.house import EVENT, ORDER, WALL, House, key_settings, opened, settings, sure

NEW, OLD, OTHER = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
NOW_S = WALL // 1000
BODY = wire.dumps(EVENT)


def signing(*secrets: object, **more: Any) -> Any:
    return settings(sources={"crm": {"secrets": list(secrets or (NEW,)), **more}})


def signature(secret: str, message_id: str, timestamp: int | str, body: bytes) -> str:
    """By hand, from the specification: HMAC-SHA256 of id, full stop, timestamp, full stop, body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def headers(
    secret: str = NEW, *, body: bytes = BODY, message_id: str = "msg-1", at_s: int = NOW_S
) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-Relay-Source": "crm",
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": signature(secret, message_id, at_s, body),
    }


async def posted(
    house: House, said: dict[str, str], body: bytes = BODY, path: str = "/v1/events"
) -> ClientResponse:
    assert house.client is not None
    return await house.client.post(house.base_url + path, data=BytesIO(body), headers=said)


async def test_a_signed_request_is_its_sources() -> None:
    async with opened(signing()) as house:
        answer = await posted(house, headers())
        assert (answer.status, await answer.json()) == (202, {"accepted": 1, "duplicates": 0, "stale": 0})
        assert [one.source for one in house.taken] == ["crm"]


async def test_what_the_reference_library_signs_is_taken() -> None:
    at = datetime.fromtimestamp(NOW_S, UTC)
    said = headers() | {"webhook-signature": Webhook(NEW).sign("msg-1", at, BODY.decode())}
    async with opened(signing()) as house:
        assert (await posted(house, said)).status == 202


async def test_the_bytes_are_signed_as_they_came() -> None:
    spaced = b'{ "type":"keystroke",  "guestId":"g-17","sessionId":"%s"}\n' % EVENT["sessionId"].encode()
    async with opened(signing()) as house:
        assert (await posted(house, headers(body=spaced), spaced)).status == 202
        assert (await posted(house, headers(message_id="m2"), spaced)).status == 401


async def test_any_of_several_entries_and_any_live_secret_will_do() -> None:
    until = datetime.fromtimestamp(NOW_S, UTC) + timedelta(hours=1)
    junk = "v1,AAAA v1 v1a,AAAA v2,x  v1,***"
    async with opened(signing(NEW, {"secret": OLD, "until": until})) as house:
        for number, secret in enumerate((NEW, OLD)):
            said = headers(secret, message_id=f"m{number}")
            said["webhook-signature"] = f"{junk} {said['webhook-signature']}"
            assert (await posted(house, said)).status == 202


async def test_a_retired_secret_signs_nothing_any_more() -> None:
    over = datetime.fromtimestamp(NOW_S, UTC)
    async with opened(signing(NEW, {"secret": OLD, "until": over})) as house:
        assert (await posted(house, headers(OLD))).status == 401


@pytest.mark.parametrize(
    ("off_s", "status"), [(0, 202), (-300, 202), (300, 202), (-301, 401), (301, 401), (86_400, 401)]
)
async def test_a_request_is_good_for_five_minutes_both_ways(off_s: int, status: int) -> None:
    async with opened(signing()) as house:
        assert (await posted(house, headers(at_s=NOW_S + off_s))).status == status


FORGED: dict[str, dict[str, str | None]] = {
    "another secret": {"webhook-signature": signature(OTHER, "msg-1", NOW_S, BODY)},
    "another body": {"webhook-signature": signature(NEW, "msg-1", NOW_S, BODY + b" ")},
    "another id": {"webhook-id": "msg-2"},
    "another time": {"webhook-timestamp": str(NOW_S + 1)},
    "no signature": {"webhook-signature": None},
    "an empty signature": {"webhook-signature": ""},
    "no id": {"webhook-id": None},
    "no time": {"webhook-timestamp": None},
    "a nameless version": {"webhook-signature": "v1"},
    "no base64": {"webhook-signature": "v1,***"},
    "an asymmetric one": {"webhook-signature": "v1a," + "A" * 88},
    "not a number": {"webhook-timestamp": "nan"},
    "a fraction": {"webhook-timestamp": f"{NOW_S}.0"},
    "400 digits": {"webhook-timestamp": "1" * 400},
    "another script's digits": {"webhook-timestamp": "\u0661\u0667"},
    "a source nobody configured": {"X-Relay-Source": "nobody"},
    "a source that has only keys": {"X-Relay-Source": "keys"},
    "a source with a strange name": {"X-Relay-Source": "\udcff<script>"},
    "ten thousand entries": {"webhook-signature": "v1,AAAA " * 800},
}


@pytest.mark.parametrize("why", FORGED)
async def test_every_forgery_is_the_same_401_byte_for_byte(why: str) -> None:
    sources = {"crm": {"secrets": [NEW]}, "keys": {}}
    changed = headers() | FORGED[why]
    lines = [f"{name}: {value}" for name, value in changed.items() if value is not None]
    head = [
        "POST /v1/events HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        f"Content-Length: {len(BODY)}",
    ]
    raw = "\r\n".join([*head, *lines, "", ""]).encode(errors="surrogateescape") + BODY
    plain = b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    async with opened(settings(sources=sources)) as house:
        forged, unnamed = await house.said(raw), await house.said(plain)
        assert house.taken == []
    assert forged.startswith(b"HTTP/1.1 401"), forged
    without_date = [
        b"\r\n".join(line for line in answer.split(b"\r\n") if not line.startswith(b"Date:"))
        for answer in (forged, unnamed)
    ]
    assert without_date[0] == without_date[1]


async def test_a_signature_is_not_for_pages() -> None:
    async with opened(signing(origins=["https://desk.example"])) as house:
        assert (await posted(house, headers() | {"Origin": "https://desk.example"})).status == 401


async def test_the_same_request_twice_is_202_and_has_one_effect() -> None:
    async with opened(signing()) as house:
        answers = [await posted(house, headers()) for _ in range(2)]
        assert [one.status for one in answers] == [202, 202]
        assert await answers[1].json() == {"accepted": 0, "duplicates": 1, "stale": 0}
        assert len(house.taken) == 1


async def test_an_id_is_not_burned_by_a_forgery() -> None:
    async with opened(signing()) as house:
        assert (await posted(house, headers(OTHER))).status == 401
        assert (await (await posted(house, headers())).json())["accepted"] == 1


async def test_an_id_is_not_remembered_unless_the_answer_was_2xx() -> None:
    async with opened(signing()) as house:
        house.refuses = Rejected(422, "x", "x")
        assert (await posted(house, headers())).status == 422
        house.refuses = None
        assert (await (await posted(house, headers())).json())["accepted"] == 1


async def test_an_order_repeated_while_it_is_at_work_is_told_to_come_back() -> None:
    async with opened(signing()) as house:
        go_on, begun = asyncio.Event(), asyncio.Event()

        async def slow(_: BroadcastRequest) -> BroadcastResult:
            begun.set()
            await go_on.wait()
            return BroadcastResult(success=True, latency_ms=1, audit_id="a", status=202)

        house.on_broadcast = slow
        body = wire.dumps(ORDER)
        first = asyncio.create_task(posted(house, headers(body=body), body, "/v1/broadcasts"))
        await begun.wait()
        meanwhile = await posted(house, headers(body=body), body, "/v1/broadcasts")
        go_on.set()
        assert ((await first).status, meanwhile.status, meanwhile.headers["Retry-After"]) == (200, 429, "1")
        after = await posted(house, headers(body=body), body, "/v1/broadcasts")
        assert (after.status, (await after.json())["duplicates"]) == (202, 1)


async def test_lines_and_arrays_may_be_signed() -> None:
    lines, array = BODY + b"\n" + BODY, b"[" + BODY + b"]"
    async with opened(signing()) as house:
        said = headers(body=lines) | {"Content-Type": "application/x-ndjson"}
        assert (await (await posted(house, said, lines)).json())["accepted"] == 2
        said = headers(body=array, message_id="m2")
        assert (await (await posted(house, said, array)).json())["accepted"] == 1


async def test_a_body_past_its_bound_is_refused_before_it_is_verified() -> None:
    async with opened(signing()) as house:
        big = b" " * 1_048_577
        assert (await posted(house, headers(), big)).status == 413


async def test_a_stranger_cannot_use_up_the_rate_of_a_source_that_signs() -> None:
    async with opened(signing(requests_per_s=1)) as house:
        assert {(await posted(house, headers(OTHER))).status for _ in range(20)} == {401}
        assert (await posted(house, headers())).status == 202


async def test_a_source_that_signs_has_its_rates_too() -> None:
    async with opened(signing(requests_per_s=1)) as house:
        got = [(await posted(house, headers(message_id=f"m{n}"))).status for n in range(3)]
        assert got == [202, 202, 429]


async def test_bodies_of_callers_nobody_knows_are_held_up_to_a_bound_and_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever names a source may be anybody. Who comes with a key is known before its body and is not concerned."""
    monkeypatch.setattr("relay.ingest.unproven.MOST_BYTES", 1000)
    both = {"secrets": [NEW], "keys": [key_settings(sure())]}
    async with opened(settings(sources={"crm": both})) as house:
        host, _, port = house.base_url.removeprefix("http://").rpartition(":")
        _, stranger = await asyncio.open_connection(host, int(port))
        begun = (
            b"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n" + b"x" * 950
        )
        stranger.write(b"POST /v1/sources/anything HTTP/1.1\r\n" + begun)
        refused = "relay_unproven_bodies_refused_total"
        late = {"Connection": "close"}  # one that is whole and answered at once is not held at all
        answer = await posted(house, headers() | late)
        async with asyncio.timeout(5):
            while answer.status == 202:  # its bytes are on their way
                answer = await posted(house, headers() | late)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert house.counted(refused) == 1
        assert (await house.post(EVENT)).status == 202
        stranger.transport.abort()
        async with asyncio.timeout(5):
            while answer.status == 503:
                answer = await posted(house, headers(message_id="msg-2") | late)
        assert answer.status == 202
