"""The only door to cryptography (extra `ed25519`): signatures `v1a`, for trackers that are not to hold a secret.

    whsk_  base64 of the 32-byte seed, or of seed and public key (64 bytes, as Svix writes it)   signs
    whpk_  base64 of the 32-byte public key                                                       only verifies

Signatures are ed25519 (RFC 8032) over the same bytes as `v1`; see `relay.core.signature`. The library is loaded when
the first such key is read, so that nobody else needs it.
"""

import base64
import binascii
from importlib.util import find_spec
from typing import TYPE_CHECKING

from relay.core.signature import Matcher, Signer, bytes_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNING_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"
INSTALL = "pip install cryptography"

_VERSION = "v1a,"
_SEED_BYTES = 32
_PUBLIC_BYTES = 32
_SIGNING_FORM = "an ed25519 signing secret is `whsk_` and the base64 of a 32-byte seed, with or without its 32-byte public key"
_PUBLIC_FORM = "an ed25519 public key is `whpk_` and the base64 of 32 bytes"


def signer(secret: str) -> Signer:
    """Signs as `v1a` with a `whsk_` secret.

    Raises ValueError, which never holds the secret: its form is wrong, or the extra is not installed.
    """
    private = _private_key(secret)
    return lambda signed: _VERSION + base64.b64encode(private.sign(signed)).decode()


def public_key_of(secret: str) -> str:
    """The `whpk_` that belongs to a `whsk_`: what a tracker is given. Raises ValueError as `signer` does."""
    return PUBLIC_PREFIX + base64.b64encode(_private_key(secret).public_key().public_bytes_raw()).decode()


def matcher(public_key: str) -> Matcher:
    """Recognises `v1a` entries made with the secret half of a `whpk_`. Raises ValueError as `signer` does."""
    held = bytes_of(public_key, PUBLIC_PREFIX, form=_PUBLIC_FORM)
    if len(held) != _PUBLIC_BYTES:
        raise ValueError(f"this one holds {len(held)} bytes, and {_PUBLIC_FORM}")
    _need_library()
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - an extra

    public = Ed25519PublicKey.from_public_bytes(held)

    def matches(signed: bytes, entry: bytes) -> bool:
        signature = _signature_in(entry)
        if signature is None:
            return False
        try:
            public.verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    return matches


def _signature_in(entry: bytes) -> bytes | None:
    version = _VERSION.encode()
    if not entry.startswith(version):
        return None
    try:
        return base64.b64decode(entry.removeprefix(version), validate=True)
    except binascii.Error:
        return None


def _private_key(secret: str) -> "Ed25519PrivateKey":
    held = bytes_of(secret, SIGNING_PREFIX, form=_SIGNING_FORM)
    if len(held) not in {_SEED_BYTES, _SEED_BYTES + _PUBLIC_BYTES}:
        raise ValueError(f"this one holds {len(held)} bytes, and {_SIGNING_FORM}")
    _need_library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - an extra

    private = Ed25519PrivateKey.from_private_bytes(held[:_SEED_BYTES])
    if held[_SEED_BYTES:] not in (b"", private.public_key().public_bytes_raw()):
        raise ValueError(f"the public key in this one is not its seed's, and {_SIGNING_FORM}")
    return private


def _need_library() -> None:
    if find_spec("cryptography") is None:
        raise ValueError(f"ed25519 keys need the extra `ed25519`, which is not installed: {INSTALL}")
