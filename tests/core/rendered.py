"""The machine's two tables as Markdown, from the data the machine itself runs on (`relay/core/README.md`)."""

from collections.abc import Iterable

from relay.core.actor import CANNOT, TABLE, Cell, Fork, State
from relay.core.pacer import DECISIONS, Standing

VERBS = {  # what a cell's verb does, in a reader's words
    "_nothing": "",
    "_touch": "last := now",
    "_type": "last := now, fresh life",
    "_think": "counts at once, fresh lease and life",
    "_think_after_delay": "counts after the delay, fresh lease and life",
    "_think_anew": "fresh lease and life, a delay goes on",
    "_count": "counts from now",
    "_extend_lease": "lease := now + lease",
    "_hesitate": "stop := now + S (after a thought: fresh life)",
    "_fall_silent": "stop := last + S",
    "_outlive": "a thought's id is remembered",
}


def actor_table() -> str:
    """A row per input, a column per state; `=` stay, `*` the session's state is joined anew, `-` cannot be."""
    names = [f"{state.value} {state.name.lower()}" for state in State]
    rows = [[event.value, *(_cell(row[state]) for state in State)] for event, row in TABLE.items()]
    return _table(["input", *names], rows)


def pacer_table() -> str:
    """A row per wanted indicator, a column per standing; the words are the names of the rules."""
    rows = [
        [wanted.value, *(rules[at].__name__.replace("_", " ") for at in Standing)]
        for wanted, rules in DECISIONS.items()
    ]
    return _table(["wanted", *(at.value for at in Standing)], rows)


def _cell(cell: Cell | Fork) -> str:
    if isinstance(cell, Fork):
        return f"{cell.asks.__name__.replace('_', ' ')}: {_cell(cell.yes)}; else {_cell(cell.no)}"
    if cell is CANNOT:
        return "-"
    head = (cell.to.value if cell.to else "=") + ("*" if cell.recomputes else "")
    words = [VERBS[cell.does.__name__], f"counted `{cell.counted}`" if cell.counted else ""]
    return ", ".join([head, *filter(None, words)])


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
