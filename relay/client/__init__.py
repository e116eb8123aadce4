"""What programs around a relay use of it. For trackers: `verify`. For bots and desktops: `RelayClient`.

Loads no server, no library but orjson, and of `RelayClient` nothing until it is asked for; aiohttp comes with its
first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from relay.client.verifying import Event, Headers, VerificationFailed, verify
from relay.errors import Rejected, RelayError, Unavailable

if TYPE_CHECKING:
    from relay.client.activity import ActivityEvent, ActorName, Kind, Told
    from relay.client.answers import Answer, Fault, Trouble
    from relay.client.blocking import BlockingRelayClient, BlockingStream, BlockingThinking
    from relay.client.calling import RelayClient
    from relay.client.settling import Counts
    from relay.client.streaming import Stream
    from relay.client.thinking import AsyncThinking, Thinking

__all__ = [
    "ActivityEvent",
    "ActorName",
    "Answer",
    "AsyncThinking",
    "BlockingRelayClient",
    "BlockingStream",
    "BlockingThinking",
    "Counts",
    "Event",
    "Fault",
    "Headers",
    "Kind",
    "Rejected",
    "RelayClient",
    "RelayError",
    "Stream",
    "Thinking",
    "Told",
    "Trouble",
    "Unavailable",
    "VerificationFailed",
    "verify",
]

_LATER = {
    "ActivityEvent": "activity",
    "ActorName": "activity",
    "Answer": "answers",
    "AsyncThinking": "thinking",
    "BlockingRelayClient": "blocking",
    "BlockingStream": "blocking",
    "BlockingThinking": "blocking",
    "Counts": "settling",
    "Fault": "answers",
    "Kind": "activity",
    "RelayClient": "calling",
    "Stream": "streaming",
    "Thinking": "thinking",
    "Told": "activity",
    "Trouble": "answers",
}
"""Where each is, for those who verify callbacks and want no event loop."""


if not TYPE_CHECKING:  # to a checker, which reads the imports above, every name would be one of ours

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"relay.client.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted(globals() | _LATER)
