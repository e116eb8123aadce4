"""What a session at rest remembers, for how long, and what it wakes as."""

import pytest

from relay.core.activity import Kind
from relay.core.actor import Actor
from relay.core.indicator import Address
from relay.core.moments import NEVER, Ms
from relay.core.pacer import Pacer, Reach
from relay.core.rest import rest_of
from relay.core.session import Session, Verdict
from relay.core.timings import Timings
from tests.core.answers import script, server_error
from tests.core.machine import Machine

T = Timings()


def test_an_ended_session_is_forgotten_a_tombstone_after_it_came_to_rest() -> None:
    machine = Machine()
    machine.keystroke(at=0)
    machine.act(Kind.SESSION_ENDED, at=5000)  # the stop is told at once, and its gate opens two seconds later
    machine.run_until(6900)
    assert machine.session is not None
    machine.run_until(7100)
    assert machine.session is None
    machine.run_until(66_900)
    assert machine.rest is not None
    machine.run_until(67_200)
    assert machine.rest is None


def test_a_session_does_not_rest_from_its_failures() -> None:
    """It did, and a platform that was down was asked twice for each key instead of once."""
    machine, keys_at = Machine(answers=script(then=server_error())), range(0, 180_000, 30_000)
    for at in keys_at:
        machine.keystroke(at=at)
    machine.run_until(200_000)
    calls = [sum(at <= sent.at < at + 30_000 for sent in machine.sent) for at in keys_at]
    assert calls == [2, 1, 1, 1, 1, 1], "I, then 2 I and more: longer than anybody types with one key"


def test_at_rest_an_order_is_remembered() -> None:
    machine = Machine()
    machine.act(Kind.KEYSTROKE, at=0, seq=7)
    machine.act(Kind.MESSAGE_SENT, at=500, seq=8)
    machine.run_until(30_000)
    assert machine.session is None
    assert machine.act(Kind.KEYSTROKE, at=30_000, seq=7) is Verdict.STALE
    assert machine.act(Kind.KEYSTROKE, at=30_000, seq=9) is Verdict.APPLIED


@pytest.mark.parametrize(("ago_ms", "is_kept"), [(T.tombstone_ms - 1, True), (T.tombstone_ms, False)])
def test_an_order_is_remembered_for_another_tombstone_until_it_is_one_old(
    ago_ms: Ms, *, is_kept: bool
) -> None:
    actors = (Actor("ann", last=1000, seq=7),)
    session = Session(("guest", "s"), Address("s", "g"), "desk", T, Reach(), Pacer(), actors)
    assert [one.id for one in rest_of(session, 1000 + ago_ms).actors] == (["ann"] if is_kept else [])


def test_at_rest_a_terminal_activity_still_outdates_what_is_older() -> None:
    machine = Machine()
    machine.act(Kind.MESSAGE_SENT, at=0, client_at=1000)
    machine.run_until(30_000)
    assert machine.session is None
    assert machine.act(Kind.KEYSTROKE, at=30_000, client_at=999) is Verdict.STALE


def test_at_rest_a_dead_thought_stays_dead_for_its_tombstone() -> None:
    machine = Machine(Timings(thinking_life_ms=20_000))
    machine.think("t1", at=0)
    for at in range(5000, 20_000, 5000):
        machine.act(Kind.HEARTBEAT, at=at, actor="bot", thinking_id="t1")
    machine.run_until(50_000)
    assert machine.session is None
    assert machine.think("t1", at=50_000) is Verdict.EXHAUSTED_ID
    assert machine.think("t2", at=50_100) is Verdict.APPLIED


def test_a_session_with_something_to_do_never_comes_to_rest() -> None:
    machine = Machine()
    machine.keystroke(at=0)
    assert machine.session is not None
    assert machine.session.rests_at() == NEVER


def test_a_session_that_nobody_told_anything_is_forgotten_too() -> None:
    machine = Machine()
    machine.act(Kind.HEARTBEAT, at=0)
    machine.finish()
    assert machine.session is None


@pytest.mark.parametrize(("seq", "client_at"), [(7, None), (None, 7)])
def test_what_comes_too_late_does_not_keep_alive_the_order_that_makes_it_late(
    seq: int | None, client_at: int | None
) -> None:
    """Each woke the session, which then remembered for another tombstone: who had lost count was never heard again."""
    machine = Machine()
    machine.act(Kind.MESSAGE_SENT, at=0, seq=1000, client_at=1000)
    times = range(5000, 130_000, 5000)
    verdicts = [machine.act(Kind.KEYSTROKE, at=at, seq=seq, client_at=client_at) for at in times]
    heard_at = 5000 * (1 + verdicts.index(Verdict.APPLIED))
    assert 60_000 <= heard_at <= 125_000, "two tombstones and a rest at most"
    assert set(verdicts[: verdicts.index(Verdict.APPLIED)]) == {Verdict.STALE}
