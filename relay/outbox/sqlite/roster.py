"""Who is told what, and on which terms: looked at for each fact, and replaced whole when the settings are read again.

Belongs to the writer's thread, which makes a change fall between two facts.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

from relay.core.delivery import Filter
from relay.core.terms import Terms

Wanting = Callable[[str, str, str], tuple[str, ...]]
"""(event type, gateway, source) → the endpoints that want it."""


class Roster:
    """`limited` are the terms of endpoints whose deliveries have an end of their own."""

    wanting: Wanting
    filters: Mapping[str, Filter]
    terms: Mapping[str, Terms]
    limited: Mapping[str, Terms]

    def __init__(self, filters: Mapping[str, Filter], terms: Mapping[str, Terms]) -> None:
        self.use(filters, terms)

    def use(self, filters: Mapping[str, Filter], terms: Mapping[str, Terms]) -> None:
        """From now on these; `terms` are those of endpoints that are not served as usual."""
        self.filters, self.terms = filters, terms
        self.limited = {name: of for name, of in terms.items() if of.life_ms is not None}
        self.wanting = _wanting(filters)


def _wanting(filters: Mapping[str, Filter]) -> Wanting:
    @lru_cache(maxsize=4096)  # types x gateways x sources, all from the configuration
    def wanting(event: str, gateway: str, source: str) -> tuple[str, ...]:
        return tuple(name for name, want in filters.items() if want.admits(event, gateway, source))

    return wanting
