"""A replay in figures, and its verdict: red for whatever was lost, however good the rest looks.

Lapses and late starts are figures, not losses: an indicator is ephemeral, an engagement event is not.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from relay.core.delivery import State
from relay.demo.books import BROADCAST, Books, CallOf
from relay.demo.table import Row, figure_rows
from relay.outbox.rows import Depth
from relay.sandbox.replay import Figures
from relay.sandbox.tracker import Ledger

UNDER_WAY = (State.PENDING, State.INFLIGHT)


@dataclass(frozen=True, slots=True)
class Summary:
    """`untold`: accepted calls without a callback; `unasked`: callbacks of calls that the platform never accepted."""

    figures: Figures
    posts: int
    keys_refused: int
    too_many: int
    server_errors: int
    transitions: int
    verified: int
    unverified: int
    duplicates: int
    gaps: int
    disorders: int
    accepted: int
    told: int
    answers_lost: int
    untold: int
    unasked: int
    recorded: int
    pending: int
    dead_letters: int
    still_open: int

    @property
    def events_lost(self) -> int:
        return self.untold + self.gaps


def summed_up(
    books: Books,
    ledger: Ledger,
    depth: Depth,
    *,
    figures: Figures,
    answers_lost: Counter[CallOf],
    still_open: int,
) -> Summary:
    """`answers_lost` are calls whose answer never came: the platform may have accepted them unknown to the relay."""
    by_state = Counter(depth.by_state)
    pending = sum(by_state[state] for state in UNDER_WAY)
    return Summary(
        figures=figures,
        posts=books.posts,
        keys_refused=books.keys_refused,
        too_many=books.too_many,
        server_errors=books.server_errors,
        transitions=books.transitions,
        verified=ledger.accepted,
        unverified=ledger.unverified.total(),
        duplicates=ledger.duplicates,
        gaps=ledger.gaps,
        disorders=ledger.disorders,
        accepted=books.accepted.total(),
        told=books.by_type[BROADCAST],
        answers_lost=answers_lost.total(),
        untold=(books.accepted - books.told - answers_lost).total(),
        unasked=(books.told - books.accepted).total(),
        recorded=by_state.total(),
        pending=pending,
        dead_letters=by_state.total() - pending - by_state[State.DELIVERED],
        still_open=still_open,
    )


def losses(of: Summary) -> Iterator[str]:
    """One line per kind of loss and how often; nothing where all is well."""
    found = {
        "keys refused at the relay's door": of.keys_refused,
        "accepted indicators without a callback": of.untold,
        "callbacks of indicators that the platform never accepted": of.unasked,
        "callbacks without a valid signature": of.unverified,
        "gaps in the sessions' sequences": of.gaps,
        "events that came after a later one of their session": of.disorders,
        "sessions that did not end stopped": of.still_open,
        "callbacks still pending": of.pending,
        "dead letters": of.dead_letters,
        "recorded events that never reached the tracker": max(0, of.recorded - of.verified),
    }
    return (f"{what}: {times:,}" for what, times in found.items() if times)


def summary_rows(of: Summary) -> list[Row]:
    return [
        *figure_rows(of.figures),
        Row("posts", "posts at the relay's door", of.posts),
        Row("keysRefused", "keys refused", of.keys_refused),
        Row("platform429", "429 met", of.too_many),
        Row("platform5xx", "5xx met", of.server_errors),
        Row("answersLost", "answers that never came", of.answers_lost),
        Row("transitions", "transitions told", of.transitions),
        Row("broadcastsAccepted", "broadcasts the platform accepted", of.accepted),
        Row("broadcastsTold", "broadcasts told", of.told),
        Row("callbacksReceived", "callbacks received", of.verified + of.duplicates + of.unverified),
        Row("callbacksVerified", "  verified", of.verified),
        Row("duplicates", "  duplicates", of.duplicates),
        Row("sequenceGaps", "  sequence gaps", of.gaps),
        Row("outboxPending", "callbacks pending", of.pending),
        Row("deadLetters", "dead letters", of.dead_letters),
        Row("sessionsOpen", "sessions not stopped", of.still_open),
        Row("eventsLost", "events lost", of.events_lost),
    ]
