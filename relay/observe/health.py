"""Alive and ready, as values: what a probe is told and why.

Alive is the loop alone: a restart would help. Ready is everything a request needs: a restart would not.
"""

from dataclasses import dataclass

from relay.core.moments import Ms

ALIVE_LAG_MS: Ms = 1000
"""A loop this late is not alive: every promise on timing is broken by then."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing readiness needs; `reason` says why it fails, or what is special though it holds."""

    name: str
    is_ok: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """What `GET /healthz` and `GET /readyz` answer. `generation` counts the settings the process has run with."""

    lag_ms: Ms
    checks: tuple[Check, ...] = ()
    generation: int = 1

    @property
    def is_alive(self) -> bool:
        return self.lag_ms < ALIVE_LAG_MS

    @property
    def is_ready(self) -> bool:
        return self.is_alive and all(check.is_ok for check in self.checks)

    def shown(self) -> dict[str, object]:
        """JSON-ready, with every check, failing or not."""
        return {
            "status": "ready" if self.is_ready else "not ready",
            "lagMs": round(self.lag_ms, 1),
            "configGeneration": self.generation,
            "checks": [
                {"name": check.name, "ok": check.is_ok, "reason": check.reason} for check in self.checks
            ],
        }
