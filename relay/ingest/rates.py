"""How many requests, bytes and events a second one caller may send: three buckets of `core/bucket`."""

from relay.core.bucket import Bucket, room, take, taken, wait_ms
from relay.core.moments import Ms
from relay.ingest.refusals import too_many
from relay.settings.upstream import Source


class Rates:
    """One source's three buckets; `admit_…` raise Rejected (429)."""

    __slots__ = ("_bytes", "_events", "_requests")

    whose = "this source's"

    def __init__(self, source: Source) -> None:
        self._requests = Bucket(source.requests_per_s)
        self._bytes = Bucket(source.bytes_per_s)
        self._events = Bucket(source.events_per_s)

    def use(self, source: Source) -> None:
        """New rates; what was taken at the old ones is still waited for."""
        self._requests.per_s = source.requests_per_s
        self._bytes.per_s = source.bytes_per_s
        self._events.per_s = source.events_per_s

    def admit_request(self, size_bytes: int, now: Ms) -> None:
        """Before a body is parsed; `size_bytes` is 0 where nobody knows it yet (see `book_bytes`)."""
        if wait := taken(self._requests, 1, now):
            raise too_many(f"{self.whose} requests_per_s", wait)
        if wait := taken(self._bytes, size_bytes, now):
            raise too_many(f"{self.whose} bytes_per_s", wait)

    def book_bytes(self, size_bytes: int, now: Ms) -> None:
        """What came without having been announced: it is here, so only the next one waits for it."""
        take(self._bytes, size_bytes, now)

    def admit_events(self, count: int, now: Ms) -> None:
        if wait := taken(self._events, count, now):
            raise too_many(f"{self.whose} events_per_s", wait)

    def frame_wait_ms(self, size_bytes: int, now: Ms) -> Ms:
        """How long a stream is to wait before its next frame, which costs one event until more are found in it."""
        return max(wait_ms(self._events, 1, now), wait_ms(self._bytes, size_bytes, now))

    def is_frame_taken(self, size_bytes: int, now: Ms) -> bool:
        """True if it need not wait; then it is booked."""
        if wait_ms(self._bytes, size_bytes, now) or taken(self._events, 1, now):
            return False
        take(self._bytes, size_bytes, now)
        return True

    def frame_room(self, now: Ms) -> tuple[int, int]:
        """How many frames, and of how many bytes together, may pass now."""
        return room(self._events, now), room(self._bytes, now)

    def book_frames(self, count: int, size_bytes: int, now: Ms) -> None:
        take(self._bytes, size_bytes, now)
        take(self._events, count, now)

    def book_events(self, count: int, now: Ms) -> None:
        """Of a stream: they are taken, and its next frame waits for them."""
        take(self._events, count, now)

    def is_unused(self, now: Ms) -> bool:
        """True where nothing of it is used, so that new ones would be the same."""
        return max(self._requests.clear_at, self._bytes.clear_at, self._events.clear_at) <= now
