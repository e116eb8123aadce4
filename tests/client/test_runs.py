"""What is said of a run depends on what is true when it is said."""

from typing import Any

from relay import wire
from relay.client.runs import ENDING_FRESH_MS, HEARTBEAT_MS, Known, Run, Runs, Whose
from relay.core.moments import NEVER

WHOSE = Whose("s1", "g1", None, "bot-7")


def said(run: Run, now: float = 0) -> list[dict[str, Any]]:
    return [wire.loads(event) for event in run.composed(now)]


def kinds(run: Run) -> list[str]:
    return [event["type"] for event in said(run)]


def entered(runs: Runs, whose: Whose = WHOSE) -> Run:
    run, _ = runs.enter(whose)
    assert run is not None
    return run


def test_it_is_opened_until_the_relay_surely_knows_it_and_then_beats() -> None:
    run = Run(WHOSE)
    assert [kinds(run), kinds(run)] == [["thinking"], ["thinking"]]
    run.known = Known.SURELY
    assert kinds(run) == ["heartbeat"]
    run.known = Known.PERHAPS
    assert kinds(run) == ["thinking"]


def test_a_beat_that_may_find_the_lease_gone_says_the_thought_again() -> None:
    """A loop that stood still for longer than a lease (15 s): a heartbeat revives nothing, and is answered all the same."""
    run = Run(WHOSE)
    assert [event["type"] for event in said(run, 0)] == ["thinking"]
    run.known = Known.SURELY
    assert [event["type"] for event in said(run, HEARTBEAT_MS + 900)] == ["heartbeat"]
    late = said(run, 2 * HEARTBEAT_MS + 900 + 15_000)[0]
    assert (late["type"], late["thinkingId"]) == ("thinking", run.thinking_id)
    run.known = Known.SURELY
    assert [event["type"] for event in said(run, 3 * HEARTBEAT_MS + 900 + 15_000)] == ["heartbeat"]


def test_every_opening_and_beat_is_an_event_of_its_own_and_an_end_always_the_same() -> None:
    runs = Runs(most=1)
    run = entered(runs)
    assert said(run)[0]["id"] != said(run)[0]["id"]
    runs.leave(run, 0)
    assert said(run) == said(run)


def test_what_was_never_said_has_no_end_but_a_message_is_news() -> None:
    runs = Runs(most=1)
    run = entered(runs)
    runs.leave(run, 0)
    assert said(run) == []
    run.ends_with = "message_sent"
    (event,) = said(run)
    assert (event["type"], "thinkingId" in event) == ("message_sent", False)


def test_an_end_is_worth_telling_for_fifteen_seconds() -> None:
    runs = Runs(most=1)
    run = entered(runs)
    runs.leave(run, 1000)
    assert run.expires_at == 1000 + ENDING_FRESH_MS == 16_000


def test_beats_are_due_every_five_seconds_in_the_order_in_which_they_were_told() -> None:
    runs = Runs(most=2)
    one, other = entered(runs), entered(runs, WHOSE._replace(session_id="s2"))
    for at, run in ((0, one), (1000, other)):
        run.composed(at)
        runs.rest(run)
    assert runs.next_beat_at() == HEARTBEAT_MS == 5000
    assert list(runs.due(5999)) == [one]
    assert list(runs.due(6000)) == [other]


def test_a_run_that_has_ended_has_no_heartbeat() -> None:
    runs = Runs(most=10)
    run = entered(runs)
    run.known = Known.SURELY
    run.composed(0)
    runs.rest(run)
    assert runs.leave(run, 0)
    assert (list(runs.due(10 * HEARTBEAT_MS)), runs.next_beat_at()) == ([], NEVER)


def test_who_and_where_decide_what_is_one_run() -> None:
    runs = Runs(most=10)
    others = [WHOSE, WHOSE._replace(session_id="s2"), WHOSE._replace(actor=None), WHOSE._replace(gateway="g")]
    assert len({entered(runs, whose).thinking_id for whose in [*others, *others]}) == len(runs) == 4


def test_only_the_last_use_ends_it() -> None:
    runs = Runs(most=1)
    run = entered(runs)
    assert entered(runs) is run
    assert [runs.leave(run, 0), runs.leave(run, 0)] == [False, True]
    assert entered(runs) is not run


def test_it_is_told_where_its_guest_is_reached() -> None:
    (event,) = said(Run(Whose("s1", None, "genesys", None, "c1", "u1")))
    del event["id"], event["thinkingId"]
    assert event == {
        "sessionId": "s1",
        "type": "thinking",
        "gateway": "genesys",
        "communicationId": "c1",
        "agentUserId": "u1",
    }


def test_there_are_never_more_than_were_allowed() -> None:
    runs = Runs(most=1)
    entered(runs)
    assert runs.enter(WHOSE._replace(session_id="s2")) == (None, False)
