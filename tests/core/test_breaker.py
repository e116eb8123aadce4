from relay.core.breaker import Breaker


def fallen(at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(at)
    return breaker


def test_the_fifth_failure_in_a_row_opens_the_circuit() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.failed(0.0)
    assert not breaker.is_open
    breaker.failed(0.0)
    assert breaker.is_open


def test_an_answer_in_between_starts_the_count_again() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)
    assert not breaker.is_open


def test_a_closed_circuit_admits_everybody() -> None:
    assert all(Breaker().admits(float(now)) for now in range(20))


def test_an_open_circuit_admits_one_trial_per_ten_seconds() -> None:
    breaker, called = fallen(), []
    for now in range(0, 40_000, 100):
        if breaker.admits(float(now)):
            breaker.called(float(now))
            called.append(now)
    assert called == [10_000, 20_000, 30_000]


def test_a_trial_that_is_not_called_is_left_to_the_next() -> None:
    """Escaped because every test that was admitted called: one without a token cost ten seconds more."""
    breaker = fallen()
    assert breaker.admits(10_000.0)
    assert breaker.admits(10_100.0)


def test_a_call_that_asked_nobody_does_not_put_off_the_trial() -> None:
    breaker = fallen()
    breaker.called(9000.0)  # a stop
    assert breaker.admits(10_000.0)


def test_a_failed_trial_leaves_the_circuit_open_until_the_next() -> None:
    breaker = fallen()
    breaker.called(10_000.0)
    breaker.failed(10_100.0)
    assert not breaker.admits(19_999.0)
    assert breaker.admits(20_000.0)


def test_a_successful_trial_closes_the_circuit() -> None:
    breaker = fallen()
    breaker.called(10_000.0)
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.admits(10_001.0)


def test_a_failure_after_closing_does_not_open_at_once() -> None:
    breaker = fallen()
    breaker.succeeded()
    breaker.failed(11_000.0)
    assert not breaker.is_open
