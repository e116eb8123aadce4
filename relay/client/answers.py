"""What became of something that was told to a relay: a value, to be looked at or not.

status, headers, body ──► Answer(accepted, duplicates, stale)
no answer at all      ──► Answer(trouble=Trouble(AWAY | UNUSABLE | REFUSED, …))
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from relay import wire
from relay.core.moments import UnixMs
from relay.core.retry_after import parse_retry_after
from relay.errors import Rejected, RelayError, Unavailable

MOST_WORDS = 300
NO_ANSWER = 0
CLOSED = "this client is closed"


class Fault(Enum):
    """Where to look, and so what to do next."""

    AWAY = "away"  # the relay, or the way to it: the same again later may be taken
    CROWDED = "crowded"  # no room for the new sessions it names; those alive go on
    UNUSABLE = "unusable"  # what was told: the same again would be refused again
    REFUSED = "refused"  # the key or the address: anything would be refused


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing was taken. `status` is 0 where there was no answer; `problems` are (field, what is wanted)."""

    fault: Fault
    status: int
    words: str
    problems: tuple[tuple[str, str], ...] = ()
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """How many events were accepted, known already, or too late to count; or why none was."""

    accepted: int = 0
    duplicates: int = 0
    stale: int = 0
    trouble: Trouble | None = None

    @property
    def is_taken(self) -> bool:
        """The relay has it: what follows is the relay's promise."""
        return self.trouble is None

    def error(self) -> RelayError | None:
        """The trouble as something to raise: Rejected for what is the caller's, Unavailable for the rest."""
        found = self.trouble
        if found is None:
            return None
        if found.fault in {Fault.AWAY, Fault.CROWDED}:
            return Unavailable(found.words, retry_after_s=found.retry_after_s or 1.0)
        return Rejected(found.status, "Refused by the relay", found.words, problems=found.problems)

    def plus(self, other: "Answer") -> "Answer":
        return Answer(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.stale + other.stale,
            self.trouble or other.trouble,
        )


def away(words: str, *, status: int = NO_ANSWER, retry_after_s: float | None = None) -> Answer:
    return Answer(trouble=Trouble(Fault.AWAY, status, words, (), retry_after_s))


def answer_of(status: int, body: bytes, *, retry_after: str | None, wall: UnixMs) -> Answer:
    """What the relay's response means; anything that is not the relay's own 202 is trouble."""
    told = _object(body)
    if status == 202 and isinstance(told.get("accepted"), int):
        return Answer(_count(told, "accepted"), _count(told, "duplicates"), _count(told, "stale"))
    return refusal(status, told, retry_after_s=_wait_s(retry_after, wall))


def unopened(status: int, body: bytes, *, retry_after: str | None, wall: UnixMs) -> Answer:
    """Why there is no stream. No event is to blame that could be left out: it may be opened later, or not as it is."""
    why = _trouble(status, _object(body), _wait_s(retry_after, wall))
    fault = Fault.AWAY if _fault(status) is Fault.AWAY else Fault.REFUSED
    return Answer(trouble=replace(why, fault=fault))


def refusal(status: int, told: Mapping[str, wire.Json], *, retry_after_s: float | None = None) -> Answer:
    """The trouble in a problem document (RFC 9457), as far as it is one."""
    return Answer(trouble=_trouble(status, told, retry_after_s))


def _trouble(status: int, told: Mapping[str, wire.Json], retry_after_s: float | None) -> Trouble:
    words = _words(told.get("detail")) or "the answer is not a relay's: is this its public address?"
    problems = _problems(told)
    fault = Fault.CROWDED if status == 429 and problems else _fault(status)
    return Trouble(fault, status, words, problems, retry_after_s)


_FAULTS = {408: Fault.AWAY, 413: Fault.UNUSABLE, 422: Fault.UNUSABLE, 425: Fault.AWAY, 429: Fault.AWAY}
"""400 is not among them: a relay cannot read our bytes, so it is none, and everything would be refused."""


def _fault(status: int) -> Fault:
    return Fault.AWAY if status >= 500 else _FAULTS.get(status, Fault.REFUSED)


def _wait_s(retry_after: str | None, wall: UnixMs) -> float | None:
    wait_ms = parse_retry_after(retry_after, wall)
    return None if wait_ms is None else wait_ms / 1000


def _object(body: bytes) -> dict[str, wire.Json]:
    try:
        told = wire.loads(body)
    except wire.NotJson:
        return {}
    return told if isinstance(told, dict) else {}


def _count(told: dict[str, wire.Json], name: str) -> int:
    found = told.get(name)
    return found if isinstance(found, int) else 0


def _problems(told: Mapping[str, wire.Json]) -> tuple[tuple[str, str], ...]:
    listed = told.get("errors")
    pairs = listed if isinstance(listed, list) else []
    return tuple((_words(one.get("loc")), _words(one.get("msg"))) for one in pairs if isinstance(one, dict))


def _words(said: object) -> str:
    """As much of it as may stand in one line of a log: whoever answers here need not be a relay."""
    return said[:MOST_WORDS] if isinstance(said, str) and said.isprintable() else ""
