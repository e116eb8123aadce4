"""Signed requests: Standard Webhooks from a source to us, for senders that can sign and not keep a bearer key.

    X-Relay-Source: crm          whose secrets to try
    webhook-id, webhook-timestamp, webhook-signature, over the raw bytes of the body

Whatever is wrong is one answer. Every live secret is tried with every `v1` entry, whichever fits. How long it takes may
tell whether a source signs at all: its name is no secret.
"""

from relay.core.moments import UnixMs, unix_ms_of
from relay.core.signature import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Check,
    Keys,
    Secret,
    hmac_signer,
)
from relay.ingest.hosts import Headers
from relay.settings.models import Settings
from relay.settings.upstream import Source

SOURCE_HEADER = "X-Relay-Source"


class Signers:
    """The secrets of every source that signs."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError, which never holds a secret, where one cannot be used; the settings have seen to it."""
        self._keys = {name: _keys(one) for name, one in settings.sources.items() if _signs(one)}

    def source(self, headers: Headers, body: bytes, now: UnixMs) -> str | None:
        """Who signed these bytes just now, or None."""
        name = headers[SOURCE_HEADER]
        keys = self._keys.get(name)
        if keys is None:
            return None
        found = keys.verify(
            headers.get(ID_HEADER),
            headers.get(TIMESTAMP_HEADER),
            headers.get(SIGNATURE_HEADER),
            body,
            now=now,
        )
        return name if found is Check.VERIFIED else None


def _signs(source: Source) -> bool:
    """Secrets beside an adapter are its platform's, for `POST /v1/sources/{source}` alone."""
    return bool(source.secrets) and source.adapter is None


def _keys(source: Source) -> Keys:
    return Keys(
        Secret(
            hmac_signer(one.secret.get_secret_value()),
            unix_ms_of(one.until),
        )
        for one in source.secrets
    )
