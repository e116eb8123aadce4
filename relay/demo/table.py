"""Figures with their names: one list that becomes a table for people and JSON for machines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from relay.sandbox.replay import Figures

GAP = "  "


class As(Enum):
    """How a figure is written for people."""

    COUNT = "count"
    RATIO = "ratio"
    SHARE = "share"
    MS = "ms"


@dataclass(frozen=True, slots=True)
class Row:
    """`key` names it in JSON, `label` in the table; a share is 0..1."""

    key: str
    label: str
    value: float
    written: As = As.COUNT

    @property
    def text(self) -> str:
        return _TEXT[self.written](self.value)


_TEXT: dict[As, Callable[[float], str]] = {
    As.COUNT: "{:,}".format,
    As.RATIO: "{:.3f}".format,
    As.SHARE: lambda value: f"{100 * value:.1f} %",
    As.MS: "{:,.0f} ms".format,
}


def figure_rows(seen: Figures) -> list[Row]:
    """What the guests saw, and what it cost."""
    return [
        Row("keys", "keys", seen.keys),
        Row("calls", "indicators accepted", seen.calls),
        Row("callsTyping", "  typing", seen.by_indicator.get("typing", 0)),
        Row("callsPaused", "  paused", seen.by_indicator.get("paused", 0)),
        Row("callsStopped", "  stopped", seen.by_indicator.get("typing_stopped", 0)),
        Row("callsPerKey", "indicators per key", seen.calls / seen.keys, As.RATIO),
        Row("fewestClairvoyant", "fewest a clairvoyant needs", seen.fewest_clairvoyant),
        Row("fewestOnline", "fewest without foresight", seen.fewest_online),
        Row("lapses", "lapses while somebody writes", seen.lapses),
        Row("lateStarts", "late starts", seen.late_starts),
        Row("darkShare", "dark while somebody writes", seen.dark_share, As.SHARE),
        Row("ghostMeanMs", "shown after the last key, mean", seen.ghost_mean_ms, As.MS),
        Row("ghostMaxMs", "shown after the last key, at most", seen.ghost_max_ms, As.MS),
    ]


def in_json(rows: Sequence[Row]) -> dict[str, float]:
    return {row.key: round(row.value, 4) for row in rows}


def table(*columns: Sequence[Row], headings: Sequence[str] = ()) -> str:
    """Labels to the left, a column of figures for each list of rows; the lists agree in their labels."""
    lines = [(same[0].label, *(row.text for row in same)) for same in zip(*columns, strict=True)]
    if headings:
        lines.insert(0, ("", *headings))
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(_line(cells, widths) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    label, *figures = cells
    right = [cell.rjust(width) for cell, width in zip(figures, widths[1:], strict=True)]
    return GAP.join([label.ljust(widths[0]), *right]).rstrip()
