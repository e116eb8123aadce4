"""Whatever bytes and headers come, there is an answer: events, a refusal, or no belief; never another exception.

pytest -m long tests/ingest/test_fuzz.py      20,000 inputs for each reader, some minutes
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.errors import Rejected
from relay.ingest.adapters import chatwoot, cloudevents, genesys_open
from relay.ingest.adapters.mapping import compiled
from relay.ingest.adapters.signatures import LiveSecret, is_signed, proof_of
from relay.ingest.events import EventReader
from relay.ingest.orders import read_order
from relay.ingest.refusals import BadField
from tests.ingest.rubbish import BODIES

READER = EventReader(max_events=50)
MAPPED = compiled(
    {
        "events": "[@][]",
        "type": "event && 'thinking' || type",
        "sessionId": "conversation.contact_inbox.source_id || sessionId",
        "guestId": "join('-', [to_string(id), 'g'])",
        "actor": "{id: user.id}",
        "at": "sort_by(events, &eventType)[0].typing.type",
        "durationMs": "sum([duration, `1`])",
    },
    max_events=50,
)
READERS: dict[str, Callable[[bytes], Any]] = {
    "event": READER.one,
    "array": READER.array,
    "line": lambda body: READER.line(body, index=3),
    "order": read_order,
    "genesys-open": lambda body: genesys_open.read(body, genesys_open.PATHS),
    "chatwoot": lambda body: chatwoot.read(body, chatwoot.PATHS),
    "cloudevents": cloudevents.read,
    "mapping": MAPPED.read,
}
PROOFS = [
    LiveSecret(proof_of("standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
    LiveSecret(proof_of("hub", "0123456789abcdef")),
    LiveSecret(proof_of("chatwoot", "0123456789abcdef")),
]
HEADERS = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "X-Hub-Signature-256",
    "X-Chatwoot-Signature",
    "X-Chatwoot-Timestamp",
]
VALUES = (
    st.text() | st.integers(-(10**15), 10**15).map(str) | st.sampled_from(["v1,", "v1,***", "sha256=", "nan"])
)


def answered(read: Callable[[bytes], Any], body: bytes) -> None:
    with suppress(Rejected, BadField):
        read(body)


def believed(headers: dict[str, str], body: bytes, at: int) -> None:
    assert not is_signed(PROOFS, headers, body, at)


GIVEN_HEADERS = given(
    st.dictionaries(st.sampled_from(HEADERS), VALUES), st.binary(max_size=40), st.integers(0, 2**45)
)
FEW = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
EACH = pytest.mark.parametrize("name", list(READERS))


@EACH
@FEW
@given(body=BODIES)
def test_any_body_is_answered(name: str, body: bytes) -> None:
    answered(READERS[name], body)


@FEW
@GIVEN_HEADERS
def test_no_headers_are_believed_by_chance(headers: dict[str, str], body: bytes, at: int) -> None:
    believed(headers, body, at)


@pytest.mark.long
@pytest.mark.timeout(1200)
@EACH
@MANY
@given(body=BODIES)
def test_any_of_very_many_bodies_is_answered(name: str, body: bytes) -> None:
    answered(READERS[name], body)


@pytest.mark.long
@pytest.mark.timeout(1200)
@MANY
@GIVEN_HEADERS
def test_none_of_very_many_headers_are_believed(headers: dict[str, str], body: bytes, at: int) -> None:
    believed(headers, body, at)
