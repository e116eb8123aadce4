"""What an endpoint asks for must be something there is: a misspelt filter would be silence, and nobody would know.

events = ["sesion.*"]  ─► pattern 1 fits none; did you mean session.*?
"""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from relay.core.delivery import matches


def problems(patterns: Sequence[str], names: Sequence[str], what: str) -> Iterator[str]:
    """Each pattern that fits none of `names`, by its place in the list and never by its text.

    `what` is what the names are: "known event", "configured gateway". `*` alone fits whatever there will be.
    """
    if not patterns:
        yield f'none is named, so nothing would be sent: ["*"] is every {what}'
    for place, pattern in enumerate(patterns, start=1):
        if pattern != "*" and not any(matches((pattern,), name) for name in names):
            yield f"pattern {place} fits no {what}{_hint(pattern, names)}"


def _hint(pattern: str, names: Sequence[str]) -> str:
    near = get_close_matches(pattern, [*names, *_beginnings(names)], n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names)}" if names else ""


def _beginnings(names: Iterable[str]) -> Iterator[str]:
    """`session.*` of `session.typing`."""
    return (f"{name.partition('.')[0]}.*" for name in names if "." in name)
