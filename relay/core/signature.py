"""Standard Webhooks 1.0: what a receiver needs to trust a body, made and checked over raw bytes.

    webhook-id          the event's id, the same at every attempt
    webhook-timestamp   whole seconds since 1970, of the attempt
    webhook-signature   one entry per live secret, newest first, single spaces between them

The signed bytes are id, full stop, timestamp, full stop, body. An entry is `v1,<base64>` of their HMAC-SHA256, made
here, or `v1a,<base64>` of their ed25519 signature, made by `relay.ed25519` and handed in as a `Signer`. We sign
ourselves, since the reference library takes only text bodies and mistakes an aware local time for UTC.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from relay.core.moments import UnixMs

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

SECRET_PREFIX = "whsec_"  # noqa: S105 - the published prefix, holds no secret
KEY_BYTES = range(24, 65)
MOST_SECRETS = 5
MOST_ENTRIES = 16
"""Of one header, what is looked at: three rotations at once; a stranger's ten thousand cost us nothing."""
TOLERANCE_S = 300
"""Both ways, as every reference library has it; the specification leaves the figure open."""

Signer = Callable[[bytes], str]
"""Of the signed bytes, their entry in `webhook-signature`."""

Matcher = Callable[[bytes, bytes], bool]
"""Whether, of (signed bytes, one entry of the header), the entry is a signature of those bytes; never raises."""

_SECRET_FORM = "a signing secret is `whsec_` and the base64 of 24 to 64 random bytes"  # noqa: S105 - says its form


class Check(StrEnum):
    """What came of checking one delivery; everything but VERIFIED is a refusal and its reason."""

    VERIFIED = "verified"
    MISSING_HEADER = "missing_header"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    NO_MATCH = "no_match"


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of a rotation: signs before the second of `until`, or for as long as it is listed."""

    sign: Signer = field(repr=False)
    until: UnixMs | None = None


class Keys:
    """The secrets of one endpoint, ready to sign and to verify. Never prints them."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Iterable[str | Secret]) -> None:
        """Takes one to five, newest first; a text is a `whsec_` secret without end.

        Raises ValueError, which never holds a secret.
        """
        self._secrets = tuple(Secret(hmac_signer(one)) if isinstance(one, str) else one for one in secrets)
        if not self._secrets:
            raise ValueError(f"no signing secret is given, 1 to {MOST_SECRETS} wanted: give one")
        if len(self._secrets) > MOST_SECRETS:
            raise ValueError(
                f"{len(self._secrets)} signing secrets given, 1 to {MOST_SECRETS} wanted: retire the oldest"
            )
        if self._secrets[0].until is not None:
            raise ValueError(
                "the newest secret has an `until`, after which nothing could sign: put its successor first"
            )

    def __len__(self) -> int:
        return len(self._secrets)

    def sign(self, message_id: str, timestamp_s: int, body: bytes) -> str:
        """The `webhook-signature` of one attempt: each secret live at that second signs, a receiver may hold any."""
        signed = b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)
        return " ".join(one.sign(signed) for one in self._secrets if _is_live(one, timestamp_s))

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
        """Whether these header values and bytes came from a holder of one of our secrets, just now; see `check`."""
        matchers = [matcher_of(one.sign) for one in self._secrets if _is_live(one, now // 1000)]
        return check(
            message_id, timestamp, signature, body, matchers=matchers, now=now, tolerance_s=tolerance_s
        )


def check(
    message_id: str | None,
    timestamp: str | None,
    signature: str | None,
    body: bytes,
    *,
    matchers: Iterable[Matcher],
    now: UnixMs,
    tolerance_s: int = TOLERANCE_S,
) -> Check:
    """Whether these header values and bytes came, just now, from somebody whom one of `matchers` recognises.

    Takes any text at all and never raises. Entries nobody recognises are passed over, whatever their version.
    """
    if not (message_id and timestamp and signature):
        return Check.MISSING_HEADER
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return Check.BAD_TIMESTAMP
    age_s = now / 1000 - int(timestamp)
    if abs(age_s) > tolerance_s:
        return Check.TOO_OLD if age_s > 0 else Check.TOO_NEW
    # The timestamp is signed as it was written: a leading zero is the sender's to keep.
    signed = b"%b.%b.%b" % (header_bytes(message_id), timestamp.encode(), body)
    offered = [header_bytes(entry) for entry in signature.split(" ")[:MOST_ENTRIES]]
    is_ours = any([matches(signed, entry) for matches in matchers for entry in offered])  # noqa: C419 - all are tried
    return Check.VERIFIED if is_ours else Check.NO_MATCH


def hmac_signer(secret: str) -> Signer:
    """Signs as `v1` with a `whsec_` secret. Raises ValueError as `key_of` does."""
    # Hashing the key's two pads once and copying the state costs less than keying at every signature.
    keyed = hmac.new(key_of(secret), digestmod=hashlib.sha256)

    def sign(signed: bytes) -> str:
        mac = keyed.copy()
        mac.update(signed)
        return "v1," + base64.b64encode(mac.digest()).decode()

    return sign


def matcher_of(sign: Signer) -> Matcher:
    """Recognises what this signer would say, which is always the same (also of ed25519: RFC 8032, 5.1.6).

    Comparing takes the same time wherever two signatures differ; a header's many entries cost one signature.
    """
    own = lru_cache(maxsize=1)(sign)
    return lambda signed, entry: hmac.compare_digest(own(signed).encode(), entry)


def bytes_of(secret: str, prefix: str, *, form: str) -> bytes:
    """What stands in base64 behind a secret's prefix.

    Raises ValueError, which says `form` and what is wrong, and never the secret.
    """
    if not secret.startswith(prefix):
        raise ValueError(f"this one does not begin with `{prefix}`, and {form}")
    try:
        return base64.b64decode(secret.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        raise ValueError(f"this one is not base64 after its prefix, and {form}") from None


def key_of(secret: str) -> bytes:
    """The key inside a `whsec_` secret. Raises ValueError, which says what is wrong and never the secret."""
    key = bytes_of(secret, SECRET_PREFIX, form=_SECRET_FORM)
    if len(key) not in KEY_BYTES:
        raise ValueError(f"this one holds {len(key)} bytes, and {_SECRET_FORM}")
    return key


def _is_live(secret: Secret, at_s: int) -> bool:
    # Attempts are dated in whole seconds: a fraction of `until` is dropped, so that none is signed after it.
    return secret.until is None or at_s < secret.until // 1000


def header_bytes(text: str) -> bytes:
    """Those of a header's value. Undecodable ones arrive as lone surrogates; escaped they match nothing."""
    return text.encode(errors="backslashreplace")
