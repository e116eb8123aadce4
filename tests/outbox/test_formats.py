"""A CloudEvent as CloudEvents' own library reads it, and the same bytes each time."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from relay import wire
from relay.core.engagement import EVENT_OF_STATE
from relay.outbox.formats import CLOUDEVENTS, STANDARD

EVENT_ID = "msg_019470b2-7f3a-7cde-8a4e-0123456789ab"
STAMP = "2026-11-22T10:00:00.123Z"
TYPING: dict[str, Any] = {
    "sessionId": "s1",
    "guestId": "zoë",
    "gateway": "guest",
    "sequence": 17,
    "reason": "keystroke",
    "actors": 1,
}


def recorded(data: dict[str, Any], kind: str = "session.typing") -> bytes:
    return wire.dumps({"type": kind, "timestamp": STAMP, "data": data})


def read(body: bytes) -> CloudEvent:
    message = HTTPMessage({"content-type": CLOUDEVENTS.content_type}, body)
    return cast("CloudEvent", from_structured_event(message))


def test_the_standard_body_is_the_recorded_bytes() -> None:
    assert STANDARD.body_of(EVENT_ID, b"whatever it is") == b"whatever it is"
    assert STANDARD.content_type == "application/json"


def test_a_cloud_event_says_what_the_recorded_one_says() -> None:
    event = read(CLOUDEVENTS.body_of(EVENT_ID, recorded(TYPING)))
    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": EVENT_ID,
        "source": "/typing-relay/guest",
        "type": "session.typing",
        "time": datetime(2026, 11, 22, 10, 0, 0, 123_000, tzinfo=UTC),
        "subject": "s1",
        "sequence": "0000000017",
        "datacontenttype": "application/json",
    }
    assert event.get_data() == TYPING


def test_the_bytes_are_these() -> None:
    """Written by hand: what a later version sends of a stored event has to be what an earlier one sent."""
    body = CLOUDEVENTS.body_of(
        "msg_1", b'{"type":"session.typing","timestamp":"T","data":{"gateway":"eu","sequence":1}}'
    )
    assert body == (
        b'{"specversion":"1.0","id":"msg_1","source":"/typing-relay/eu","type":"session.typing","time":"T",'
        b'"sequence":"0000000001","datacontenttype":"application/json","data":{"gateway":"eu","sequence":1}}'
    )


def test_the_media_type_names_no_charset() -> None:
    """JSON event format 1.0.2, section 3: UTF-8 is what JSON is in, and application/json has no such parameter."""
    assert CLOUDEVENTS.content_type == "application/cloudevents+json"


@pytest.mark.parametrize("data", [{}, {"sessionId": "", "gateway": None}, {"endpoint": "tracker"}])
def test_an_event_of_no_session_has_neither_subject_nor_sequence(data: dict[str, Any]) -> None:
    event = read(CLOUDEVENTS.body_of(EVENT_ID, recorded(data, "endpoint.disabled")))
    assert (event.get_source(), event.get_subject(), event.get_extension("sequence")) == (
        "/typing-relay",
        None,
        None,
    )
    assert event.get_data() == data


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_sequences_sort_as_texts_as_they_do_as_numbers(one: int, other: int) -> None:
    """CloudEvents extension Sequence: "lexicographically-orderable", of 32 bits."""
    texts = [
        read(CLOUDEVENTS.body_of(EVENT_ID, recorded(TYPING | {"sequence": number}))).get_extension("sequence")
        for number in (one, other)
    ]
    assert (texts[0] < texts[1]) == (one < other)


VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text()


@given(
    st.sampled_from(list(EVENT_OF_STATE.values())),
    st.dictionaries(st.text(), VALUES | st.lists(VALUES), max_size=8),
)
def test_the_same_event_is_the_same_bytes_and_loses_nothing(kind: str, data: dict[str, Any]) -> None:
    stored = recorded(TYPING | {"more": data}, kind)
    first = CLOUDEVENTS.body_of(EVENT_ID, stored)
    assert CLOUDEVENTS.body_of(EVENT_ID, stored) == first
    inside = wire.dumps(wire.loads(first)["data"])
    assert inside in stored, "the data's own bytes, in their order"
