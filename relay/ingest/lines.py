"""Newline-delimited JSON: each line is checked as it arrives, all of them are applied once the last one is here.

pieces of a body ─► whole lines ─► fields ─► events, kept        a bad line ends it at once: nothing is applied
                      └ the rest of a line, at most one event's bytes
"""

from relay.ingest.events import Event, EventReader
from relay.ingest.refusals import not_json, too_large, too_many_blank_lines, too_many_events

MOST_BLANK = 2000
"""Four to each event of a full body, by its default."""


class Lines:
    """One body: `feed` it piece by piece, then `end`. Both raise Rejected (400, 413, 422)."""

    def __init__(self, reader: EventReader, *, max_events: int, max_line_bytes: int) -> None:
        self._reader = reader
        self._max_events = max_events
        self._max_line_bytes = max_line_bytes
        self._events: list[Event] = []
        self._rest = bytearray()
        self._blank = 0

    def feed(self, piece: bytes) -> None:
        first, *others = piece.split(b"\n")
        self._extend(first)
        for other in others:
            self._close_line()
            self._extend(other)

    def end(self) -> list[Event]:
        """The events; there is at least one. The last line needs no line break."""
        self._close_line()
        if not self._events:
            raise not_json()
        return self._events

    def _extend(self, part: bytes) -> None:
        self._rest += part
        if len(self._rest) > self._max_line_bytes:
            raise too_large(self._max_line_bytes)

    def _close_line(self) -> None:
        """Blank lines are skipped; a megabyte of nothing else would hold the loop for half a second."""
        line = bytes(self._rest)
        self._rest.clear()
        if not line.strip():
            self._blank += 1
            if self._blank > MOST_BLANK:
                raise too_many_blank_lines(MOST_BLANK)
            return
        if len(self._events) == self._max_events:
            raise too_many_events(self._max_events)
        self._events.append(self._reader.line(line, len(self._events)))
