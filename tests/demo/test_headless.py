from collections import Counter

import pytest

from relay.core.indicator import Indicator
from relay.core.moments import Ms
from relay.core.timings import Timings
from relay.demo.clock import run_hurried
from relay.demo.headless import perform, seen_by_guests, unanswered
from relay.demo.summary import Summary, losses
from relay.outbox.rows import AuditRow
from relay.sandbox.arrivals import Arrival
from relay.sandbox.chaos import Chaos, scaled

BEGIN: Ms = 5000


def shown(session: str, after: Ms, *, is_applied: bool = True) -> Arrival:
    status = 200 if is_applied else 429
    return Arrival(BEGIN + after, 0, session, "guest", Indicator.TYPING, 3000, status, is_applied)


def audited(*, success: bool, status: int | None) -> AuditRow:
    key = ("guest", "s")
    return AuditRow("a", 0, key, None, "local", "typing", 3000, "start", success, status, None, "", 1, 1)


# What guests saw.


def test_sessions_are_measured_apart_though_they_type_at_once() -> None:
    """Each alone: shown 0..3000 of 4000 ms, one lapse. Mixed, one would have hidden the other's darkness."""
    played = {"a": [0.0, 2000.0, 4000.0], "b": [0.0, 2000.0, 4000.0]}
    seen = seen_by_guests([shown("a", 0), shown("b", 10)], played, Timings(), BEGIN)
    assert (seen.keys, seen.calls, seen.runs, seen.lapses) == (6, 2, 2, 2)


def test_calls_that_showed_nothing_are_not_measured() -> None:
    seen = seen_by_guests([shown("a", 0), shown("a", 2000, is_applied=False)], {"a": [0.0]}, Timings(), BEGIN)
    assert seen.calls == 1


@pytest.mark.parametrize(("after", "late"), [(300, 0), (301, 1)])
def test_a_start_is_late_after_three_hundred_milliseconds(after: Ms, late: int) -> None:
    seen = seen_by_guests([shown("a", after)], {"a": [0.0, 2000.0]}, Timings(), BEGIN)
    assert seen.late_starts == late


def test_only_calls_that_nobody_answered_may_be_accepted_unknown_to_the_relay() -> None:
    audit = [
        audited(success=True, status=200),
        audited(success=False, status=503),
        audited(success=False, status=None),
    ]
    assert unanswered(audit) == Counter({("s", Indicator.TYPING): 1})


# Whole performances, on real sockets.


def performed(scripts: list[list[Ms]], chaos: Chaos) -> Summary:
    return run_hurried(perform(scripts, chaos=chaos, speed=20), speed=20)


def test_on_a_platform_that_behaves_every_call_is_told_and_nothing_is_lost() -> None:
    """One key is typed, paused, stopped: three transitions. Both ends of it are told to the platform, at whatever
    pace this machine answers; a pause is only where typing still shows when it comes."""
    seen = performed([[0.0]], Chaos.none())
    assert list(losses(seen)) == []
    assert (seen.transitions, seen.too_many, seen.server_errors, seen.keys_refused) == (3, 0, 0, 0)
    assert seen.accepted in {2, 3}
    assert (seen.told, seen.verified) == (seen.accepted, seen.accepted + seen.transitions)


def test_on_a_bad_day_faults_are_met_and_nothing_is_lost() -> None:
    keys = [float(at) for at in range(0, 8000, 200)]
    seen = performed([keys, keys, keys], scaled(10).changed(rate_429=0.4, rate_5xx=0.2))
    assert list(losses(seen)) == []
    assert seen.too_many > 0
    assert seen.figures.keys == 120


def test_how_far_it_is_is_told_to_the_end() -> None:
    told: list[tuple[Ms, Ms]] = []
    main = perform(
        [[0.0, 3000.0]], chaos=Chaos.none(), speed=20, progress=lambda at, of: told.append((at, of))
    )
    run_hurried(main, speed=20)
    assert {of for _, of in told} == {3000.0}
    assert [at for at, _ in told] == sorted(at for at, _ in told)
    assert told[-1][0] >= 3000
