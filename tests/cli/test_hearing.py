"""What one delivery is made into: the values; the process around them is in test_listening."""

import time

import pytest

from relay import wire
from relay.cli.hearing import KEPT_IDS, Ear, Heard, usable
from relay.core.signature import Keys
from relay.outbox.formats import CLOUDEVENTS
from tests.client.sender import transition
from tests.core.test_signature import OTHER, SECRET


def hear(ear: Ear, body: bytes, *, message_id: str = "msg_1", secret: str = SECRET) -> Heard:
    at_s = int(time.time())
    signature = Keys([secret]).sign(message_id, at_s, body)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": signature}
    return ear.hear(headers, body)


BODY = wire.dumps(transition(17))


def test_a_verified_event_is_a_line_with_time_type_session_and_sequence() -> None:
    assert hear(usable([SECRET]), BODY).line.split() == ["10:00:00.123", "✓", "session.typing", "s1", "#17"]


def test_a_cloud_event_is_the_same_line() -> None:
    ear = usable([SECRET])
    told = hear(ear, CLOUDEVENTS.body_of("msg_2", BODY), message_id="msg_2")
    assert told.line == hear(ear, BODY).line


def test_an_event_without_session_or_sequence_is_a_line_too() -> None:
    body = wire.dumps({"type": "endpoint.disabled", "timestamp": "2026-11-22T10:00:00Z", "data": {}})
    assert hear(usable([SECRET]), body).line.split() == ["10:00:00.000", "✓", "endpoint.disabled", "-"]


def test_what_an_event_says_moves_no_cursor() -> None:
    """A signature says who wrote it, and not that it is fit for a terminal."""
    body = transition(17) | {"type": "\x1b[2Jtyping"}
    body["data"] = {"sessionId": "s\r1\u202e"}
    line = hear(usable([SECRET]), wire.dumps(body)).line
    assert line.isprintable()
    assert r"\x1b[2Jtyping" in line
    assert r"s\r1\u202e" in line


def test_a_repeated_id_is_marked() -> None:
    ear = usable([SECRET])
    first, second = hear(ear, BODY), hear(ear, BODY)
    assert (first.is_duplicate, second.is_duplicate) == (False, True)
    assert second.line == f"{first.line} seen before"


def test_what_is_not_believed_says_why_and_is_not_remembered() -> None:
    ear = usable([SECRET])
    refused = hear(ear, BODY, secret=OTHER)
    assert refused.line.startswith("✗ no_match: ")
    assert refused.as_json == {"verified": False, "reason": "no_match"}
    assert not hear(ear, BODY).is_duplicate


def test_no_more_than_its_share_of_ids_is_remembered() -> None:
    ear = Ear((SECRET,), {f"msg_{number}": None for number in range(KEPT_IDS)})
    assert not hear(ear, BODY, message_id="msg_new").is_duplicate
    assert hear(ear, BODY, message_id="msg_new").is_duplicate
    assert not hear(ear, BODY, message_id="msg_0").is_duplicate, "the oldest made room"


def test_a_secret_that_cannot_be_used_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="begins with"):
        usable(["canary"])


def test_an_ear_does_not_print_its_secrets() -> None:
    assert SECRET not in repr(usable([SECRET]))
