"""What a stream has yet to say, and what it has said without an answer: bounded, in order, and every event counted."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from relay import wire
from relay.core.moments import Ms

MOST_BUFFERED = 1000
FRAME_BYTES = 32 * 1024
"""Half of what a relay takes in one frame by its default."""


@dataclass(frozen=True, slots=True)
class Said:
    """One event, written. `is_alone`: its frame was refused with others in it, so it gets one of its own. `place` is
    its own in the order in which all was said: the buffer gives it."""

    written: bytes
    expires_at: Ms
    is_keystroke: bool
    is_alone: bool = False
    place: int = field(default=0, compare=False)

    @property
    def session(self) -> wire.Json:
        """Its session's id, or whatever stands there."""
        return wire.loads(self.written).get("sessionId")


class Buffer:
    """What is to be sent, oldest first, and never more than `most` of it."""

    def __init__(self, *, most: int = MOST_BUFFERED) -> None:
        self._most = most
        self._said: deque[Said] = deque()
        self._puts = 0

    def __len__(self) -> int:
        return len(self._said)

    def put(self, said: Said) -> bool:
        """False if an older one had to give way: a keystroke if there is one."""
        self._puts += 1
        self._said.append(replace(said, place=self._puts))
        if len(self._said) <= self._most:
            return True
        place = next((n for n, one in enumerate(self._said) if one.is_keystroke), 0)
        del self._said[place]
        return False

    def put_back(self, said: Sequence[Said]) -> int:
        """To where it stood; how many there was no room for, as in `put` the oldest keystrokes first. Of frames that were
        refused one after the other the second must not stand before the first: a message would arrive before the
        keystrokes it ends."""
        merged = sorted([*said, *self._said], key=lambda one: one.place)
        too_many = max(0, len(merged) - self._most)
        dropped = set(sorted(range(len(merged)), key=lambda n: not merged[n].is_keystroke)[:too_many])
        self._said = deque(one for n, one in enumerate(merged) if n not in dropped)
        return too_many

    def frame(self, now: Ms, *, most: int, most_bytes: int = FRAME_BYTES) -> tuple[list[Said], int]:
        """What goes into the next frame, and how many were too old for it. One event goes whatever its size."""
        taken: list[Said] = []
        late = size = 0
        while self._said and len(taken) < most:
            one = self._said[0]
            if one.expires_at <= now:
                late += 1
            elif taken and (one.is_alone or size + len(one.written) > most_bytes):
                break
            else:
                taken.append(one)
                size += len(one.written)
            self._said.popleft()
            if taken and taken[-1].is_alone:
                break
        return taken, late


class OnTheirWay:
    """The frames of one socket that are not answered yet."""

    def __init__(self) -> None:
        self._frames: deque[tuple[int, list[Said]]] = deque()
        self._number = 0
        self._acked = 0

    def __len__(self) -> int:
        return sum(len(said) for _, said in self._frames)

    def sent(self, said: list[Said]) -> None:
        self._number += 1
        self._frames.append((self._number, said))

    def acked(self, count: int) -> int:
        """How many events `count`, the relay's sum since the socket opened, has settled."""
        settled = 0
        while self._frames and self._acked + len(self._frames[0][1]) <= count:
            _, said = self._frames.popleft()
            self._acked += len(said)
            settled += len(said)
        return settled

    def refused(self, number: int) -> list[Said]:
        """What was in that frame."""
        for place, (one, said) in enumerate(self._frames):
            if one == number:
                del self._frames[place]
                return said
        return []

    def sessions_after(self, number: int) -> list[wire.Json]:
        """Those that later frames speak of: none of them can be settled before that one is."""
        return [one.session for later, said in self._frames if later > number for one in said]

    def largest(self) -> tuple[int, list[Said]]:
        """(number, what was in it) of the frame of most bytes; nothing where none is on its way."""
        return max(self._frames, key=lambda frame: size_bytes(frame[1]), default=(0, []))

    def unanswered(self) -> Iterator[Said]:
        for _, said in self._frames:
            yield from said


def size_bytes(said: Sequence[Said]) -> int:
    return sum(len(one.written) for one in said)
