"""Order within a session, bounds on everything, and what is late falls out."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from relay.client.runs import Run, Whose
from relay.client.waiting import MOST_TOGETHER, Entry, Letter, Waiting


def letter(
    session: str = "s1", *, expires_at: float = 5000, is_ending: bool = False, alone: bool = False
) -> Letter:
    return Letter([b"{}"], frozenset({session}), expires_at, is_ending, alone)


def waiting(*entries: Letter, most: int = 1000) -> Waiting:
    it = Waiting(most=most)
    for entry in entries:
        it.put(entry)
    return it


def taken(it: Waiting, now: float = 0) -> list[Entry]:
    return [entry for entry, _ in it.take(now).parcel]


def test_what_waits_goes_together_up_to_a_hundred() -> None:
    it = waiting(*(letter(f"s{n}") for n in range(130)))
    assert [len(taken(it)), len(taken(it)), len(it)] == [MOST_TOGETHER, 30, 0]


def test_one_that_wants_its_own_answer_goes_alone_and_in_its_turn() -> None:
    first, alone, last = letter("a"), letter("b", alone=True), letter("c")
    it = waiting(first, alone, last)
    assert [taken(it), taken(it), taken(it)] == [[first], [alone], [last]]


def test_those_that_want_their_own_answers_keep_back_no_other_but_of_their_sessions() -> None:
    alone = [letter(f"s{n}", alone=True) for n in range(5)]
    it = waiting(*alone, letter("s4"), other := letter("other"))
    assert [taken(it) for _ in range(5)] == [[one] for one in alone[:3]] + [[other], []]
    it.release(alone[:1])
    assert taken(it) == [alone[3]]


def test_while_something_of_a_session_is_on_its_way_the_rest_of_it_waits() -> None:
    first, second, other = letter("a"), letter("a"), letter("b")
    it = waiting(first)
    assert taken(it) == [first]
    it.put(second)
    it.put(other)
    assert taken(it) == [other]
    it.release([first])
    assert taken(it) == [second]


def test_what_shares_a_session_with_something_that_waits_for_another_waits_too() -> None:
    """Events handed over together may be of several sessions: theirs are not overtaken, whichever holds them up."""
    first, both, second = letter("a"), Letter([b"{}"] * 2, frozenset({"a", "b"}), 5000, False), letter("b")  # noqa: FBT003 - it ends nothing
    it = waiting(first)
    taken(it)
    it.put(both)
    it.put(second)
    assert taken(it) == []
    it.release([first])
    assert taken(it) == [both, second]


def test_a_run_that_was_marked_while_it_was_on_its_way_keeps_its_place() -> None:
    run, other = Run(Whose("a", None, None, None)), letter("b")
    it = Waiting(most=10)
    it.mark(run)
    taken(it)
    it.put(other)
    it.mark(run)
    it.release([run])
    it.put_back(run)
    assert taken(it) == [other, run]


def test_what_comes_back_stands_in_front() -> None:
    first, second = letter("a"), letter("a")
    it = waiting(first)
    taken(it)
    it.put(second)
    it.release([first])
    it.put_back(first)
    assert taken(it) == [first, second]


def test_what_is_too_old_falls_out() -> None:
    late, fresh = letter(expires_at=1000), letter(expires_at=1001)
    found = waiting(late, fresh).take(1000)
    assert (found.expired, [entry for entry, _ in found.parcel]) == ([late], [fresh])


def test_the_oldest_that_ends_nothing_gives_way() -> None:
    end, old, new = letter(is_ending=True), letter(), letter()
    it = waiting(end, old, most=2)
    assert it.put(new) is old
    assert taken(it) == [end, new]
    full = waiting(letter(is_ending=True), most=1)
    assert full.put(letter()) is not None


def test_a_run_is_one_mark_however_often_it_is_made() -> None:
    it, run, between = Waiting(most=10), Run(Whose("s1", None, None, None)), letter()
    it.mark(run)
    it.put(between)
    it.mark(run)
    assert taken(it) == [between, run]


def test_of_too_many_runs_the_oldest_that_has_ended_gives_way() -> None:
    it = Waiting(most=10, most_runs=2)
    runs = [Run(Whose(f"s{n}", None, None, None)) for n in range(3)]
    runs[1].depth = 0
    assert [it.mark(run) for run in runs] == [None, None, runs[1]]
    assert taken(it) == [runs[0], runs[2]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30), st.integers())
def test_no_session_is_ever_out_of_order(script: list[tuple[str, bool]], seed: int) -> None:
    it, chance = Waiting(most=100), Random(seed)
    sent: list[Entry] = []
    flying: list[list[Entry]] = []
    numbered = [letter(session, alone=alone) for session, alone in script]
    for entry in numbered:
        it.put(entry)
    while len(it) or flying:
        if parcel := taken(it):
            flying.append(parcel)
            continue
        parcel = flying.pop(chance.randrange(len(flying)))
        it.release(parcel)
        if chance.random() < 0.3:
            for back in reversed(parcel):
                it.put_back(back)
        else:
            sent += parcel
    for session in "abc":
        mine = [entry for entry in numbered if entry.sessions == {session}]
        assert [entry for entry in sent if entry.sessions == {session}] == mine
