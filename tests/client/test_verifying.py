"""A tracker's side: what is believed, and that nothing a stranger sends raises anything but the one refusal."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from relay import wire
from relay.client import Event, VerificationFailed, verify
from relay.core.signature import Keys
from relay.outbox.formats import CLOUDEVENTS
from tests.core.test_signature import BODY, MESSAGE_ID, OTHER, SECRET, SIGNATURE, TIMESTAMP_S
from tests.test_ed25519 import PUBLIC
from tests.test_ed25519 import SIGNATURE as ED25519_SIGNATURE
from tests.whole.process import ROOT

NOW = TIMESTAMP_S * 1000
RECORDED = wire.dumps(
    {
        "type": "session.typing",
        "timestamp": "2026-11-22T10:00:00.123Z",
        "data": {"sessionId": "s1", "guestId": None, "gateway": "guest", "sequence": 17},
    }
)


def signed(body: bytes = RECORDED, *, secret: str = SECRET, message_id: str = "msg_1") -> dict[str, str]:
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(TIMESTAMP_S),
        "webhook-signature": Keys([secret]).sign(message_id, TIMESTAMP_S, body),
    }


def refusal(
    headers: dict[str, str], body: bytes = RECORDED, *, secrets: Iterable[str] = (SECRET,), now: int = NOW
) -> str:
    with pytest.raises(VerificationFailed) as caught:
        verify(headers, body, secrets, now=now)
    return caught.value.reason


def test_a_callback_becomes_its_event() -> None:
    event = verify(signed(), RECORDED, [SECRET], now=NOW)
    at = datetime(2026, 11, 22, 10, 0, 0, 123_000, tzinfo=UTC)
    assert event == Event("msg_1", "session.typing", at, wire.loads(RECORDED)["data"])
    assert (event.session_id, event.sequence) == ("s1", 17)


def test_both_formats_become_the_same_event() -> None:
    body = CLOUDEVENTS.body_of("msg_1", RECORDED)
    assert verify(signed(body), body, SECRET, now=NOW) == verify(signed(), RECORDED, SECRET, now=NOW)


def test_what_the_reference_library_signs_is_believed_on_this_machines_clock() -> None:
    at = datetime.now(UTC)
    signature = standardwebhooks.Webhook(SECRET).sign("msg_1", at, RECORDED.decode())
    headers = {"webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    assert verify({"webhook-id": "msg_1"} | headers, RECORDED, SECRET).id == "msg_1"


def test_header_names_may_be_in_any_case() -> None:
    headers = {name.title(): value for name, value in signed().items()}
    assert verify(headers, RECORDED, SECRET, now=NOW).id == "msg_1"


class Tracker(BaseHTTPRequestHandler):
    """A receiver with nothing but the standard library; the checker reads it too."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = verify(self.headers, body, SECRET, now=NOW)
        except VerificationFailed:
            self.send_error(401)
            return
        self.send_response(200, event.id)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def tracker() -> Iterator[HTTPConnection]:
    with HTTPServer(("127.0.0.1", 0), Tracker) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="tracker")
        thread.start()
        with closing(HTTPConnection("127.0.0.1", server.server_port, timeout=5)) as there:
            yield there
        server.shutdown()
        thread.join()


def test_the_standard_librarys_server_is_a_tracker() -> None:
    with tracker() as there:
        answers = []
        for headers in (signed(), {"x": "y"}):
            there.request("POST", "/", RECORDED, headers)
            response = there.getresponse()
            response.read()
            answers.append((response.status, response.reason))
    assert answers == [(200, "msg_1"), (401, "Unauthorized")]


def test_the_headers_of_an_asgi_scope_are_headers() -> None:
    scope = [(name.encode(), value.encode()) for name, value in signed().items()]
    assert verify(scope, RECORDED, SECRET, now=NOW).id == "msg_1"
    assert verify(list(signed().items()), RECORDED, SECRET, now=NOW).id == "msg_1"


@pytest.mark.parametrize("headers", [None, 5, "webhook-id", b"webhook-id", [None], [("webhook-id",)], [5]])
def test_what_are_no_headers_is_the_refusal(headers: Any) -> None:  # Any: wrong on purpose
    """Escaped because every test had a mapping of texts."""
    assert refusal(headers) == "missing_header"


@pytest.mark.parametrize("held", [[SECRET], [OTHER, SECRET], [SECRET, OTHER], [PUBLIC, SECRET]])
def test_one_secret_of_several_is_enough(held: list[str]) -> None:
    assert verify(signed(), RECORDED, held, now=NOW).id == "msg_1"


@pytest.mark.parametrize(
    ("signature", "held"), [(SIGNATURE, SECRET), (ED25519_SIGNATURE, PUBLIC)], ids=["v1", "v1a"]
)
def test_the_published_vectors_are_signed_and_are_no_events(signature: str, held: str) -> None:
    headers = {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(TIMESTAMP_S),
        "webhook-signature": signature,
    }
    assert refusal(headers, BODY, secrets=[held]) == "not_an_event"
    assert refusal(headers, BODY + b" ", secrets=[held]) == "no_match"


def test_a_symmetric_signature_is_nothing_to_a_public_key() -> None:
    assert refusal(signed(), secrets=[PUBLIC]) == "no_match"


@pytest.mark.parametrize(("age_s", "reason"), [(301, "too_old"), (-301, "too_new")])
def test_a_callback_is_good_for_five_minutes_both_ways(age_s: int, reason: str) -> None:
    assert refusal(signed(), now=NOW + age_s * 1000) == reason
    assert verify(signed(), RECORDED, SECRET, now=NOW + age_s * 1000, tolerance_s=301).id == "msg_1"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_told(name: str) -> None:
    assert refusal({other: value for other, value in signed().items() if other != name}) == "missing_header"


def test_a_refusal_says_nothing_of_what_was_received() -> None:
    headers = {name: f"{value}canary" for name, value in signed().items()} | {"webhook-timestamp": "canary"}
    with pytest.raises(VerificationFailed) as caught:
        verify(headers, b"canary", SECRET, now=NOW)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [None, [], 1, "text", {}, {"type": "x", "data": {}}, {"type": 1, "timestamp": "2026-11-22T10:00:00Z", "data": {}},
     {"type": "x", "timestamp": "2026-11-22T10:00:00Z", "data": []}, {"type": "x", "timestamp": 5, "data": {}},
     {"type": "x", "timestamp": "yesterday", "data": {}}, {"type": "x", "timestamp": "2026-11-22T10:00:00", "data": {}},
     {"specversion": "1.0", "type": "x", "timestamp": "2026-11-22T10:00:00Z", "data": {}}, ["specversion"]],
)  # fmt: skip
def test_a_signed_body_that_is_no_event_is_told_so(value: Any) -> None:  # Any: JSON
    body = wire.dumps(value)
    assert refusal(signed(body), body) == "not_an_event"


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[" * 100_000, b"NaN"])
def test_a_signed_body_that_is_no_json_is_told_so(body: bytes) -> None:
    assert refusal(signed(body), body) == "not_an_event"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NAMES = st.sampled_from(["webhook-id", "Webhook-Timestamp", "webhook-signature", "x"]) | st.text()


ODD = (
    st.none() | st.integers() | st.text() | st.binary() | st.just(SIGNATURE.encode()) | NAMES.map(str.encode)
)


@given(st.dictionaries(ODD, ODD) | st.lists(st.tuples(ODD, ODD) | ODD | st.lists(ODD)))
def test_however_odd_the_headers_are_it_is_the_one_refusal(headers: Any) -> None:  # Any: wrong on purpose
    assert refusal(headers, secrets=[SECRET, PUBLIC])


@given(st.dictionaries(NAMES, st.text() | st.just(str(TIMESTAMP_S)) | st.just(SIGNATURE)), st.binary())
def test_whatever_a_stranger_sends_it_is_the_one_refusal(headers: dict[str, str], body: bytes) -> None:
    assert refusal(headers, body, secrets=[SECRET, PUBLIC])


TOLD = st.fixed_dictionaries(
    {},
    optional={
        "type": JSON,
        "timestamp": JSON | st.datetimes().map(str),
        "time": JSON | st.datetimes().map(lambda at: f"{at.isoformat()}Z"),
        "data": JSON,
        "specversion": JSON,
    },
)


@given((TOLD | JSON).map(lambda value: json.dumps(value).encode()) | st.binary())
def test_whatever_a_secrets_holder_signs_it_is_an_event_or_the_one_refusal(body: bytes) -> None:
    try:
        event = verify(signed(body), body, SECRET, now=NOW)
    except VerificationFailed:
        assert refusal(signed(body), body) == "not_an_event"
        return
    assert isinstance(event.data, dict)
    assert event.sequence is None or isinstance(event.sequence, int)
    assert event.session_id is None or isinstance(event.session_id, str)


@pytest.mark.parametrize(
    "secrets",
    [[], "", "canary", "whsec_canary", "whsk_canary", [SECRET, "whpk_canary"],
     None, b"", b"whsec_canary", [None], [b"whsec_canary"], [SECRET, None], 5],
)  # fmt: skip
def test_a_secret_of_ones_own_that_cannot_be_used_is_no_refusal(
    secrets: Any,
) -> None:  # Any: wrong on purpose
    with pytest.raises(ValueError, match=r"secret|public key") as caught:
        verify(signed(), RECORDED, secrets, now=NOW)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("headers", [signed(), {}], ids=["signed", "by a stranger"])
@pytest.mark.parametrize(
    "body", [RECORDED.decode(), wire.loads(RECORDED), None], ids=["text", "parsed", "none"]
)
def test_a_body_that_is_not_bytes_is_told_what_is_wanted(
    headers: dict[str, str], body: Any
) -> None:  # Any: wrong on purpose
    """It was `%b requires a bytes-like object`, and only once a callback was signed."""
    with pytest.raises(TypeError, match="the raw body's bytes are wanted, as they came, and this is"):
        verify(headers, body, [SECRET], now=NOW)


def test_bytes_of_any_kind_are_a_body() -> None:
    bodies: tuple[Any, ...] = (bytearray(RECORDED), memoryview(RECORDED))  # Any: beyond what is promised
    for body in bodies:
        assert verify(signed(), body, [SECRET], now=NOW).id == "msg_1"


@pytest.mark.parametrize("told", [True, False, "17", 17.0, None, [17]])
def test_what_is_no_whole_number_is_no_sequence(told: Any) -> None:  # Any: JSON
    body = wire.dumps({"type": "x", "timestamp": "2026-11-22T10:00:00Z", "data": {"sequence": told}})
    assert verify(signed(body), body, SECRET, now=NOW).sequence is None


def test_importing_it_loads_no_server() -> None:
    heavy = ("aiohttp", "pydantic", "apsw", "click", "cryptography", "prometheus_client", "asyncio")
    code = f"import sys, relay.client; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"
