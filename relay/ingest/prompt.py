"""Requests that are answered in the very turn of the loop they arrive in.

    bytes ─► aiohttp's parser ─┬─► one whole request, and nobody before it ─► an answer ─► the socket
                               └─► anything else ─► aiohttp's own way: a task, a request, a response

A task, a request and a response of its own cost a small event as much as all that is checked and applied for it. HTTP
itself stays aiohttp's: what is looked at here has been through its parser, and everything unusual goes its way.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from aiohttp import hdrs
from aiohttp.http import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

Message: TypeAlias = tuple[RawRequestMessage, StreamReader]
Parsed: TypeAlias = tuple[Sequence[Message], bool, bytes]
"""(messages, whether another protocol begins, what is left of the bytes)."""

AtOnce = Callable[[RawRequestMessage, StreamReader], bytes | None]
"""The answer to a whole request, or None where it is to be answered at leisure; then nothing of its body was read."""

MOST_BODY_BYTES = 65_536
"""A larger body is read piece by piece, within its time."""

_NOTHING: Parsed = (), False, b""
_UNUSUAL = (hdrs.EXPECT, hdrs.ORIGIN)


class PromptParser:
    """Stands where a connection keeps aiohttp's parser, and hands on what `answered` does not see to."""

    __slots__ = ("_answered", "_parser", "last")

    def __init__(self, parser: Any, answered: Callable[[RawRequestMessage, StreamReader], bool]) -> None:
        # Any: compiled, and typed nowhere
        self._parser = parser
        self._answered = answered
        self.last: StreamReader | None = None
        """The body of the last request that was handed on."""

    def __getattr__(self, name: str) -> Any:
        """The rest of a parser is the parser's."""
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> Parsed:
        """What the parser made of `data`, without what has been answered."""
        parsed: Parsed = self._parser.feed_data(data)
        messages, is_other_protocol, _ = parsed
        if len(messages) == 1 and not is_other_protocol:
            message, payload = messages[0]
            if is_usual(message, payload) and self._answered(message, payload):
                self._parser.message_consumed()
                return _NOTHING
        if messages:
            self.last = messages[-1][1]
        return parsed


def is_usual(message: RawRequestMessage, payload: StreamReader) -> bool:
    """A whole small request of HTTP/1.1 on a connection that is to stay open, and of no browser's page."""
    is_whole = payload.is_eof() and payload.exception() is None and payload.total_bytes <= MOST_BODY_BYTES
    stays = message.version == HttpVersion11 and not message.should_close and not message.upgrade
    return is_whole and stays and not any(name in message.headers for name in _UNUSUAL)
