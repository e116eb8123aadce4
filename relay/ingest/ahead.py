"""Frames that have come already: aiohttp reads ahead, and what is there need not be taken one by one.

    socket ─► aiohttp's queue ─► next frame, awaited ─► and with it the plain ones behind it ─► taken together

A frame of its own costs most by being alone: it is looked up, counted and remembered by itself. Only a look into the
queue tells what is in it, and aiohttp offers none (hence its pin); what is no plain event is left where it is.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

_TEXT = WSMsgType.TEXT


async def plain_frames(
    socket: web.WebSocketResponse[Any], most: int, may_pass: Callable[[int], bool]
) -> list[bytes]:
    """Up to so many text frames of one object each, without waiting; `may_pass(size)` books those it lets pass."""
    waiting: Any = socket._reader._buffer  # type: ignore[union-attr] # noqa: SLF001 - there is no other way to see it
    frames: list[bytes] = []
    while waiting and len(frames) < most:
        message, size_bytes = waiting[0]
        if message.type is not _TEXT or message.data[:1] != b"{" or not may_pass(size_bytes):
            break
        frames.append((await socket.receive()).data)
    return frames
