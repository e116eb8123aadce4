"""Host names looked up on threads of one's own.

aiohttp's own resolver takes the loop's executor, six threads on two cores: six trackers whose names hang would hold up
every other's look-up, and the platform's; and the end of the loop waits for them.
"""

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

MOST_LOOK_UPS: Final = 2
"""At once, of one owner: its own name and its proxy's. aiohttp asks for a name once in ten seconds."""

Infos = Sequence[tuple[int, int, int, str, tuple[Any, ...]]]  # Any: an address of either family


class Names(AbstractResolver):
    """Looks names up with the system's own resolver, which cannot be called off: on a thread each, few at once."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._under_way = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError where there is none such, or none within the time; UnicodeError for what is no name."""
        if self._under_way >= MOST_LOOK_UPS:
            raise OSError("earlier look-ups of this owner's names hang")
        answer: asyncio.Future[Infos] = asyncio.get_running_loop().create_future()
        # A daemon: the end of the process does not wait for it.
        thread = threading.Thread(
            target=self._look_up, args=(answer, host, port, family), name="dns", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as why:  # the machine, or our share of it, has no thread left
            raise OSError("no thread could be had for the look-up") from why
        self._under_way += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                return [_result(host, info) for info in await answer]
        except TimeoutError:
            raise OSError("the look-up took too long") from None

    async def close(self) -> None:
        """What hangs ends by itself."""

    def _look_up(
        self, answer: "asyncio.Future[Infos]", host: str, port: int, family: socket.AddressFamily
    ) -> None:
        found: Infos | Exception
        try:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        except Exception as why:  # noqa: BLE001 - whatever it is, it is the caller's to hear
            found = why
        with suppress(RuntimeError):  # the loop is gone: nobody is left to tell
            answer.get_loop().call_soon_threadsafe(self._found, answer, found)

    def _found(self, answer: "asyncio.Future[Infos]", found: Infos | Exception) -> None:
        self._under_way -= 1
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)


def _result(host: str, info: tuple[int, int, int, str, tuple[Any, ...]]) -> ResolveResult:  # Any: as above
    family, _, proto, _, (address, port, *_) = info
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=proto, flags=flags)
