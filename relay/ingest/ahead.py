"""Frames that have come already: aiohttp reads ahead, and what is there need not be taken one by one.

    socket ─► aiohttp's queue ─► next frame, awaited ─► and with it the plain ones behind it ─► taken together

A frame of its own costs most by being alone: it is looked up, counted and remembered by itself. Only a look into the
queue tells what is in it, and aiohttp offers none (hence its pin); what is no plain event is left where it is.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

from aiohttp import WSMsgType, web

_TEXT = WSMsgType.TEXT


async def plain_frames(
    socket: web.WebSocketResponse[Any], most: int, passing: Callable[[list[int]], int]
) -> list[bytes]:
    """Up to so many text frames of one object each, without waiting.

    `passing` is told the sizes of those there are, and books and tells how many of the first may pass.
    """
    queue: Any = socket._reader  # noqa: SLF001 - there is no other way to see what has come
    sizes: list[int] = []
    for message, size_bytes in islice(queue._buffer, max(0, most)):  # noqa: SLF001 - likewise
        if message.type is not _TEXT or message.data[:1] != b"{":
            break
        sizes.append(size_bytes)
    if not sizes:
        return []
    # Not by `receive`: it looks at much else first, which nothing can have changed since the frame before these.
    return [(await queue.read()).data for _ in range(passing(sizes))]
