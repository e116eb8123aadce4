"""The platforms' signatures: what they sign is believed, and nothing a bit away from it."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.moments import UnixMs
from relay.core.signature import Keys
from relay.ingest.adapters.signatures import LiveSecret, is_signed, proof_of
from relay.ingest.hosts import Headers
from relay.settings.adapting import SignatureName

BODY = b'{"type":"Event","note":"\xc3\xa9"}'
NOW: UnixMs = 1_795_341_600_000
STAMP = str(NOW // 1000)
SECRETS: dict[SignatureName, str] = {
    "standard": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "hub": "the-integration's-own-token",
    "chatwoot": "xYz0123456789abcdefghijkl",
}
OTHERS: dict[SignatureName, str] = {
    "standard": "whsec_" + base64.b64encode(bytes(range(32))).decode(),
    "hub": "another-token-of-some-length",
    "chatwoot": "another-token-of-some-length",
}


def hmac_of(secret: str, signed: bytes) -> bytes:
    return hmac.new(secret.encode(), signed, hashlib.sha256).digest()


def signed_headers(scheme: SignatureName, secret: str, *, at_s: int = NOW // 1000) -> dict[str, str]:
    """As the platform makes them."""
    match scheme:
        case "standard":
            signature = Keys([secret]).sign("msg-1", at_s, BODY)
            return {"webhook-id": "msg-1", "webhook-timestamp": str(at_s), "webhook-signature": signature}
        case "hub":
            return {"X-Hub-Signature-256": "sha256=" + base64.b64encode(hmac_of(secret, BODY)).decode()}
        case "chatwoot":
            digest = hmac_of(secret, f"{at_s}.".encode() + BODY).hex()
            return {"X-Chatwoot-Timestamp": str(at_s), "X-Chatwoot-Signature": f"sha256={digest}"}


def believed(scheme: SignatureName, headers: Headers, body: bytes = BODY, *, now: UnixMs = NOW) -> bool:
    return is_signed([LiveSecret(proof_of(scheme, SECRETS[scheme]))], headers, body, now)


SCHEMES = pytest.mark.parametrize("scheme", list(SECRETS))


@SCHEMES
def test_what_the_platform_signs_is_believed(scheme: SignatureName) -> None:
    assert believed(scheme, signed_headers(scheme, SECRETS[scheme]))


@SCHEMES
def test_another_secret_or_none_or_another_body_is_not_believed(scheme: SignatureName) -> None:
    headers = signed_headers(scheme, SECRETS[scheme])
    assert not believed(scheme, signed_headers(scheme, OTHERS[scheme]))
    assert not believed(scheme, {})
    assert not believed(scheme, headers, BODY + b" ")
    assert not believed(scheme, headers, b"")


@SCHEMES
def test_either_secret_of_a_rotation_will_do_and_the_old_one_until_its_end(scheme: SignatureName) -> None:
    new, old = proof_of(scheme, OTHERS[scheme]), proof_of(scheme, SECRETS[scheme])
    headers = signed_headers(scheme, SECRETS[scheme])
    assert is_signed([LiveSecret(new), LiveSecret(old, NOW + 1)], headers, BODY, NOW)
    assert not is_signed([LiveSecret(new), LiveSecret(old, NOW)], headers, BODY, NOW)


@pytest.mark.parametrize("scheme", ["standard", "chatwoot"])
@pytest.mark.parametrize(("away_s", "is_good"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_a_dated_signature_is_good_for_five_minutes_either_way(
    scheme: SignatureName, away_s: int, *, is_good: bool
) -> None:
    headers = signed_headers(scheme, SECRETS[scheme], at_s=NOW // 1000 + away_s)
    assert believed(scheme, headers) is is_good


def test_a_hub_signature_may_be_in_hex_of_either_case() -> None:
    digest = hmac_of(SECRETS["hub"], BODY).hex()
    assert believed("hub", {"X-Hub-Signature-256": f"sha256={digest}"})
    assert believed("hub", {"X-Hub-Signature-256": f"sha256={digest.upper()}"})
    assert not believed("hub", {"X-Hub-Signature-256": digest})


def test_the_time_of_a_chatwoot_signature_is_signed() -> None:
    headers = signed_headers("chatwoot", SECRETS["chatwoot"])
    assert not believed("chatwoot", headers | {"X-Chatwoot-Timestamp": str(int(STAMP) + 1)})


@SCHEMES
@given(data=st.data())
def test_one_bit_away_is_not_believed(scheme: SignatureName, data: st.DataObject) -> None:
    headers = signed_headers(scheme, SECRETS[scheme])
    bit = data.draw(st.integers(0, len(BODY) * 8 - 1))
    flipped = bytearray(BODY)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not believed(scheme, headers, bytes(flipped))


@SCHEMES
@given(texts=st.lists(st.text(), min_size=5, max_size=5), body=st.binary(max_size=64))
def test_any_text_in_any_header_is_an_answer_and_no_exception(
    scheme: SignatureName, texts: list[str], body: bytes
) -> None:
    names = [*signed_headers("standard", SECRETS["standard"]), *signed_headers("hub", "x" * 16)]
    names += signed_headers("chatwoot", "x" * 16)
    assert not believed(scheme, dict(zip(names, [*texts, "\udcff"], strict=True)), body)


@pytest.mark.parametrize(
    ("scheme", "secret"), [("hub", "canary"), ("chatwoot", "canary"), ("standard", "canary")]
)
def test_a_secret_that_cannot_be_used_is_refused_without_being_said(
    scheme: SignatureName, secret: str
) -> None:
    with pytest.raises(ValueError, match=r"wanted|whsec_") as caught:
        proof_of(scheme, secret)
    assert "canary" not in str(caught.value)


def test_a_secret_never_shows_itself() -> None:
    assert "token" not in repr(LiveSecret(proof_of("hub", SECRETS["hub"])))
