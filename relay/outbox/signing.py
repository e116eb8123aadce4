"""From an endpoint's configured secrets to the keys that sign for it."""

from collections.abc import Iterable

from relay import ed25519
from relay.core.moments import unix_ms_of
from relay.core.signature import Keys, Secret, Signer, hmac_signer
from relay.settings.endpoint import SigningSecret


def keys_of(secrets: Iterable[SigningSecret]) -> Keys:
    """Newest first, as configured. Raises ValueError, which never holds a secret, where one cannot sign."""
    return Keys(Secret(_signer(one.secret.get_secret_value()), unix_ms_of(one.until)) for one in secrets)


def _signer(secret: str) -> Signer:
    return ed25519.signer(secret) if secret.startswith(ed25519.SIGNING_PREFIX) else hmac_signer(secret)
