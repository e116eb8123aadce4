"""Whether an endpoint may be sent to, by numbers: what shuts the gate, for how long, and what is said of it."""

import logging
from typing import Any

import pytest

from relay.core.delivery import Failure
from relay.core.endpoint import Circuit, Failing, News, Standing
from relay.outbox.gate import Gate
from relay.outbox.rows import Attempt

START = 1_795_000_000_000


class World:
    """A gate and its two clocks."""

    def __init__(self, *, rate_per_s: float | None = None) -> None:
        self.ms = 0
        self.gate = Gate("tracker", rate_per_s=rate_per_s, now=lambda: self.ms, wall=lambda: START + self.ms)

    def answered(self, status: int, times: int = 1) -> list[News | None]:
        failure = None if status == 200 else Failure.STATUS
        attempt = Attempt(START + self.ms, status, failure, 1.0, 1.0)
        turns = [self.gate.noted(attempt) for _ in range(times)]
        return [turn.news if turn else None for turn in turns]

    def room(self, wanted: int = 8, *, in_flight: int = 0) -> int:
        return self.gate.room(wanted, in_flight=in_flight)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    return [(record.getMessage(), vars(record)["fields"]) for record in caplog.records]


def test_an_endpoint_that_is_well_gets_what_is_wanted() -> None:
    world = World()
    assert world.room(8, in_flight=3) == 8
    assert world.gate.opens_in_s() == 0


def test_ten_failures_shut_it_for_thirty_seconds_then_one_goes_at_a_time() -> None:
    world = World()
    assert world.answered(503, 10)[-1] is News.DEGRADED
    assert (world.room(), world.gate.opens_in_s()) == (0, 30)
    world.ms = 30_000
    assert (world.room(), world.gate.circuit) == (1, Circuit.TRIAL)
    assert world.room(in_flight=1) == 0
    assert world.answered(200, 3) == [None, None, News.RECOVERED]
    assert world.room() == 8


def test_a_failed_probe_shuts_it_for_twice_as_long_and_says_again_how_it_is() -> None:
    """So that a degradation left unsaid, since another was told within the hour, is said in the end."""
    world = World()
    world.answered(503, 10)
    world.ms = 30_000
    world.room()
    assert world.answered(503) == [News.DEGRADED]
    assert world.gate.opens_in_s() == 60


def test_a_circuits_turns_are_logged_once_with_the_remedy(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    caplog.set_level(logging.INFO)
    world.answered(503, 14)
    world.ms = 30_000
    world.room()
    world.answered(503)
    world.ms = 90_000
    world.room()
    world.answered(200, 3)
    (degraded, why), (recovered, how) = lines(caplog)
    assert (degraded, recovered) == ("endpoint.degraded", "endpoint.recovered")
    assert "10 of 10 attempts" in why["why"]
    assert "it answered 503" in why["why"]
    assert "typing-relay endpoints resume" in why["remedy"]
    assert how["down_s"] == 90


def test_a_retry_after_shuts_it_until_then_and_a_shorter_one_opens_nothing_early() -> None:
    world = World()
    world.gate.rest(60_000)
    world.gate.rest(1000)
    assert (world.room(), world.gate.opens_in_s()) == (0, 60)
    world.ms = 60_000
    assert world.room() == 8


def test_fewer_places_than_are_taken_leave_no_room_and_owe_none() -> None:
    """The settings were read again and the concurrency lowered: the lane asked for minus six."""
    assert World().room(2 - 8, in_flight=8) == 0


@pytest.mark.parametrize("standing", [Standing.PAUSED, Standing.DISABLED])
def test_it_stays_shut_until_resumed_and_says_so_once(
    standing: Standing, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    assert world.gate.stop(standing, "because")
    assert not world.gate.stop(standing, "because")
    world.ms = 10**9
    assert (world.room(), world.gate.opens_in_s()) == (0, 0), "no matter of time"
    world.gate.resume()
    assert world.room() == 8
    ((event, fields),) = lines(caplog)
    assert event == f"endpoint.{standing.value}"
    assert "typing-relay endpoints resume" in fields["remedy"]


def test_a_410_disables_a_paused_endpoint_too() -> None:
    world = World()
    world.gate.stop(Standing.PAUSED, "because")
    assert world.gate.stop(Standing.DISABLED, "gone")
    assert world.gate.standing is Standing.DISABLED


def test_resuming_tries_an_open_circuit_at_once() -> None:
    world = World()
    world.answered(503, 10)
    world.gate.resume()
    assert (world.room(), world.gate.circuit) == (1, Circuit.TRIAL)


def test_it_fails_from_its_first_failure_in_a_row_until_it_succeeds_and_nobody_else_says_otherwise() -> None:
    world = World()
    assert world.gate.failing is None
    world.answered(500)
    world.ms = 5000
    world.answered(503)
    world.gate.resume()
    assert world.gate.failing == Failing(START, 2, "it answered 503")
    world.answered(200)
    assert world.gate.failing is None


def test_resuming_ends_the_rest_that_was_asked_for_before_it_was_mended() -> None:
    """A tracker that said an hour as it went down was waited for that hour, and nothing could hurry it."""
    world = World()
    world.gate.rest(3_600_000)
    world.gate.resume()
    assert (world.room(), world.gate.opens_in_s()) == (8, 0)


def test_a_rate_lets_two_seconds_worth_go_and_then_its_share() -> None:
    world = World(rate_per_s=5)
    assert world.room(100) == 10
    world.gate.spend(10)
    assert world.room(100) == 0
    assert world.gate.opens_in_s() == pytest.approx(0.2)
    world.ms = 1000
    assert world.room(100) == 5


def test_the_narrowest_of_circuit_and_rate_counts() -> None:
    world = World(rate_per_s=1)
    world.answered(503, 10)
    world.ms = 30_000
    assert world.room() == 1
    world.gate.spend(2)
    assert world.room() == 0
