"""Standard Webhooks 1.0, `v1`: what a receiver needs to trust a body, made and checked over raw bytes.

    webhook-id          the event's id, the same at every attempt
    webhook-timestamp   whole seconds since 1970, of the attempt
    webhook-signature   one `v1,<base64>` per live secret, newest first, single spaces between them

The signed bytes are id, full stop, timestamp, full stop, body; the signature is their HMAC-SHA256. We sign
ourselves, since the reference library takes only text bodies and mistakes an aware local time for UTC.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from enum import StrEnum

from relay.core.moments import UnixMs

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

SECRET_PREFIX = "whsec_"  # noqa: S105 - the published prefix, holds no secret
KEY_BYTES = range(24, 65)
MOST_SECRETS = 5
TOLERANCE_S = 300
"""Both ways, as every reference library has it; the specification leaves the figure open."""

_SECRET_FORM = "a signing secret is `whsec_` and the base64 of 24 to 64 random bytes"  # noqa: S105 - says its form


class Check(StrEnum):
    """What came of checking one delivery; everything but VERIFIED is a refusal and its reason."""

    VERIFIED = "verified"
    MISSING_HEADER = "missing_header"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    NO_MATCH = "no_match"


class Keys:
    """The live secrets of one endpoint, ready to sign and to verify. Never prints them."""

    __slots__ = ("_keyed",)

    def __init__(self, secrets: Iterable[str]) -> None:
        """Takes one to five secrets, newest first. Raises ValueError, which never holds a secret."""
        keys = [key_of(secret) for secret in secrets]
        if not 1 <= len(keys) <= MOST_SECRETS:
            raise ValueError(
                f"{len(keys)} signing secrets given, 1 to {MOST_SECRETS} wanted: retire the oldest"
            )
        # Hashing the key's two pads once and copying the state costs less than keying at every signature.
        self._keyed = tuple(hmac.new(key, digestmod=hashlib.sha256) for key in keys)

    def __len__(self) -> int:
        return len(self._keyed)

    def sign(self, message_id: str, timestamp_s: int, body: bytes) -> str:
        """The `webhook-signature` of one attempt: every live secret signs, so that a receiver may hold any."""
        signed = b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)
        return " ".join(self._entries(signed))

    def verify(
        self,
        message_id: str | None,
        timestamp: str | None,
        signature: str | None,
        body: bytes,
        *,
        now: UnixMs,
        tolerance_s: int = TOLERANCE_S,
    ) -> Check:
        """Whether these header values and bytes came from a holder of one of our secrets, just now.

        Takes any text at all and never raises. Entries of another version than `v1` are passed over. Comparing
        takes the same time wherever two signatures differ.
        """
        if not (message_id and timestamp and signature):
            return Check.MISSING_HEADER
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
            return Check.BAD_TIMESTAMP
        age_s = now / 1000 - int(timestamp)
        if abs(age_s) > tolerance_s:
            return Check.TOO_OLD if age_s > 0 else Check.TOO_NEW
        # The timestamp is signed as it was written: a leading zero is the sender's to keep.
        signed = b"%b.%b.%b" % (_plain(message_id), timestamp.encode(), body)
        offered = [_plain(entry) for entry in signature.split(" ")]
        wanted = [entry.encode() for entry in self._entries(signed)]
        matches = [hmac.compare_digest(ours, theirs) for ours in wanted for theirs in offered]
        return Check.VERIFIED if any(matches) else Check.NO_MATCH

    def _entries(self, signed: bytes) -> Iterable[str]:
        for keyed in self._keyed:
            mac = keyed.copy()
            mac.update(signed)
            yield "v1," + base64.b64encode(mac.digest()).decode()


def key_of(secret: str) -> bytes:
    """The key inside a `whsec_` secret. Raises ValueError, which says what is wrong and never the secret."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"this one does not begin with `{SECRET_PREFIX}`, and {_SECRET_FORM}")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        raise ValueError(f"this one is not base64 after its prefix, and {_SECRET_FORM}") from None
    if len(key) not in KEY_BYTES:
        raise ValueError(f"this one holds {len(key)} bytes, and {_SECRET_FORM}")
    return key


def _plain(text: str) -> bytes:
    # A header's undecodable bytes arrive as lone surrogates; escaped they match nothing, and nothing is raised.
    return text.encode(errors="backslashreplace")
