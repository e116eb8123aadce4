"""A listener nobody may reach: it counts who did."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from aiohttp.abc import AbstractResolver, ResolveResult


class Canary:
    """On 127.0.0.1 and ::1, one port. The kernel completes connections by itself: none can be missed."""

    def __init__(self, *listening: socket.socket) -> None:
        self._listening = listening
        self.port: int = listening[0].getsockname()[1]

    def connections(self) -> int:
        """How many were made since the last question."""
        return sum(map(_accepted, self._listening))


def _accepted(listening: socket.socket) -> int:
    count = 0
    with suppress(BlockingIOError):
        while True:
            listening.accept()[0].close()
            count += 1
    return count


@contextmanager
def listening_canary() -> Iterator[Canary]:
    with ExitStack() as stack:
        four = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        both = [four]
        with suppress(OSError):  # a machine without IPv6 has no ::1 to guard
            six = socket.create_server(("::1", four.getsockname()[1]), family=socket.AF_INET6)
            both.append(stack.enter_context(six))
        for each in both:
            each.settimeout(0)
        yield Canary(*both)


class Names(AbstractResolver):
    """Answers each question about any name with the next of `answers`, each a list of addresses; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=_family(address), proto=0, flags=0)
            for address in answer
        ]

    async def close(self) -> None:
        """Holds nothing."""


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
