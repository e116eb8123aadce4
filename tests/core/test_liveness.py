import pytest

from relay.core.liveness import FRESH_FOR_MS, KnownSessions, Liveness, liveness_of
from relay.core.moments import Ms


def note(known: KnownSessions[str, Liveness], session: str, liveness: Liveness, now: Ms) -> None:
    known.note(session, liveness, now, for_ms=FRESH_FOR_MS[liveness])


@pytest.mark.parametrize(
    "status", ["ACTIVE", "CONNECTED", "Routed", "active", "Connected", "ROUTED", "routed", " Active "]
)
def test_a_live_status_is_live_in_any_case(status: str) -> None:
    """The tutorial took "active" and "ROUTED" for dead sessions."""
    assert liveness_of(200, status) is Liveness.LIVE


@pytest.mark.parametrize("status", ["DISCONNECTED", "terminated", "", "INACTIVE", "QUEUED"])
def test_any_other_status_is_gone(status: str) -> None:
    assert liveness_of(200, status) is Liveness.GONE


@pytest.mark.parametrize("http_status", [404, 410])
def test_a_session_the_platform_does_not_know_is_gone(http_status: int) -> None:
    assert liveness_of(http_status, None) is Liveness.GONE


@pytest.mark.parametrize(
    ("http_status", "status"),
    [(200, None), (200, 7), (302, "ACTIVE"), (401, None), (429, None), (500, "ACTIVE")],
)
def test_an_answer_that_says_nothing_about_the_session_is_unknown(http_status: int, status: object) -> None:
    assert liveness_of(http_status, status) is Liveness.UNKNOWN


def test_a_live_answer_is_believed_for_thirty_seconds() -> None:
    known: KnownSessions[str, Liveness] = KnownSessions()
    note(known, "s", Liveness.LIVE, 0.0)
    assert known.recall("s", 29_999.0) is Liveness.LIVE
    assert known.recall("s", 30_000.0) is None


def test_a_gone_answer_is_believed_for_ten_seconds() -> None:
    known: KnownSessions[str, Liveness] = KnownSessions()
    note(known, "s", Liveness.GONE, 0.0)
    assert known.recall("s", 9999.0) is Liveness.GONE
    assert known.recall("s", 10_000.0) is None


def test_an_unknown_answer_takes_nothing_away() -> None:
    known: KnownSessions[str, Liveness] = KnownSessions()
    note(known, "s", Liveness.LIVE, 0.0)
    note(known, "s", Liveness.UNKNOWN, 1.0)
    assert known.recall("s", 2.0) is Liveness.LIVE


def test_what_is_too_old_to_be_believed_was_still_the_last_word() -> None:
    known: KnownSessions[str, Liveness] = KnownSessions()
    note(known, "s", Liveness.LIVE, 0.0)
    assert (known.recall("s", 90_000.0), known.last("s")) == (None, Liveness.LIVE)
    assert known.last("t") is None


def test_a_forgotten_session_is_asked_about_again() -> None:
    known: KnownSessions[str, Liveness] = KnownSessions()
    note(known, "s", Liveness.LIVE, 0.0)
    known.forget("s")
    assert known.recall("s", 1.0) is None


def test_memory_is_bounded_and_the_oldest_answer_makes_room() -> None:
    known: KnownSessions[str, Liveness] = KnownSessions(most=2)
    for at, session in enumerate(["a", "b", "a", "c"]):
        note(known, session, Liveness.LIVE, float(at))
    assert len(known) == 2
    assert known.recall("b", 4.0) is None
    assert known.recall("a", 4.0) is Liveness.LIVE
