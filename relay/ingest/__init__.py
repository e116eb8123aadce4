"""Doors in: who calls, what they say, and an answer that loses nothing."""

from relay.ingest.credentials import Credentials
from relay.ingest.doors import Doors
from relay.ingest.hosts import HostRule
from relay.ingest.intake import Beyond
from relay.ingest.keys import NewKey, new_key
from relay.ingest.listener import Listener, assert_compiled_parser, http_options
from relay.ingest.orders import BroadcastRequest, BroadcastResult

__all__ = [
    "Beyond",
    "BroadcastRequest",
    "BroadcastResult",
    "Credentials",
    "Doors",
    "HostRule",
    "Listener",
    "NewKey",
    "assert_compiled_parser",
    "http_options",
    "new_key",
]
