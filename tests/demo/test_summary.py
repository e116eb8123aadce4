"""The verdict: each kind of loss turns it red, and what is no loss does not."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from relay.core.delivery import State
from relay.core.indicator import Indicator
from relay.core.signature import Check
from relay.demo.books import Books
from relay.demo.summary import Summary, losses, summary_rows, summed_up
from relay.outbox.rows import Depth
from relay.sandbox.tracker import Ledger
from tests.demo.figures import SEEN

GOOD = Summary(
    figures=SEEN,
    posts=1000,
    keys_refused=0,
    too_many=0,
    server_errors=0,
    transitions=50,
    verified=210,
    unverified=0,
    duplicates=0,
    gaps=0,
    disorders=0,
    accepted=160,
    told=160,
    answers_lost=0,
    untold=0,
    unasked=0,
    recorded=210,
    pending=0,
    dead_letters=0,
    still_open=0,
)
CALL = ("s", Indicator.TYPING)
NO_ANSWER_LOST: Counter[tuple[str, Indicator]] = Counter()


def test_nothing_lost_is_nothing_said() -> None:
    assert list(losses(GOOD)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keys_refused": 3}, "keys refused"),
        ({"untold": 1}, "without a callback"),
        ({"unasked": 1}, "never accepted"),
        ({"unverified": 2}, "signature"),
        ({"gaps": 1}, "gaps"),
        ({"disorders": 1}, "after a later one"),
        ({"still_open": 1}, "stopped"),
        ({"pending": 4}, "pending"),
        ({"dead_letters": 1}, "dead letters"),
        ({"recorded": 211}, "never reached"),
    ],
)
def test_every_kind_of_loss_is_named(changes: dict[str, Any], words: str) -> None:
    (said,) = losses(replace(GOOD, **changes))
    assert words in said


@pytest.mark.parametrize(
    "changes",
    [
        {"figures": replace(SEEN, lapses=9, late_starts=9)},
        {"too_many": 9, "server_errors": 9},
        {"duplicates": 9},
        {"answers_lost": 9},
    ],
)
def test_what_is_ephemeral_repeated_or_foreseen_is_no_loss(changes: dict[str, Any]) -> None:
    assert list(losses(replace(GOOD, **changes))) == []


def summed(
    books: Books | None = None,
    ledger: Ledger | None = None,
    *,
    answers_lost: Counter[tuple[str, Indicator]] = NO_ANSWER_LOST,
    **by_state: int,
) -> Summary:
    depth = Depth({State(state): times for state, times in by_state.items()}, None, 0)
    return summed_up(
        books or Books(), ledger or Ledger(), depth, figures=SEEN, answers_lost=answers_lost, still_open=0
    )


def test_an_accepted_call_without_callback_is_lost() -> None:
    books = Books(accepted=Counter({CALL: 2}), told=Counter({CALL: 1}))
    assert (summed(books).untold, summed(books).events_lost) == (1, 1)


def test_a_callback_of_one_indicator_does_not_stand_for_another() -> None:
    books = Books(accepted=Counter({CALL: 1}), told=Counter({("s", Indicator.PAUSED): 1}))
    assert (summed(books).untold, summed(books).unasked) == (1, 1)


def test_a_call_whose_answer_never_came_may_have_no_callback() -> None:
    """The platform applied it, the relay cannot know."""
    books = Books(accepted=Counter({CALL: 2}), told=Counter({CALL: 1}))
    assert summed(books, answers_lost=Counter({CALL: 1})).untold == 0


def test_every_end_but_delivery_is_a_dead_letter() -> None:
    seen = summed(delivered=5, exhausted=1, cancelled=1, expired=1, pending=2, inflight=1)
    assert (seen.recorded, seen.pending, seen.dead_letters) == (11, 3, 3)


def test_the_trackers_ledger_is_taken_over_as_it_is() -> None:
    ledger = Ledger(accepted=7, duplicates=2, gaps=1, disorders=3, unverified=Counter({Check.NO_MATCH: 4}))
    seen = summed(ledger=ledger)
    assert (seen.verified, seen.duplicates, seen.gaps, seen.disorders, seen.unverified) == (7, 2, 1, 3, 4)


def test_the_rows_hold_both_sides_of_the_comparison() -> None:
    rows = {row.key: row.value for row in summary_rows(replace(GOOD, told=159, duplicates=3, unverified=1))}
    assert (rows["broadcastsAccepted"], rows["broadcastsTold"]) == (160, 159)
    assert (rows["callbacksReceived"], rows["callbacksVerified"]) == (214, 210)
    assert rows["eventsLost"] == 0


def test_no_two_rows_share_a_name() -> None:
    keys = [row.key for row in summary_rows(GOOD)]
    assert len(keys) == len(set(keys))
