from dataclasses import replace

from relay.core.indicator import Indicator
from relay.demo.books import Books
from relay.sandbox.arrivals import Arrival
from relay.sandbox.tracker import Received

TYPING = Arrival(1000.0, 0, "s", "guest", Indicator.TYPING, 3000, 200, is_applied=True)
STOPPED = replace(TYPING, at=2000.0, indicator=Indicator.STOPPED)
REFUSED = replace(TYPING, status=429, is_applied=False)


def told(kind: str, session: str = "s", **data: object) -> Received:
    return Received(0, "msg_1", kind, {"data": {"sessionId": session, **data}})


def test_calls_are_counted_by_what_they_showed() -> None:
    books = Books()
    for arrival in (TYPING, TYPING, STOPPED, REFUSED):
        books.arrived(arrival)
    assert books.calls == {"typing": 2, "paused": 0, "typing_stopped": 1}


def test_faults_met_are_counted_by_their_kind() -> None:
    books = Books()
    for status in (429, 429, 503, 500, 401, 200):
        books.arrived(replace(TYPING, status=status, is_applied=status == 200))
    assert (books.too_many, books.server_errors) == (2, 2)


def test_a_guest_sees_an_indicator_until_its_duration_ends_or_it_is_stopped() -> None:
    books = Books()
    assert books.seen("s", 0) is None
    books.arrived(TYPING)
    assert [books.seen("s", at) for at in (1000, 3999, 4000)] == [Indicator.TYPING, Indicator.TYPING, None]
    books.arrived(STOPPED)
    assert books.seen("s", 2500) is None


def test_what_was_refused_is_seen_by_nobody() -> None:
    books = Books()
    books.arrived(REFUSED)
    assert books.seen("s", 1500) is None


def test_a_session_is_open_until_the_tracker_heard_last_that_it_stopped() -> None:
    books = Books()
    assert books.still_open(["s"]) == 1
    books.received(told("session.typing"))
    assert books.still_open(["s"]) == 1
    books.received(told("session.stopped"))
    assert books.still_open(["s"]) == 0
    books.received(told("session.typing"))
    assert books.still_open(["s"]) == 1


def test_a_broadcast_after_the_stop_opens_nothing() -> None:
    books = Books()
    for event in (told("session.stopped"), told("typing_indicator.broadcast", indicator="typing_stopped")):
        books.received(event)
    assert books.still_open(["s"]) == 0
    assert books.told == {("s", Indicator.STOPPED): 1}


def test_transitions_are_the_sessions_own_events() -> None:
    books = Books()
    for kind in ("session.typing", "session.paused", "session.stopped", "typing_indicator.failed"):
        books.received(told(kind))
    assert books.transitions == 3
