"""Do the proofs prove anything? Each planted bug must break at least one of them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from types import ModuleType

import pytest

from relay.core.indicator import Indicator
from tests.core import test_actor, test_deadlines, test_pacer, test_session, test_settling
from tests.core.lives import live
from tests.core.planted import BUGS, Bug
from tests.core.small_world import PLATFORMS, latencies, lived, scripts

Proof = Callable[[], object]


def proofs() -> Iterator[Proof]:
    """From the quickest to the slowest: the tables, the plain sentences, random lives, the small world."""
    for cell in test_actor.CELLS:
        yield partial(test_actor.test_each_cell_does_what_the_design_says, *cell)
    for rows, indicator in TABLES:
        for row in rows.values():
            yield partial(test_pacer.expect, row, indicator)
    for module in (test_actor, test_pacer, test_session, test_settling, test_deadlines):
        yield from sentences(module)
    for seed in range(300):
        yield partial(live, seed)
    for words, answers in product(scripts(3), latencies(1)):
        yield partial(lived, words, answers, PLATFORMS[0])


TABLES = (
    (test_pacer.WANT_TYPING, Indicator.TYPING),
    (test_pacer.WANT_PAUSED, Indicator.PAUSED),
    (test_pacer.WANT_STOPPED, Indicator.STOPPED),
)


def sentences(module: ModuleType) -> Iterator[Proof]:
    """The module's tests, parametrised ones with each of their rows; hypothesis' own are too slow here."""
    for name, test in vars(module).items():
        if name.startswith("test_") and not hasattr(test, "hypothesis"):
            yield from rows_of(test)


def rows_of(test: Callable[..., object]) -> Iterator[Proof]:
    marks = [mark.args for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    columns = [[named(names, row) for row in rows] for names, rows in marks]
    for chosen in product(*columns):
        arguments = {name: value for column in chosen for name, value in column.items()}
        yield partial(test, **arguments)


def named(names: str | Sequence[str], row: object) -> dict[str, object]:
    """What pytest makes of one row of a `parametrize`."""
    if isinstance(names, str):
        return {names: row}
    assert isinstance(row, tuple)
    return dict(zip(names, row, strict=True))


def is_caught() -> bool:
    return any(fails(proof) for proof in proofs())


def fails(proof: Proof) -> bool:
    """A promise broken, or a machine that cannot even go on."""
    try:
        proof()
    except (AssertionError, LookupError, RuntimeError):
        return True
    return False


@pytest.mark.parametrize("bug", BUGS, ids=[bug.__name__ for bug in BUGS])
def test_no_planted_bug_survives_the_proofs(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    assert is_caught()


def test_without_a_bug_the_proofs_hold() -> None:
    assert not is_caught()


def test_there_are_bugs_enough_to_trust_the_proofs() -> None:
    assert len(BUGS) >= 15
