from relay.core.cooloff import CoolOffGate


def test_the_gate_is_open_until_it_is_closed() -> None:
    assert CoolOffGate().wait_ms(0.0) == 0


def test_the_gate_opens_at_the_very_instant_asked_for() -> None:
    gate = CoolOffGate()
    gate.close(5000.0)
    assert gate.wait_ms(4999.0) == 1
    assert gate.wait_ms(5000.0) == 0


def test_a_shorter_wait_that_answers_an_older_request_never_opens_the_gate_early() -> None:
    gate = CoolOffGate()
    gate.close(5000.0)
    gate.close(1000.0)
    assert gate.wait_ms(2000.0) == 3000
