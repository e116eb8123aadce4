"""Our signatures against the published vector, the checks against everything a stranger may send."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.signature import MOST_ENTRIES, Check, Keys, Secret, hmac_signer, key_of

# The vector of the Standard Webhooks reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP_S = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def check(
    signature: str | None = SIGNATURE,
    *,
    keys: Keys | None = None,
    message_id: str | None = MESSAGE_ID,
    timestamp: str | None = str(TIMESTAMP_S),
    body: bytes = BODY,
    age_s: float = 0,
) -> Check:
    now = int((TIMESTAMP_S + age_s) * 1000)
    return (keys or Keys([SECRET])).verify(message_id, timestamp, signature, body, now=now)


def test_the_published_vector_is_signed_to_the_byte() -> None:
    assert Keys([SECRET]).sign(MESSAGE_ID, TIMESTAMP_S, BODY) == SIGNATURE


def test_the_published_vector_verifies() -> None:
    assert check() is Check.VERIFIED


def test_every_live_secret_signs_and_the_newest_comes_first() -> None:
    assert Keys([OTHER, SECRET]).sign(MESSAGE_ID, TIMESTAMP_S, BODY).split(" ")[1] == SIGNATURE


@pytest.mark.parametrize("held", [SECRET, OTHER])
def test_a_receiver_with_either_secret_of_a_rotation_verifies(held: str) -> None:
    both = Keys([OTHER, SECRET]).sign(MESSAGE_ID, TIMESTAMP_S, BODY)
    assert check(both, keys=Keys([held])) is Check.VERIFIED


UNTIL_MS = TIMESTAMP_S * 1000
"""The second of the vector is the first in which the old secret no longer signs."""


@pytest.mark.parametrize(("at_s", "entries"), [(TIMESTAMP_S - 1, 2), (TIMESTAMP_S, 1), (TIMESTAMP_S + 1, 1)])
def test_an_old_secret_signs_until_its_end_and_no_longer(at_s: int, entries: int) -> None:
    rotation = Keys([SECRET, Secret(hmac_signer(OTHER), UNTIL_MS)])
    assert len(rotation.sign(MESSAGE_ID, at_s, BODY).split(" ")) == entries
    assert rotation.sign(MESSAGE_ID, TIMESTAMP_S, BODY) == SIGNATURE


def test_a_fraction_of_the_last_second_is_not_signed_past() -> None:
    rotation = Keys([OTHER, Secret(hmac_signer(SECRET), UNTIL_MS + 999)])
    assert SIGNATURE not in rotation.sign(MESSAGE_ID, TIMESTAMP_S, BODY)


@pytest.mark.parametrize(("age_s", "wanted"), [(-1, Check.VERIFIED), (0, Check.NO_MATCH)])
def test_a_secret_past_its_end_verifies_nothing_either(age_s: int, wanted: Check) -> None:
    retiring = Keys([OTHER, Secret(hmac_signer(SECRET), UNTIL_MS)])
    assert check(keys=retiring, age_s=age_s) is wanted


def test_the_newest_secret_has_no_end() -> None:
    with pytest.raises(ValueError, match="put its successor first"):
        Keys([Secret(hmac_signer(SECRET), UNTIL_MS), OTHER])


@pytest.mark.parametrize(
    ("others", "wanted"), [(MOST_ENTRIES - 1, Check.VERIFIED), (MOST_ENTRIES, Check.NO_MATCH)]
)
def test_of_a_header_without_end_the_first_entries_are_looked_at(others: int, wanted: Check) -> None:
    assert check("v1,AAAA " * others + SIGNATURE) is wanted


@pytest.mark.parametrize(
    ("age_s", "wanted"),
    [
        (299, Check.VERIFIED),
        (300, Check.VERIFIED),
        (301, Check.TOO_OLD),
        (-300, Check.VERIFIED),
        (-301, Check.TOO_NEW),
    ],
)
def test_a_timestamp_is_good_for_five_minutes_both_ways(age_s: int, wanted: Check) -> None:
    assert check(age_s=age_s) is wanted


@pytest.mark.parametrize(
    "timestamp", ["1614265330.0", "-1", "+1614265330", " 1614265330", "١٦", "1" * 13, "now"]
)
def test_a_timestamp_that_is_not_plain_digits_is_refused(timestamp: str) -> None:
    assert check(timestamp=timestamp) is Check.BAD_TIMESTAMP


def test_a_missing_header_is_told_as_such() -> None:
    answers = {check(None), check(message_id=None), check(timestamp=None), check("")}
    assert answers == {Check.MISSING_HEADER}


@pytest.mark.parametrize(
    "signature",
    [
        "v1,",
        SIGNATURE[:-1],
        SIGNATURE.replace("v1,", "v1a,"),
        SIGNATURE.replace("v1,", "v2,"),
        "v1," + "A" * 44,
    ],
)
def test_anything_but_our_signature_does_not_match(signature: str) -> None:
    assert check(signature) is Check.NO_MATCH


def test_entries_of_other_versions_and_broken_ones_are_passed_over() -> None:
    assert check(f"v1a,AAAA garbage {SIGNATURE}") is Check.VERIFIED


def test_one_changed_byte_of_the_body_does_not_match() -> None:
    assert check(body=BODY.replace(b"4", b"5", 1)) is Check.NO_MATCH


@given(st.text(), st.text(), st.text(), st.binary())
def test_whatever_arrives_verifying_raises_nothing_and_trusts_nothing(
    message_id: str, timestamp: str, signature: str, body: bytes
) -> None:
    answer = Keys([SECRET]).verify(message_id, timestamp, signature, body, now=TIMESTAMP_S * 1000)
    assert answer is not Check.VERIFIED


def test_a_headers_undecodable_bytes_do_not_match() -> None:
    assert check("v1,\udcff", message_id="\udc80") is Check.NO_MATCH


@pytest.mark.parametrize("size", [24, 64])
def test_a_secret_of_24_to_64_bytes_is_taken(size: int) -> None:
    assert key_of("whsec_" + base64.b64encode(b"k" * size).decode()) == b"k" * size


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begin with `whsec_`"),
        ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begin with `whsec_`"),
        ("whsec_MfKQ9r8GKY!rTwjUPD8ILPZIo2LaLaSw", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwä", "not base64"),
        ("whsec_" + base64.b64encode(b"k" * 23).decode(), "23 bytes"),
        ("whsec_" + base64.b64encode(b"k" * 65).decode(), "65 bytes"),
        ("whsec_", "0 bytes"),
    ],
)
def test_a_bad_secret_is_refused_with_its_reason_and_never_repeated(secret: str, said: str) -> None:
    with pytest.raises(ValueError, match="base64 of 24 to 64") as caught:
        key_of(secret)
    assert said in str(caught.value)
    assert secret.removeprefix("whsec_") == "" or secret.removeprefix("whsec_") not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("count", [0, 6])
def test_one_to_five_secrets_are_held(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        Keys([SECRET] * count)


def test_of_no_secret_none_is_to_be_retired() -> None:
    """It escaped until now: zero and six had one remedy, to retire the oldest."""
    with pytest.raises(ValueError, match="give one"):
        Keys([])
    with pytest.raises(ValueError, match="retire the oldest"):
        Keys([SECRET] * 6)


def test_keys_do_not_print_their_secrets() -> None:
    assert "Mf" not in repr(Keys([SECRET]))
    assert "Mf" not in repr(Secret(hmac_signer(SECRET)))


def test_a_headers_many_entries_cost_one_signature_for_each_secret() -> None:
    """A stranger chooses how many entries there are, and how large the body is."""
    signed: list[bytes] = []

    def sign(these: bytes) -> str:
        signed.append(these)
        return "v1,x"

    keys = Keys([Secret(sign), Secret(sign)])
    assert keys.verify("m", "1700000000", "v1,y " * 16, b"body", now=1_700_000_000_000) is Check.NO_MATCH
    assert len(signed) == 2
