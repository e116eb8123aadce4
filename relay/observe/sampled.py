"""One line in ten seconds for what an outsider can cause at will; the rest is counted, not written."""

from dataclasses import dataclass, field

from relay.core.moments import Ms

EVERY_MS: Ms = 10_000
_KINDS_AT_MOST = 256  # kinds are exception names of our own code's making; this only bounds a mistake


@dataclass(slots=True)
class _Kind:
    quiet_until: Ms
    unsaid: int = 0


@dataclass(slots=True)
class Sampled:
    """Says when to speak about a kind of thing again."""

    every_ms: Ms = EVERY_MS
    _kinds: dict[str, _Kind] = field(default_factory=dict)

    def unsaid(self, kind: str, now: Ms) -> int | None:
        """None: keep quiet, it is counted. Else speak, and say that this many went unsaid before."""
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= _KINDS_AT_MOST:
                return None
            known = self._kinds[kind] = _Kind(quiet_until=now)
        if now < known.quiet_until:
            known.unsaid += 1
            return None
        unsaid, known.unsaid = known.unsaid, 0
        known.quiet_until = now + self.every_ms
        return unsaid
