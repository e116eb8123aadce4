"""Making an API key: shown once, kept nowhere but as the two lines that recognise it."""

from base64 import b32encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from relay.ingest.credentials import PREFIX

_ID_BYTES = 5  # eight characters of base32: names a key in the settings, not meant to be secret
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewKey:
    """`key` is for the caller, `toml` for the relay's settings."""

    key: str = field(repr=False)
    toml: str


def new_key(source: str, *, random: Callable[[int], bytes]) -> NewKey:
    """A fresh key for `source`; `random` is `secrets.token_bytes` or a test's."""
    key_id = b32encode(random(_ID_BYTES)).decode().lower()
    secret = urlsafe_b64encode(random(_SECRET_BYTES)).decode().rstrip("=")
    key = f"{PREFIX}{key_id}_{secret}"
    digest = sha256(key.encode()).hexdigest()
    return NewKey(key, f'[[sources.{source}.keys]]\nid = "{key_id}"\nsha256 = "{digest}"\n')
