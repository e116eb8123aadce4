"""`POST /v1/sources/{source}` on a real socket: who is believed, what is taken, what a platform is answered."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import pytest

from relay import wire
from relay.core.activity import Kind
from relay.core.signature import Keys
from relay.errors import Rejected, SettingsError, Unavailable
from relay.ingest import Credentials
from relay.observe.series import IGNORED_WEBHOOKS
from relay.settings.models import Settings
from tests.ingest.adapters.recorded import NAMES, as_posted, as_published, recording
from tests.ingest.house import SESSION, WALL, House, key_settings, opened, settings, sure

TOKEN = "the-integration's-own-token"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CLOUD = "application/cloudevents+json"
SOURCES: dict[str, Any] = {
    "crm": {"keys": [key_settings(sure())]},
    "genesys": {"adapter": "genesys-open", "secrets": [TOKEN], "keys": [key_settings(sure(seed=2))]},
    "desk": {"adapter": "chatwoot", "secrets": [TOKEN]},
    "bus": {"adapter": "cloudevents", "secrets": [STANDARD]},
    "other": {
        "adapter": "mapping",
        "signature": "hub",
        "secrets": [TOKEN],
        "mapping": {"type": "kind", "sessionId": "chat", "guestId": "guest"},
    },
}


def sourced(**more: Any) -> Settings:
    return settings(sources=SOURCES | more)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with opened(sourced()) as house:
        yield house


def hmac_of(signed: bytes) -> bytes:
    return hmac.new(TOKEN.encode(), signed, hashlib.sha256).digest()


def hub(body: bytes) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + base64.b64encode(hmac_of(body)).decode()}


def chatwoot(body: bytes, at_s: int = WALL // 1000, *, delivery: str | None = "d-1") -> dict[str, str]:
    digest = hmac_of(f"{at_s}.".encode() + body).hex()
    signed = {"X-Chatwoot-Timestamp": str(at_s), "X-Chatwoot-Signature": f"sha256={digest}"}
    return signed if delivery is None else signed | {"X-Chatwoot-Delivery": delivery}


def standard(body: bytes, message_id: str = "msg-1") -> dict[str, str]:
    stamp = WALL // 1000
    signature = Keys([STANDARD]).sign(message_id, stamp, body)
    return {"webhook-id": message_id, "webhook-timestamp": str(stamp), "webhook-signature": signature}


async def posted(house: House, source: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    """No API key, unless `headers` bear one."""
    assert house.client is not None
    said = {"Content-Type": "application/json"} | headers
    answer = await house.client.post(f"{house.base_url}/v1/sources/{source}", data=body, headers=said)
    return answer.status, await answer.json()


NOTHING = {"accepted": 0, "duplicates": 0, "stale": 0}


def ignored(house: House, source: str) -> dict[str, float]:
    """How many of a source's webhooks were answered without effect, by each reason there was."""
    found = {
        reason: house.counted(f'relay_ignored_webhooks_total{{reason="{reason}",source="{source}"}}')
        for reason in IGNORED_WEBHOOKS.known
    }
    return {reason: count for reason, count in found.items() if count}


async def test_a_genesys_agent_types_and_is_answered_200(house: House) -> None:
    body = as_posted("genesys-open-typing")
    assert await posted(house, "genesys", body, hub(body)) == (
        200,
        {"accepted": 1, "duplicates": 0, "stale": 0},
    )
    (activity,) = house.taken
    assert (activity.kind, activity.source, activity.address.session_id) == (
        Kind.THINKING,
        "genesys",
        SESSION,
    )


async def test_a_webhook_the_platform_repeats_has_one_effect(house: House) -> None:
    for source, name, sign in (
        ("genesys", "genesys-open-text", hub),
        ("desk", "chatwoot-typing-on", chatwoot),
    ):
        body = as_posted(name)
        _, first = await posted(house, source, body, sign(body))
        status, again = await posted(house, source, body, sign(body))
        assert (status, first["accepted"], again) == (200, 1, {"accepted": 0, "duplicates": 1, "stale": 0})
    assert len(house.taken) == 2


async def test_a_chatwoot_delivery_that_is_tried_again_later_has_one_effect(house: House) -> None:
    """Each attempt is dated and signed anew; what they share is their delivery."""
    body = as_posted("chatwoot-typing-on")
    for late_s, accepted in ((0, 1), (3, 0)):
        _, told = await posted(house, "desk", body, chatwoot(body, WALL // 1000 + late_s))
        assert told["accepted"] == accepted


@pytest.mark.parametrize("deliveries", [("d-1", "d-2", "d-3"), (None, None, None)])
async def test_chatwoot_typing_on_off_and_on_within_a_second_is_three_events(
    house: House, deliveries: tuple[str | None, ...]
) -> None:
    """The first and the third are byte for byte the same, and so is their signature."""
    bodies = [as_posted(f"chatwoot-typing-{way}") for way in ("on", "off", "on")]
    for body, delivery in zip(bodies, deliveries, strict=True):
        await posted(house, "desk", body, chatwoot(body, delivery=delivery))
    assert [one.kind for one in house.taken] == [Kind.THINKING, Kind.PAUSED, Kind.THINKING]


async def test_a_chatwoot_message_of_two_deliveries_is_one(house: House) -> None:
    body = as_posted("chatwoot-message-of-an-agent")
    for delivery, accepted in (("d-1", 1), ("d-2", 0), (None, 0)):
        _, told = await posted(house, "desk", body, chatwoot(body, delivery=delivery))
        assert told["accepted"] == accepted


async def test_a_genesys_id_at_another_time_is_another_event(house: House) -> None:
    payload = wire.loads(as_posted("genesys-open-typing"))
    for time, accepted in (("10:00:00.123Z", 1), ("10:00:05.123Z", 1), ("10:00:05.123Z", 0)):
        payload["channel"]["time"] = f"2026-11-22T{time}"
        body = wire.dumps(payload)
        assert (await posted(house, "genesys", body, hub(body)))[1]["accepted"] == accepted


async def test_a_ticket_of_its_source_is_no_key_to_it() -> None:
    """A page speaks for one actor in one session, and here of anybody in any."""
    page = "https://desk.example"
    async with opened(sourced(genesys=SOURCES["genesys"] | {"origins": [page]})) as house:
        asked = {"sessionId": SESSION, "guestId": "g-17", "actor": {"id": "agent-7"}}
        ticket = (await (await house.post(asked, "/v1/tickets", key=sure(seed=2).key)).json())["ticket"]
        said = {"Authorization": f"Bearer {ticket}", "Origin": page}
        assert (await posted(house, "genesys", as_posted("genesys-open-text"), said))[0] == 401
    assert house.taken == []


async def test_a_chatwoot_agent_is_an_actor_of_her_own(house: House) -> None:
    body = as_posted("chatwoot-message-of-an-agent")
    assert (await posted(house, "desk", body, chatwoot(body)))[0] == 200
    assert [(one.kind, one.actor) for one in house.taken] == [(Kind.MESSAGE_SENT, "user-7")]


async def test_a_cloudevent_is_answered_202_and_its_repeat_too(house: House) -> None:
    body = as_posted("cloudevents-keystroke")
    headers = {"Content-Type": CLOUD, **standard(body)}
    assert await posted(house, "bus", body, headers) == (202, {"accepted": 1, "duplicates": 0, "stale": 0})
    assert await posted(house, "bus", body, headers) == (202, {"accepted": 0, "duplicates": 1, "stale": 0})


async def test_a_request_that_was_refused_is_not_remembered(house: House) -> None:
    body = as_posted("cloudevents-keystroke")
    headers = {"Content-Type": CLOUD, **standard(body)}
    house.refuses = Unavailable("the outbox is full")
    assert (await posted(house, "bus", body, headers))[0] == 503
    house.refuses = None
    assert (await posted(house, "bus", body, headers))[1]["accepted"] == 1


async def test_what_says_nothing_about_typing_is_answered_well_and_counted(house: House) -> None:
    body = as_posted("chatwoot-status-changed")
    status, told = await posted(house, "desk", body, chatwoot(body))
    assert (status, told) == (200, {"accepted": 0, "duplicates": 0, "stale": 0})
    assert ignored(house, "desk") == {"unrelated": 1}


@pytest.mark.parametrize("name", [name for name in NAMES if "customer" in recording(name)])
async def test_a_genesys_customer_who_is_no_session_of_ours_is_answered_well_and_counted(
    house: House, name: str
) -> None:
    """The published examples as they are: the customer is called by an address."""
    body = as_published(name)
    assert await posted(house, "genesys", body, hub(body)) == (200, NOTHING)
    assert (ignored(house, "genesys"), house.taken) == ({"unaddressable": 1}, [])


@pytest.mark.parametrize("event", ["message-of-an-agent", "typing-on"])
@pytest.mark.parametrize(
    "source_id", ["+4915112345678", "whatsapp:+4915112345678", "guest@desk.example", "4915112345678", None]
)
async def test_a_customer_of_another_inbox_costs_chatwoot_no_failure(
    house: House, event: str, source_id: str | None
) -> None:
    """An answer of 4xx marks the agent's message as failed; the last id but one is one, and no gateway's session."""
    payload = wire.loads(as_posted(f"chatwoot-{event}"))
    payload["conversation"]["contact_inbox"]["source_id"] = source_id
    body = wire.dumps(payload)
    assert await posted(house, "desk", body, chatwoot(body)) == (200, NOTHING)
    assert (ignored(house, "desk"), house.taken) == ({"unaddressable": 1}, [])


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"type":"Event","direction":"Outbound","events":{"canary":1}}']
)
async def test_a_platform_whose_shape_has_changed_is_answered_well_and_counted(
    house: House, body: bytes
) -> None:
    assert await posted(house, "genesys", body, hub(body)) == (200, NOTHING)
    assert ignored(house, "genesys") == {"malformed": 1}


@pytest.mark.parametrize("body", [b"canary", b"", b'{"type":'])
async def test_a_platforms_body_that_is_no_json_is_400(house: House, body: bytes) -> None:
    assert (await posted(house, "genesys", body, hub(body)))[0] == 400
    assert ignored(house, "genesys") == {}


async def test_a_platforms_webhook_that_is_refused_for_now_is_told_so(house: House) -> None:
    """What would be taken a moment later is the platform's to repeat; what a session refuses it is not."""
    body = as_posted("chatwoot-message-of-an-agent")
    house.refuses = Unavailable("the outbox is full")
    assert (await posted(house, "desk", body, chatwoot(body)))[0] == 503
    house.refuses = Rejected(
        422, "Busy", "at another address", problems=(("guestId", "another types there"),)
    )
    assert await posted(house, "desk", body, chatwoot(body)) == (200, NOTHING)
    assert ignored(house, "desk") == {"unaddressable": 1}


async def test_why_a_webhook_was_ignored_is_in_the_log_without_a_word_of_it(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    body = as_published("genesys-open-text")
    for _ in range(3):
        await posted(house, "genesys", body, hub(body))
    (line,) = [one for one in caplog.records if one.message == "webhook.ignored"]
    fields = line.__dict__["fields"]
    assert (fields["source"], fields["reason"], list(fields["problems"])) == (
        "genesys", "unaddressable", ["channel.to.id"],
    )  # fmt: skip
    assert "abcdef12345" not in str(fields)


async def test_a_key_of_the_same_source_will_do_and_another_sources_will_not(house: House) -> None:
    body = as_posted("genesys-open-typing")
    own = {"Authorization": f"Bearer {sure(seed=2).key}"}
    foreign = {"Authorization": f"Bearer {sure().key}"}
    assert (await posted(house, "genesys", body, own))[0] == 200
    assert (await posted(house, "genesys", body, foreign))[0] == 401
    assert (await posted(house, "desk", body, own))[0] == 401


@pytest.mark.parametrize("source", ["genesys", "desk", "bus", "other", "crm", "nobody", "NOBODY", "a%2fb"])
async def test_whoever_is_not_believed_hears_one_and_the_same_401(house: House, source: str) -> None:
    body = as_posted("genesys-open-typing")
    (_, told) = await posted(house, "nobody", body, {})
    for headers in ({}, hub(b"other"), chatwoot(b"other"), standard(b"other"), {"Authorization": "Bearer x"}):
        assert await posted(house, source, body, headers) == (401, told)
    assert house.taken == []


async def test_a_stale_signature_is_not_believed(house: House) -> None:
    body = as_posted("chatwoot-typing-on")
    assert (await posted(house, "desk", body, chatwoot(body, WALL // 1000 - 301)))[0] == 401


async def test_a_page_cannot_post_what_it_was_shown(house: House) -> None:
    body = as_posted("genesys-open-typing")
    assert (await posted(house, "genesys", body, hub(body) | {"Origin": "https://evil.example"}))[0] in {
        401,
        403,
    }
    assert house.taken == []


async def test_a_page_of_a_source_cannot_post_what_it_was_shown_either() -> None:
    """It is let in for its ticket, and a signature it has seen is not its own."""
    page = "https://desk.example"
    shown = {"keys": [key_settings(sure())], "origins": [page]}
    async with opened(sourced(crm=shown)) as house:
        body = as_posted("genesys-open-typing")
        assert (await posted(house, "genesys", body, hub(body) | {"Origin": page}))[0] == 401
        assert house.taken == []


@pytest.mark.parametrize(
    ("updates", "place"),
    [
        ([{"guest": "b d!"}], "0"),
        ([{"guest": None}], "0"),
        ([{"at": "2026-13-41T10:00:00Z"}], "0"),
        ([{"kind": "none"}, {"guest": "b d!"}], "1"),
        ([{"kind": "none"}, {}, {"at": "2026-13-41T10:00:00Z"}], "2"),
        ([{"kind": "none"}, {"guest": None}], "1"),
        ([{"kind": "none"}, {}, {"guest": None}], "2"),
    ],
)
async def test_what_is_wrong_in_a_list_of_updates_is_told_by_its_place_there(
    updates: list[dict[str, object]], place: str
) -> None:
    """Not by its place among those that say something to us."""
    usual = {"kind": "keystroke", "chat": SESSION, "guest": "g-17"}
    mapping = {"events": "updates[]", "type": "kind", "sessionId": "chat", "guestId": "guest", "at": "at"}
    many = SOURCES["other"] | {"mapping": mapping}
    async with opened(sourced(many=many)) as house:
        body = wire.dumps({"updates": [usual | update for update in updates]})
        status, told = await posted(house, "many", body, hub(body))
        assert status == 422
        assert [one["loc"].partition(".")[0] for one in told["errors"]] == [place]


@pytest.mark.parametrize(
    ("body", "status"), [(b"canary", 400), (b"", 400), (b'{"kind":"keystroke","chat":"/canary"}', 422)]
)
async def test_what_is_malformed_is_a_problem_that_repeats_nothing(
    house: House, body: bytes, status: int
) -> None:
    answered, told = await posted(house, "other", body, hub(body))
    assert answered == status
    assert "canary" not in str(told)


async def test_an_unfit_session_is_named_by_its_field(house: House) -> None:
    body = b'{"kind":"keystroke","chat":12,"guest":"g-17"}'
    status, told = await posted(house, "other", body, hub(body))
    assert (status, told["errors"][0]["loc"]) == (422, "sessionId")


async def test_a_form_that_was_not_agreed_is_415_and_another_method_405(house: House) -> None:
    body = as_posted("cloudevents-keystroke")
    assert (await posted(house, "bus", body, standard(body)))[0] == 415
    assert house.client is not None
    answer = await house.client.get(f"{house.base_url}/v1/sources/bus")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert (await posted(house, "bus/x", body, {}))[0] == 404
    assert (await posted(house, "", body, {}))[0] == 404


async def test_a_source_past_its_rate_is_told_so_only_once_it_is_believed() -> None:
    slow = SOURCES["other"] | {"requests_per_s": 0.5}
    body = b'{"kind":"opened"}'
    async with opened(sourced(other=slow)) as house:
        assert (await posted(house, "other", body, {}))[0] == 401
        assert (await posted(house, "other", body, hub(body)))[0] == 202
        assert (await posted(house, "other", body, hub(body)))[0] == 429


async def test_an_adapter_that_is_configured_anew_is_used_anew(house: House) -> None:
    assert house.doors is not None
    body = b'{"kind":"keystroke","chat":"%s","guest":"g-17","who":"g-18"}' % SESSION.encode()
    other = SOURCES["other"] | {"mapping": SOURCES["other"]["mapping"] | {"guestId": "who"}}
    house.doors.prepared(sourced(other=other), house.doors.credentials)()
    assert (await posted(house, "other", body, hub(body)))[0] == 202
    assert house.taken[0].address.guest_id == "g-18"


async def posted_across(
    house: House, source: str, body: bytes, headers: dict[str, str], new: Settings
) -> int:
    """The status of a webhook whose body comes only once the settings were read again."""
    assert house.doors is not None
    host, _, port = house.base_url.removeprefix("http://").rpartition(":")
    said = {"Host": host, "Content-Type": "application/json", "Expect": "100-continue"} | headers
    head = [f"POST /v1/sources/{source} HTTP/1.1", f"Content-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in said.items()]
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write("\r\n".join([*head, "", ""]).encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        house.doors.prepared(new, house.doors.credentials)()
        writer.write(body)
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()


async def test_a_secret_that_is_revoked_while_a_body_comes_proves_it_no_longer(house: House) -> None:
    body = as_posted("chatwoot-typing-on")
    new = sourced(desk=SOURCES["desk"] | {"secrets": ["another-token-of-some-length"]})
    assert await posted_across(house, "desk", body, chatwoot(body), new) == 401
    assert house.taken == []


async def test_a_source_that_is_gone_by_the_end_of_a_body_is_a_source_that_is_none(house: House) -> None:
    body = as_posted("chatwoot-typing-on")
    new = settings(sources={name: one for name, one in SOURCES.items() if name != "desk"})
    assert await posted_across(house, "desk", body, chatwoot(body), new) == 401
    assert house.taken == []


async def test_a_webhook_is_read_by_the_adapter_there_is_at_its_end(house: House) -> None:
    body = b'{"kind":"keystroke","chat":"%s","guest":"g-17","who":"g-18"}' % SESSION.encode()
    other = SOURCES["other"] | {"mapping": SOURCES["other"]["mapping"] | {"guestId": "who"}}
    assert await posted_across(house, "other", body, hub(body), sourced(other=other)) == 202
    assert house.taken[0].address.guest_id == "g-18"


async def test_adapters_that_cannot_be_built_change_nothing_else(house: House) -> None:
    assert house.doors is not None
    doors, before = house.doors, house.doors.credentials
    broken = sourced(other=SOURCES["other"] | {"mapping": {"type": "kind"}})
    with pytest.raises(SettingsError, match=r"mapping\.sessionId: is required"):
        doors.prepared(broken, Credentials(broken, wall=lambda: house.wall))
    body = b'{"kind":"keystroke","chat":"%s","guest":"g-17"}' % SESSION.encode()
    assert doors.credentials is before
    assert (await posted(house, "other", body, hub(body)))[0] == 202
