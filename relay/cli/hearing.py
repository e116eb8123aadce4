"""What `listen` makes of each delivery: believed or not and why, new or seen before, and the line that says so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from relay.cli.common import plain
from relay.client import Event, VerificationFailed, verify

KEPT_IDS = 100_000


@dataclass(frozen=True, slots=True)
class Heard:
    """One delivery: an event, or what speaks against it."""

    event: Event | None = None
    is_duplicate: bool = False
    failure: VerificationFailed | None = None

    @property
    def line(self) -> str:
        if self.event is None:
            return f"✗ {self._reason}: {self.failure}"
        event = self.event
        sequence = "" if event.sequence is None else f"#{event.sequence}"
        seen = "seen before" if self.is_duplicate else ""
        told = (
            f"{event.at:%H:%M:%S.%f}"[:-3],
            "✓",
            f"{plain(event.type):26}",
            plain(event.session_id or "-"),
            sequence,
            seen,
        )
        return " ".join(word for word in told if word)

    @property
    def as_json(self) -> dict[str, object]:
        if self.event is None:
            return {"verified": False, "reason": self._reason}
        event = self.event
        return {
            "verified": True,
            "duplicate": self.is_duplicate,
            "id": event.id,
            "type": event.type,
            "at": event.at,
            "sessionId": event.session_id,
            "sequence": event.sequence,
            "data": event.data,
        }

    @property
    def _reason(self) -> str:
        return self.failure.reason if self.failure else ""


@dataclass(slots=True)
class Ear:
    """Hears deliveries, and remembers the last hundred thousand ids."""

    secrets: tuple[str, ...] = field(repr=False)
    _ids: dict[str, None] = field(default_factory=dict, repr=False)

    def hear(self, headers: Mapping[str, str], body: bytes) -> Heard:
        """Raises ValueError where a secret cannot be used."""
        try:
            event = verify(headers, body, self.secrets)
        except VerificationFailed as why:
            return Heard(failure=why)
        return Heard(event, is_duplicate=not self._remember(event.id))

    def _remember(self, message_id: str) -> bool:
        """False for an id heard before."""
        if message_id in self._ids:
            return False
        self._ids[message_id] = None
        if len(self._ids) > KEPT_IDS:
            del self._ids[next(iter(self._ids))]
        return True


def usable(secrets: Iterable[str]) -> Ear:
    """An ear for these secrets. Raises ValueError where one cannot be used."""
    ear = Ear(tuple(secrets))
    ear.hear({}, b"")  # reads every secret before anything is held against them
    return ear
