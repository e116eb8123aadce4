"""Lines in a terminal that are written over by the next ones; ANSI and nothing else."""

import shutil
from collections.abc import Sequence
from typing import TextIO

UP = "\x1b[{}A"
CLEAR_LINE = "\x1b[2K"
CLEAR_BELOW = "\x1b[J"


class Screen:
    """Shows a few lines in place. Longer ones are cut at the terminal's width: a wrapped line could not be found again."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown = 0

    def show(self, lines: Sequence[str]) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._out.write(over(self._shown, [line[:width] for line in lines]))
        self._out.flush()
        self._shown = len(lines)


def over(shown: int, lines: Sequence[str]) -> str:
    """The characters that put `lines` where `shown` lines stand now."""
    up = UP.format(shown) if shown else ""
    return up + "".join(f"{CLEAR_LINE}{line}\n" for line in lines) + CLEAR_BELOW
