"""What the file should have been told and was not, because the medium failed: it is told when it can be.

Numbers of transitions that are lost go ahead of the next fact. Who is to be told what is not the file's to refuse: it
goes again with the next fact or mark, and always as it was said last. Belongs to the loop.
"""

from collections import Counter

from relay.core.engagement import Fact, Transition
from relay.core.indicator import SessionKey
from relay.outbox.sqlite.append import Addressing, Lost


class Owed:
    """Remembers at most `most` sessions; past that no gap shows."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lost: Counter[SessionKey] = Counter()
        self._addressing: Addressing | None = None
        self._is_unaddressed = False

    def said(self, addressing: Addressing) -> None:
        """What is handed over now; an earlier one need not be repeated."""
        self._addressing, self._is_unaddressed = addressing, False

    def lose(self, item: Fact | Lost | Addressing) -> None:
        """It did not reach the file."""
        if isinstance(item, Addressing):
            self._is_unaddressed = True
        elif isinstance(item, Transition | Lost) and (item.key in self._lost or len(self._lost) < self._most):
            self._lost[item.key] += item.numbers if isinstance(item, Lost) else 1

    def numbers(self) -> list[Lost]:
        """To be told ahead of the next fact; it is owed no more."""
        if not self._lost:
            return []
        lost, self._lost = self._lost, Counter()
        return [Lost(key, count) for key, count in lost.items()]

    def addressing(self) -> list[Addressing]:
        """As `numbers`; one at most."""
        if not self._is_unaddressed or self._addressing is None:
            return []
        self._is_unaddressed = False
        return [self._addressing]
