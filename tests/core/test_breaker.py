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
    assert all(Breaker().admit(float(now)) for now in range(20))


def test_an_open_circuit_admits_one_trial_per_ten_seconds() -> None:
    breaker = fallen()
    admitted = [now for now in range(0, 40_000, 100) if breaker.admit(float(now))]
    assert admitted == [10_000, 20_000, 30_000]


def test_a_failed_trial_leaves_the_circuit_open_until_the_next() -> None:
    breaker = fallen()
    assert breaker.admit(10_000.0)
    breaker.failed(10_100.0)
    assert not breaker.admit(19_999.0)
    assert breaker.admit(20_000.0)


def test_a_successful_trial_closes_the_circuit() -> None:
    breaker = fallen()
    assert breaker.admit(10_000.0)
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.admit(10_001.0)


def test_a_failure_after_closing_does_not_open_at_once() -> None:
    breaker = fallen()
    breaker.succeeded()
    breaker.failed(11_000.0)
    assert not breaker.is_open
