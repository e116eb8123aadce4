"""What the integrations have in common: a client of either kind, and whom a framework's own data is about."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

log = logging.getLogger("relay.integrations")

T = TypeVar("T")


class Place(NamedTuple):
    """The session, and its guest: a gateway of kind `guest` needs both, and a UUID for the session."""

    session_id: str
    guest_id: str | None = None


class Use(Protocol):
    """What `thinking` of either client gives; nothing of it waits or raises."""

    def begin(self) -> None: ...
    def answered(self) -> None: ...
    def end(self) -> None: ...


class Client(Protocol):
    """`RelayClient` or `BlockingRelayClient`."""

    def thinking(self, session_id: str, guest_id: str | None = None) -> Use: ...


def _place(found: object) -> Place | None:
    if found is None or isinstance(found, Place):
        return found
    raise TypeError("a Place is wanted, or None")


class Finding:
    """`find`, without its mistakes: where data does not have the shape it expects, nobody is thinking.

    A framework's callback must not fail for the sake of an indicator; the log says once that there was no session `where`
    one was looked for. For a webhook, which may be asked other things too, that is one line too many and no more.
    """

    def __init__(self, find: Callable[[T], Place | None], *, where: str) -> None:
        self._find: Callable[[Any], Place | None] = find  # Any: each framework's own data, as it came
        self._where = where
        self._is_said = False

    def __call__(self, told: object) -> Place | None:
        try:
            place = _place(self._find(told))
        except Exception as why:  # noqa: BLE001 - somebody else's function, and what it raises would be the bot's answer
            self._say(f" ({type(why).__name__})")
            return None
        if place is None:
            self._say("")
        return place

    def _say(self, why: str) -> None:
        if not self._is_said:
            log.warning(
                "no session to be found in %s%s: nobody is told that the bot is at work; this is said once",
                self._where,
                why,
            )
        self._is_said = True
