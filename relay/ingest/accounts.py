"""What the relay keeps of each source while it runs: how much it may still use, and what it sent before.

Nothing here is shared between sources: one that uses up its rates or floods its window of ids spends its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from relay.core.moments import Ms
from relay.core.signature import TOLERANCE_S
from relay.errors import Rejected
from relay.ingest.rates import Rates
from relay.ingest.seen import Seen
from relay.ingest.shares import Shares
from relay.observe.metrics import Metrics
from relay.observe.series import FORGOTTEN_IDS
from relay.settings.models import LOCAL, Settings
from relay.settings.upstream import Source

_REPLAY_WINDOW_MS: Ms = 2 * TOLERANCE_S * 1000
"""A request may be dated as far ahead as behind: its id is known for as long as its signature could be good."""

LONGEST_MESSAGE_ID = 256


class Account:
    """One source's rates, what its tickets may use of them, its events' ids, and its signed requests' ids."""

    __slots__ = ("_answering", "_requests", "ids", "leave_on_close", "max_streams", "rates", "shares")

    def __init__(self, source: Source, *, ids: Seen, requests: Seen) -> None:
        self.rates = Rates(source)
        self.shares = Shares(self.rates)
        self.leave_on_close = source.leave_on_close
        self.max_streams = source.max_streams
        self.ids = ids
        self._requests = requests
        self._answering: set[str] = set()

    def use(self, source: Source) -> None:
        """From now on as configured here; what was seen stays seen."""
        self.rates.use(source)
        self.leave_on_close = source.leave_on_close
        self.max_streams = source.max_streams

    def knows(self, message_id: str, now: Ms) -> bool:
        """True for a signed request that had its effect before.

        Call it once the signature is verified: a stranger must not use up an id. Raises Rejected (400, 429).
        """
        if len(message_id) > LONGEST_MESSAGE_ID:
            raise Rejected(400, "Bad webhook-id", f"at most {LONGEST_MESSAGE_ID} characters are wanted")
        if message_id in self._answering:
            raise Rejected(
                429, "Being answered", "this very request is still at work; ask again", retry_after_s=1
            )
        return self._requests.has(message_id, now)

    def remember(self, message_id: str, now: Ms) -> None:
        """It had its effect."""
        self._requests.remember((message_id,), now)

    @contextmanager
    def answering(self, message_id: str, now: Ms) -> Iterator[None]:
        """Around an answer that takes its time: it is remembered if the block ends well, and only then."""
        self._answering.add(message_id)
        try:
            yield
            self.remember(message_id, now)
        finally:
            self._answering.discard(message_id)


class Accounts:
    """One account for each source of the settings, or for `local` where there is none."""

    def __init__(self, settings: Settings, *, metrics: Metrics) -> None:
        self._forgotten = metrics.counter(FORGOTTEN_IDS)
        self._by_name: dict[str, Account] = {}
        self.use(settings)

    def __getitem__(self, source: str) -> Account:
        return self._by_name[source]

    def use(self, settings: Settings) -> None:
        """Follow the settings. A source that is gone keeps its account: its last request may still be at work."""
        sources = settings.sources or {LOCAL: Source()}
        for name, source in sources.items():
            account = self._by_name.get(name)
            if account is None:
                self._by_name[name] = self._opened(source, settings)
            else:
                account.use(source)
        self.origins = frozenset(page for source in sources.values() for page in source.origins)
        """Pages that any source lists."""

    def _opened(self, source: Source, settings: Settings) -> Account:
        server, forgotten = settings.server, self._forgotten
        window_ms, most = server.dedupe_window_s * 1000, server.dedupe_ids
        return Account(
            source,
            ids=Seen(window_ms=window_ms, limit=most, forgotten_early=forgotten),
            requests=Seen(window_ms=max(window_ms, _REPLAY_WINDOW_MS), limit=most, forgotten_early=forgotten),
        )
