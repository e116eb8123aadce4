"""Frames that have come already: aiohttp reads ahead, and what is there need not be taken one by one.

    socket ─► aiohttp's queue ─► next frame, awaited ─► and with it the plain ones behind it ─► taken together

A frame of its own costs most by being alone: it is looked up, counted and remembered by itself. Only a look into the
queue tells what is in it, and aiohttp offers none (hence its pin); what is no plain event is left where it is.
"""

from itertools import islice
from typing import Any

from aiohttp import WSMsgType, web

_TEXT = WSMsgType.TEXT


async def plain_frames(socket: web.WebSocketResponse[Any], most: int, most_bytes: int) -> list[bytes]:
    """Up to so many text frames of one object each, of so many bytes together, without waiting."""
    queue: Any = socket._reader  # noqa: SLF001 - there is no other way to see what has come
    count = 0
    for message, size_bytes in islice(queue._buffer, max(0, most)):  # noqa: SLF001 - likewise
        most_bytes -= size_bytes
        if message.type is not _TEXT or message.data[:1] != b"{" or most_bytes < 0:
            break
        count += 1
    # Not by `receive`: it looks at much else first, which nothing can have changed since the frame before these.
    return [(await queue.read()).data for _ in range(count)]
