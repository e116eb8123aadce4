"""Who asks while ingest is measured: raw connections that cost the other core as little as can be."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from hmac import digest
from itertools import islice
from typing import Protocol

WINDOW = 200
"""Frames of a stream on their way without an ack: two acks' worth, so that nobody waits for one."""

_ACK = re.compile(rb'\{"ack":(\d+)\}')
_OPENED = b"\r\n\r\n"
_HANDSHAKE = (
    "GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {key}\r\n\r\n"
)


class Caller(Protocol):
    """`answered` counts the events that were taken."""

    answered: int

    def close(self) -> None: ...


class RequestCaller(asyncio.Protocol):
    """One connection, one request at a time; counts the answers that are 202."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.answered = 0
        self._requests = requests
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        head = received.find(b"\r\n\r\n")
        if head < 0:
            return
        mark = received.find(b"Content-Length: ") + 16
        if len(received) < head + 4 + int(received[mark : received.find(b"\r\n", mark)]):
            return
        assert received.startswith(b"HTTP/1.1 202"), bytes(received[:200])
        assert self._transport is not None
        received.clear()
        self.answered += 1
        self._transport.write(next(self._requests))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class StreamCaller(asyncio.Protocol):
    """One WebSocket, a frame an event, each in a write of its own; counts the events that are acknowledged."""

    def __init__(self, key: str, frames: Iterator[bytes]) -> None:
        self.answered = 0
        self._key = key
        self._frames = frames
        self._sent = 0
        self._is_open = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_HANDSHAKE.format(key=self._key).encode())

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            assert data.startswith(b"HTTP/1.1 101"), data[:200]
            self._is_open = True
            data = data.partition(_OPENED)[2]
        for ack in _ACK.findall(data):
            self.answered = int(ack)
        assert b"error" not in data, data[:300]
        assert self._transport is not None
        for frame in islice(self._frames, self.answered + WINDOW - self._sent):
            self._transport.write(frame)
            self._sent += 1

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def framed(body: bytes) -> bytes:
    """A client's text frame of 126 bytes to 64 KiB, masked with zeros (RFC 6455 section 5.2)."""
    return b"\x81\xfe" + len(body).to_bytes(2) + bytes(4) + body


def signed(body: bytes, *, name: str, secret: bytes, number: int, now_s: Callable[[], float]) -> bytes:
    """The headers of a signed request (Standard Webhooks), each with an id of its own."""
    stamp = int(now_s())
    mac = digest(secret, b"msg_%d.%d.%b" % (number, stamp, body), sha256)
    return (
        b"X-Relay-Source: %b\r\nwebhook-id: msg_%d\r\nwebhook-timestamp: %d\r\nwebhook-signature: v1,%b\r\n"
        % (
            name.encode(),
            number,
            stamp,
            b64encode(mac),
        )
    )
