"""Sessions at rest, packed: two short byte strings each.

Nearly all sessions alive are at rest. Packed, one takes a fifth of the memory, the collector never looks at it, and
those in which somebody acts lie closer together, which is half the price of a keystroke.
"""

from typing import Any

from relay import wire
from relay.core.indicator import Address, SessionKey
from relay.core.moments import Ms
from relay.core.rest import Remembered, Rest


class Resting:
    """Those of one gateway come to rest in the order in which they are forgotten: its tombstone is the process's."""

    def __init__(self) -> None:
        # Keys are bytes, as a table of text keys has to look at each of them again whenever it grows.
        self._by_gateway: dict[str, dict[bytes, bytes]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_gateway.values()))

    def __contains__(self, key: SessionKey) -> bool:
        return key[1].encode() in self._by_gateway.get(key[0], ())

    def get(self, key: SessionKey) -> Rest | None:
        packed = self._by_gateway.get(key[0], {}).get(key[1].encode())
        return None if packed is None else _unpacked(packed)

    def first(self, most: int) -> list[tuple[SessionKey, Rest]]:
        """Up to `most` of them, those who came to rest first before the others of their gateway."""
        found: list[tuple[SessionKey, Rest]] = []
        for gateway, packed in self._by_gateway.items():
            for session_id, rest in packed.items():
                if len(found) >= most:
                    return found
                found.append(((gateway, session_id.decode()), _unpacked(rest)))
        return found

    def put(self, key: SessionKey, rest: Rest) -> None:
        self._by_gateway.setdefault(key[0], {})[key[1].encode()] = _packed(rest)

    def discard(self, key: SessionKey) -> bool:
        """False where it was not there."""
        return self._by_gateway.get(key[0], {}).pop(key[1].encode(), None) is not None

    def forget(self, now: Ms, *, most: int) -> list[str]:
        """The sources of up to `most` sessions whose time is over, and which are gone now."""
        sources: list[str] = []
        for packed in self._by_gateway.values():
            over: list[bytes] = []
            for session_id, rest in packed.items():
                until, source = _head(rest)
                if until > now or len(sources) >= most:
                    break
                over.append(session_id)
                sources.append(source)
            for session_id in over:
                del packed[session_id]
        return sources


def _packed(rest: Rest) -> bytes:
    """Two lines: what forgetting asks for, and what waking does."""
    head, actors = (rest.until, rest.source), [tuple(actor) for actor in rest.actors]
    return b"\n".join((wire.dumps(head), wire.dumps((tuple(rest.address), actors))))


def _head(packed: bytes) -> tuple[Ms, str]:
    until, source = wire.loads(packed[: packed.index(b"\n")])
    return until, source


def _unpacked(packed: bytes) -> Rest:
    head, _, tail = packed.partition(b"\n")
    until, source = wire.loads(head)
    address, actors = wire.loads(tail)
    return Rest(Address(*address), source, until, tuple([_remembered(*actor) for actor in actors]))


def _remembered(*fields: Any) -> Remembered:  # as `_packed` wrote them
    exhausted = tuple((one, until) for one, until in fields[-1])
    return Remembered(*fields)._replace(exhausted=exhausted)
