"""What programs around a relay use of it: for trackers, `verify`. Loads no server, and no library but orjson."""

from relay.client.verifying import Event, VerificationFailed, verify

__all__ = ["Event", "VerificationFailed", "verify"]
