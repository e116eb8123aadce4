"""Our `v1a` against Svix's published vector and against libsodium, which shares no code with what we sign with."""

import base64
import subprocess
import sys

import nacl.exceptions
import nacl.signing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.signature import Check, Keys, Secret, check
from relay.ed25519 import matcher, public_key_of, signer
from tests.whole.process import ROOT

# svix/svix-webhooks, server/svix-server/src/worker.rs, `test_asymmetric_key_signing`; the public key is the one its
# server/README.md prints beside the same secret.
SECRET = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP_S = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
SIGNED = b"%b.%d.%b" % (MESSAGE_ID.encode(), TIMESTAMP_S, BODY)
SYMMETRIC = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def seed_only() -> str:
    return "whsk_" + base64.b64encode(base64.b64decode(SECRET.removeprefix("whsk_"))[:32]).decode()


def verified(signature: str, *, public: str = PUBLIC, body: bytes = BODY) -> Check:
    now = TIMESTAMP_S * 1000
    return check(MESSAGE_ID, str(TIMESTAMP_S), signature, body, matchers=[matcher(public)], now=now)


@pytest.mark.parametrize("secret", [SECRET, seed_only()])
def test_the_published_vector_is_signed_to_the_byte(secret: str) -> None:
    assert Keys([Secret(signer(secret))]).sign(MESSAGE_ID, TIMESTAMP_S, BODY) == SIGNATURE


def test_the_published_vector_verifies_with_its_public_key() -> None:
    assert verified(SIGNATURE) is Check.VERIFIED
    assert verified(SIGNATURE, body=BODY + b" ") is Check.NO_MATCH
    assert public_key_of(SECRET) == PUBLIC


def test_libsodium_agrees_with_the_vector_and_with_us() -> None:
    oracle = nacl.signing.VerifyKey(base64.b64decode(PUBLIC.removeprefix("whpk_")))
    signature = base64.b64decode(signer(SECRET)(SIGNED).removeprefix("v1a,"))
    assert oracle.verify(SIGNED, signature) == SIGNED
    with pytest.raises(nacl.exceptions.BadSignatureError):
        oracle.verify(SIGNED + b" ", signature)


@given(st.binary(min_size=32, max_size=32), st.binary())
def test_any_seed_signs_as_libsodium_does(seed: bytes, signed: bytes) -> None:
    ours = signer("whsk_" + base64.b64encode(seed).decode())(signed)
    theirs = nacl.signing.SigningKey(seed).sign(signed).signature
    assert ours == "v1a," + base64.b64encode(theirs).decode()


def test_both_kinds_stand_in_one_header_with_single_spaces_between() -> None:
    header = Keys([Secret(signer(SECRET)), SYMMETRIC]).sign(MESSAGE_ID, TIMESTAMP_S, BODY)
    asymmetric, symmetric = header.split(" ")
    assert asymmetric == SIGNATURE
    assert symmetric.startswith("v1,")
    assert verified(header) is Check.VERIFIED


@pytest.mark.parametrize(
    "entry", ["", "v1a,", "v1a,AAAA", "v1a,\u00e4", SIGNATURE.replace("v1a", "v1"), SIGNATURE[:-4]]
)
def test_anything_but_the_signature_does_not_match(entry: str) -> None:
    assert not matcher(PUBLIC)(SIGNED, entry.encode())


@given(st.binary(), st.binary())
def test_whatever_arrives_matching_raises_nothing_and_trusts_nothing(signed: bytes, garbage: bytes) -> None:
    matches = matcher(PUBLIC)
    assert not matches(signed, garbage)
    assert not matches(signed, b"v1a," + garbage)
    assert not matches(signed, b"v1a," + base64.b64encode(garbage))


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (SYMMETRIC, "begin with `whsk_`"),
        (PUBLIC, "begin with `whsk_`"),
        ("whsk_6Xb/dCcHpPea21PS1N9VY/NZW!23CEc77N4rJCubMbc=", "not base64"),
        ("whsk_" + base64.b64encode(b"k" * 24).decode(), "24 bytes"),
        # worker.rs's neighbour refuses this one too: svix-server/src/core/types/mod.rs, `validate`.
        (
            "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlaaaaaaaaaaAJ6p9lMicMFs6Kvg==",
            "not its seed's",
        ),
    ],
)
def test_a_bad_signing_secret_is_refused_with_its_reason_and_never_repeated(secret: str, said: str) -> None:
    with pytest.raises(ValueError, match="32-byte seed") as caught:
        signer(secret)
    assert said in str(caught.value)
    assert secret.split("_")[1] not in str(caught.value)


@pytest.mark.parametrize("public", [SECRET, "whpk_AAAA", "whpk_!"])
def test_a_bad_public_key_is_refused_with_its_form(public: str) -> None:
    with pytest.raises(ValueError, match="`whpk_` and the base64 of 32 bytes"):
        matcher(public)


WITHOUT_THE_EXTRA = f"""
import sys
sys.modules["cryptography"] = None  # as if it were not installed
from relay import ed25519
for make, key in ((ed25519.signer, {SECRET!r}), (ed25519.matcher, {PUBLIC!r})):
    try:
        make(key)
    except ValueError as why:
        print(why)
"""


def test_without_the_extra_it_is_told_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_EXTRA],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.count("pip install cryptography") == 2
