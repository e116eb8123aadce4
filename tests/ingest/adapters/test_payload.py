"""What is not as a platform sends it: a field that is named, and never its value."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import wire
from relay.core.moments import from_rfc3339
from relay.errors import Rejected
from relay.ingest.adapters import chatwoot, cloudevents, genesys_open
from relay.ingest.adapters.payload import Paths, duration_of, fitted, moment_of
from relay.ingest.events import Event
from relay.ingest.refusals import BadField

UUID = "5f0c2f9e-6f7a-4c1e-9a39-0c8d6a3b1f00"
OPEN: dict[str, Any] = {
    "id": "m-1",
    "type": "Text",
    "direction": "Outbound",
    "channel": {"to": {"id": UUID}, "time": "2026-11-22T10:00:00Z"},
}
DESK: dict[str, Any] = {
    "event": "conversation_typing_on",
    "user": {"id": 7, "type": "user"},
    "conversation": {"contact_inbox": {"source_id": UUID, "contact_id": 41}},
}
CLOUD: dict[str, Any] = {
    "specversion": "1.0",
    "type": "x.keystroke",
    "source": "/a",
    "id": "1",
    "data": {"sessionId": UUID},
}
Read = Callable[[bytes], list[Event]]


def read_open(body: bytes) -> list[Event]:
    return genesys_open.read(body, genesys_open.PATHS)


def read_desk(body: bytes) -> list[Event]:
    return chatwoot.read(body, chatwoot.PATHS)


def place_of(read: Read, payload: object) -> str:
    with pytest.raises((BadField, Rejected)) as caught:
        read(wire.dumps(payload))
    why = caught.value
    assert "canary" not in repr(vars(why))
    if isinstance(why, BadField):
        return ".".join(map(str, why.place))
    assert isinstance(why, Rejected)
    return why.problems[0][0]


@pytest.mark.parametrize(
    ("read", "payload", "place"),
    [
        (read_open, [], ""),
        (read_open, {}, "type"),
        (read_open, OPEN | {"type": 3}, "type"),
        (read_open, OPEN | {"id": None}, "id"),
        (read_open, OPEN | {"channel": "canary"}, "channel.to.id"),
        (read_open, OPEN | {"channel": {"to": {"id": "canary/.."}}}, "channel.to.id"),
        (read_open, OPEN | {"channel": {"to": {"id": True}}}, "channel.to.id"),
        (read_open, OPEN | {"type": "Event", "events": {"canary": 1}}, "events"),
        (read_desk, {"user": "canary"}, "event"),
        (read_desk, DESK | {"conversation": {"id": 1}}, "conversation.contact_inbox.source_id"),
        (cloudevents.read, {}, "specversion"),
        (cloudevents.read, CLOUD | {"specversion": "0.3"}, "specversion"),
        (cloudevents.read, CLOUD | {"source": 7}, "source"),
        (cloudevents.read, CLOUD | {"data": "canary"}, "data"),
        (cloudevents.read, CLOUD | {"data": {"id": "canary"}}, "data.id"),
        (cloudevents.read, CLOUD | {"data": {"sessionId": UUID, "text": "canary"}}, "text"),
        (cloudevents.read, CLOUD | {"time": "canary"}, "time"),
        (cloudevents.read, CLOUD | {"time": "2026-11-22T10:00:00"}, "time"),
        (cloudevents.read, CLOUD | {"data": False}, "data"),
        (cloudevents.read, CLOUD | {"data": {}}, "sessionId"),
    ],
)
def test_what_is_malformed_is_named_by_its_place_and_not_repeated(
    read: Read, payload: object, place: str
) -> None:
    assert place_of(read, payload) == place


@pytest.mark.parametrize("read", [read_open, read_desk, cloudevents.read])
def test_what_is_no_json_is_400(read: Read) -> None:
    with pytest.raises(Rejected) as caught:
        read(b"canary")
    assert caught.value.status == 400
    assert "canary" not in caught.value.detail


@pytest.mark.parametrize(
    ("read", "payload"),
    [
        (read_open, OPEN | {"direction": "Inbound"}),
        (read_open, OPEN | {"type": "Reaction"}),
        (read_open, OPEN | {"type": "Event", "events": [{"eventType": "Presence"}, "x", None]}),
        (
            read_open,
            OPEN | {"type": "Event", "events": [{"eventType": "Typing", "typing": {"type": "Half"}}]},
        ),
        (read_desk, {"event": "webwidget_triggered"}),
        (read_desk, DESK | {"user": None}),
        (read_desk, DESK | {"user": {"id": 41}}),
        (read_desk, DESK | {"event": "message_created", "message_type": "template"}),
        (cloudevents.read, CLOUD | {"type": "keystrokes"}),
    ],
)
def test_what_says_nothing_about_typing_is_no_event_and_no_error(read: Read, payload: object) -> None:
    assert read(wire.dumps(payload)) == []


def test_ids_stand_where_the_operator_says() -> None:
    paths = Paths("conversation.custom_attributes.session", "conversation.id")
    payload = DESK | {"conversation": {"id": 12, "custom_attributes": {"session": UUID}}}
    (event,) = chatwoot.read(wire.dumps(payload), paths)
    assert (event["sessionId"], event["guestId"]) == (UUID, "12")


def test_a_repeated_cloudevent_is_the_same_by_source_and_id() -> None:
    ids = [cloudevents.events(CLOUD | more)[0]["id"] for more in ({}, {}, {"id": "2"}, {"source": "/b"})]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_null_is_absent_in_an_envelope_and_of_data() -> None:
    nulls = dict.fromkeys(("time", "traceparent", "datacontenttype", "data"))
    (event,) = cloudevents.read(wire.dumps(CLOUD | nulls | {"subject": UUID}))
    assert event.keys() == {"sessionId", "type", "id"}


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("2026-11-22t10:00:00z", "2026-11-22T10:00:00.000Z"),
        ("1990-12-31T23:59:60Z", "1991-01-01T00:00:00.000Z"),
    ],
)
def test_any_time_of_rfc_3339_may_date_a_cloudevent(said: str, taken: str) -> None:
    (event,) = cloudevents.read(wire.dumps(CLOUD | {"time": said}))
    assert event["at"] == taken


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-03"),
        (f"01-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
        (f"cc-{TRACE}-{SPAN}-fe-what-the-future-will-be-like", f"00-{TRACE}-{SPAN}-00"),
    ],
)
def test_a_trace_goes_on_whatever_later_version_tells_it(said: str, taken: str) -> None:
    (event,) = cloudevents.read(wire.dumps(CLOUD | {"traceparent": said}))
    assert event["traceparent"] == taken


@pytest.mark.parametrize(
    "said",
    [
        *(
            f"ff-{TRACE}-{SPAN}-01",
            f"00-{TRACE}-{SPAN}-01-more",
            f"01-{TRACE}-{SPAN}-01.more",
            f"01-{TRACE}-{SPAN}",
        ),
        *(f"01-{'0' * 32}-{SPAN}-01", f"01-{TRACE}-{'0' * 16}-01", f"01-{TRACE.upper()}-{SPAN}-01", "", 7),
    ],
)
def test_what_is_no_traceparent_begins_a_trace_anew_and_refuses_no_event(said: object) -> None:
    (event,) = cloudevents.read(wire.dumps(CLOUD | {"traceparent": said}))
    assert "traceparent" not in event


def test_an_id_no_event_could_carry_is_told_by_its_digest() -> None:
    assert fitted("m-1") == "m-1"
    assert fitted("a/b") != fitted("a/c")
    assert len(fitted("x" * 500)) == 64


@pytest.mark.parametrize(
    ("said", "taken"), [(5000, 5000), (50, 100), (60_000, 10_000), ("5", None), (True, None)]
)
def test_a_duration_is_kept_within_what_an_event_may_ask_for(said: object, taken: int | None) -> None:
    assert duration_of(said) == taken


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("2026-11-22T10:00:00.123Z", "2026-11-22T10:00:00.123Z"),
        ("2026-11-22T10:00:00.123+0000", "2026-11-22T10:00:00.123Z"),
        ("2026-11-22T10:00:00+0530", "2026-11-22T04:30:00.000Z"),
        ("2026-11-22t10:00:00.5z", "2026-11-22T10:00:00.500Z"),
        ("1990-12-31T23:59:60Z", "1991-01-01T00:00:00.000Z"),
        ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00.000Z"),
        ("2026-11-22T10:00:00.123456789Z", "2026-11-22T10:00:00.123Z"),
    ],
)
def test_a_time_of_either_standard_is_told_as_an_event_tells_it(said: str, taken: str) -> None:
    """The leap second is RFC 3339's own example (section 5.8)."""
    assert moment_of(said) == taken


@pytest.mark.parametrize(
    "said",
    [
        *("canary", "", "2026-11-22", "2026-11-22T10:00:00", "2026-02-30T10:00:00Z", "0001-01-01T00:00:00Z"),
        *("9999-12-31T23:59:60Z", "2026-11-22T10:00:61Z", "2026-11-22T10:00:00Z" + " " * 90, None, 17, True),
    ],
)
def test_a_time_nobody_can_read_is_none(said: object) -> None:
    assert moment_of(said) is None


@given(said=st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]+)?[Zz+-][0-9:]{0,5}"))
def test_any_text_is_a_time_an_event_may_carry_or_none(said: str) -> None:
    told = moment_of(said)
    assert told is None or from_rfc3339(told) is not None


def test_an_event_whose_time_cannot_be_read_is_taken_without_it() -> None:
    (event,) = read_open(wire.dumps(OPEN | {"channel": OPEN["channel"] | {"time": "22.11.2026"}}))
    assert event["at"] is None


NAMES = [
    "event",
    "type",
    "id",
    "direction",
    "channel",
    "to",
    "events",
    "user",
    "sender",
    "conversation",
    "data",
]
WORDS = [
    "Outbound",
    "Event",
    "Text",
    "Typing",
    "message_created",
    "conversation_typing_on",
    "1.0",
    "x.thinking",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@given(payload=JSON, base=st.sampled_from([{}, OPEN, DESK, CLOUD]))
def test_any_json_is_events_or_a_refusal(payload: object, base: dict[str, Any]) -> None:
    body = wire.dumps(base | payload if isinstance(payload, dict) else payload)
    for read in (read_open, read_desk, cloudevents.read):
        try:
            told = read(body)
        except (BadField, Rejected):
            continue
        assert len(told) <= 1


DEEP = b"[" * 1000 + b"]" * 1000


def test_a_cloud_event_nested_too_deeply_is_a_bad_field() -> None:
    head = b'{"specversion":"1.0","type":"a.keystroke","source":"s","id":"1","data":{"guestId":'
    with pytest.raises((BadField, Rejected)):
        cloudevents.read(head + DEEP + b"}}")


def test_a_cloud_event_of_junk_is_refused_before_it_is_read() -> None:
    junk = {f"{number:x}": 0 for number in range(90_000)}
    body = wire.dumps({"specversion": "1.0", "type": "a.keystroke", "source": "a", "id": "1", "data": junk})
    with pytest.raises(Rejected, match="far more fields"):
        cloudevents.read(body)


def test_chatwoot_naming_nobody_at_any_depth_says_nothing() -> None:
    head = b'{"event":"conversation_typing_on","user":{"id":1,"type":'
    assert chatwoot.read(head + DEEP + b"}}", chatwoot.PATHS) == []
