"""What a look ends as: well, doubtful or wrong, in words an operator can act on. Never a secret."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"  # it works, and may not always
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` names what was looked at, `seen` what was found there, `fix` what to do (empty where all is well)."""

    level: Level
    about: str
    seen: str
    fix: str = ""

    @property
    def line(self) -> str:
        return f"{self.level:4}  {self.about}: {self.seen}" + (f"\n      → {self.fix}" if self.fix else "")

    @property
    def as_json(self) -> dict[str, str]:
        return {"level": self.level.value, "about": self.about, "seen": self.seen, "fix": self.fix}


def ok(about: str, seen: str) -> Finding:
    return Finding(Level.OK, about, seen)


def warn(about: str, seen: str, fix: str) -> Finding:
    return Finding(Level.WARN, about, seen, fix)


def fail(about: str, seen: str, fix: str) -> Finding:
    return Finding(Level.FAIL, about, seen, fix)


def is_well(findings: Iterable[Finding]) -> bool:
    """True where nothing failed; a warning is no failure."""
    return all(finding.level is not Level.FAIL for finding in findings)
