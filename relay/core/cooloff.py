"""Gates that a platform's Retry-After closes: one for everybody, or one for each of those who have their own limit."""

from dataclasses import dataclass, field

from relay.core.moments import Ms


@dataclass(slots=True)
class CoolOffGate:
    """Closed until `until`; open from the start."""

    until: Ms = float("-inf")

    def close(self, until: Ms) -> None:
        """Later wins: an answer to an older request never re-opens what a newer one closed."""
        self.until = max(self.until, until)

    def wait_ms(self, now: Ms) -> Ms:
        """How long the gate stays closed, 0 if it is open."""
        return max(0.0, self.until - now)


MOST_GATES = 20_000


@dataclass(slots=True)
class CoolOffGates:
    """A gate for each name; at most `most` are remembered, and the one that was closed longest ago is open again."""

    most: int = MOST_GATES
    _gates: dict[str, CoolOffGate] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._gates)

    def close(self, name: str, until: Ms) -> None:
        gate = self._gates.pop(name, None) or CoolOffGate()
        gate.close(until)
        self._gates[name] = gate
        if len(self._gates) > self.most:
            del self._gates[next(iter(self._gates))]

    def wait_ms(self, name: str, now: Ms) -> Ms:
        gate = self._gates.get(name)
        return 0.0 if gate is None else gate.wait_ms(now)
