"""What one actor of one session may use, by its tickets, of what its source may.

A page is not as trusted as the back end that got it a ticket: it must not be able to use up the rates and streams the
back end lives on. Remembered while there is something to remember: a share nobody used for some seconds, and that
has no stream, is the same as a new one and goes when others come.
"""

from collections import OrderedDict

from relay.core.moments import Ms
from relay.core.ticket import Ticket
from relay.ingest.rates import Rates
from relay.settings.upstream import Source

TICKET = Source(requests_per_s=20, events_per_s=20, bytes_per_s=65_536, max_streams=4)
"""Every keystroke of the quickest typist (15 a second were seen, for seconds), and a page open in four tabs."""

MOST_EVENTS = 40
"""At once, by ticket: two seconds' worth. A larger batch would be the source's to pay for."""

_LOOKED_AT = 2
"""Of the longest unused, whenever one is added: they shrink twice as quickly as they grow."""


class SharedRates(Rates):
    """Requests are paid for twice, here and by the source. Frames are not: they stand in both lines (`Stream.lines`)."""

    __slots__ = ("_source",)

    whose = "this ticket's"

    def __init__(self, source: Rates) -> None:
        super().__init__(TICKET)
        self._source = source

    def admit_request(self, size_bytes: int, now: Ms) -> None:
        super().admit_request(size_bytes, now)
        self._source.admit_request(size_bytes, now)

    def book_bytes(self, size_bytes: int, now: Ms) -> None:
        super().book_bytes(size_bytes, now)
        self._source.book_bytes(size_bytes, now)

    def admit_events(self, count: int, now: Ms) -> None:
        super().admit_events(count, now)
        self._source.admit_events(count, now)


class Share:
    """One actor's, in one session."""

    __slots__ = ("rates", "streams")

    def __init__(self, source: Rates) -> None:
        self.rates = SharedRates(source)
        self.streams = 0
        """Open now."""

    @property
    def is_full(self) -> bool:
        return self.streams >= TICKET.max_streams

    def is_idle(self, now: Ms) -> bool:
        return not self.streams and self.rates.is_unused(now)


class Shares:
    """Of one source. As many as were used in the last seconds or have a stream, and few more."""

    __slots__ = ("_by_bearer", "_source")

    def __init__(self, source: Rates) -> None:
        self._source = source
        self._by_bearer: OrderedDict[tuple[str, str, str], Share] = OrderedDict()  # longest unused first

    def __len__(self) -> int:
        return len(self._by_bearer)

    def of(self, ticket: Ticket, now: Ms) -> Share:
        bearer = (ticket.gateway, ticket.address.session_id, ticket.actor)
        share = self._by_bearer.get(bearer)
        if share is None:
            self._forget_idle(now)
            share = self._by_bearer[bearer] = Share(self._source)
        self._by_bearer.move_to_end(bearer)
        return share

    def _forget_idle(self, now: Ms) -> None:
        for _ in range(min(_LOOKED_AT, len(self._by_bearer))):
            bearer, share = self._by_bearer.popitem(last=False)
            if not share.is_idle(now):
                self._by_bearer[bearer] = share
