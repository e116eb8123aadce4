"""How platforms sign their webhooks: each scheme, of a secret, says whether headers and raw bytes bear its signature.

    standard   Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature; `whsec_` secrets; ±300 s
    hub        X-Hub-Signature-256: sha256= and the HMAC-SHA256 of the body, in base64 (Genesys) or in hex (others)
    chatwoot   X-Chatwoot-Signature: sha256= and the hex HMAC-SHA256 of timestamp, full stop, body; ±300 s;
               X-Chatwoot-Delivery, not signed, is made once for a delivery and sent again with each attempt at it

Comparing takes the same time wherever two signatures differ, and every live secret is tried, whichever fits.

https://developer.genesys.cloud/commdigital/digital/openmessaging/validate
https://github.com/chatwoot/chatwoot (swagger, schema `webhook`: X-Chatwoot-Timestamp, -Signature and -Delivery)
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from relay.core.moments import UnixMs
from relay.core.signature import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    TOLERANCE_S,
    Check,
    check,
    header_bytes,
    hmac_signer,
    matcher_of,
)
from relay.ingest.hosts import Headers
from relay.settings.adapting import SignatureName

Proof = Callable[[Headers, bytes, UnixMs], bool]
"""Whether (headers, raw body) were signed with one secret, now; never raises, whatever is in them."""

SHORTEST_SECRET = 16
"""Characters; what is shorter can be tried out against one recorded request."""

_HUB = "X-Hub-Signature-256"
_CHATWOOT = "X-Chatwoot-Signature"
_CHATWOOT_TIME = "X-Chatwoot-Timestamp"
_CHATWOOT_DELIVERY = "X-Chatwoot-Delivery"
_PREFIX = "sha256="


@dataclass(frozen=True, slots=True)
class LiveSecret:
    """One secret of a rotation, good before `until`, or for as long as it is listed."""

    proves: Proof = field(repr=False)
    until: UnixMs | None = None

    def is_live(self, now: UnixMs) -> bool:
        return self.until is None or now < self.until


def is_signed(secrets: Iterable[LiveSecret], headers: Headers, body: bytes, now: UnixMs) -> bool:
    """Whether any live secret signed these bytes."""
    return any([one.proves(headers, body, now) for one in secrets if one.is_live(now)])  # noqa: C419 - all are tried


def request_id(scheme: SignatureName, headers: Headers) -> str | None:
    """What a repeat of the same signed request bears again; None where two requests may well be alike.

    Ask only once the signature is verified. It tells no repeat itself: a `hub` signature is of the body alone, and
    Chatwoot's of the second and the body, where on, off and on again within a second are one signature twice.
    """
    name = {"standard": ID_HEADER, "chatwoot": _CHATWOOT_DELIVERY, "hub": None}[scheme]
    return None if name is None else headers.get(name) or None


def proof_of(scheme: SignatureName, secret: str) -> Proof:
    """Raises ValueError, which never holds the secret, for one that cannot be used."""
    if scheme == "standard":
        return _standard(secret)
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(
            f"a secret of at least {SHORTEST_SECRET} characters is wanted: the platform's own, as it shows it"
        )
    return _hub(secret.encode()) if scheme == "hub" else _chatwoot(secret.encode())


def _standard(secret: str) -> Proof:
    matchers = (matcher_of(hmac_signer(secret)),)

    def proves(headers: Headers, body: bytes, now: UnixMs) -> bool:
        message_id, timestamp, signature = map(headers.get, (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
        return check(message_id, timestamp, signature, body, matchers=matchers, now=now) is Check.VERIFIED

    return proves


def _hub(key: bytes) -> Proof:
    def proves(headers: Headers, body: bytes, now: UnixMs) -> bool:  # noqa: ARG001 - this scheme knows no time
        digest, said = hmac.digest(key, body, hashlib.sha256), header_bytes(headers.get(_HUB, ""))
        in_base64 = hmac.compare_digest(_prefixed(base64.b64encode(digest)), said)
        return hmac.compare_digest(_prefixed(digest.hex().encode()), said.lower()) or in_base64

    return proves


def _chatwoot(key: bytes) -> Proof:
    def proves(headers: Headers, body: bytes, now: UnixMs) -> bool:
        stamp = headers.get(_CHATWOOT_TIME, "")
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12):
            return False
        digest = hmac.digest(key, b"%b.%b" % (stamp.encode(), body), hashlib.sha256)
        is_ours = hmac.compare_digest(
            _prefixed(digest.hex().encode()), header_bytes(headers.get(_CHATWOOT, ""))
        )
        return is_ours and abs(now - int(stamp) * 1000) <= TOLERANCE_S * 1000

    return proves


def _prefixed(digest: bytes) -> bytes:
    return _PREFIX.encode() + digest
