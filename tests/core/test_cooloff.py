from relay.core.cooloff import CoolOffGate, CoolOffGates


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


def test_each_name_has_its_own_gate() -> None:
    gates = CoolOffGates()
    gates.close("a", 5000.0)
    gates.close("a", 1000.0)
    assert (gates.wait_ms("a", 2000.0), gates.wait_ms("b", 2000.0)) == (3000, 0)


def test_gates_are_bounded_and_the_one_closed_longest_ago_makes_room() -> None:
    gates = CoolOffGates(most=2)
    for name in ("a", "b", "a", "c"):
        gates.close(name, 5000.0)
    assert len(gates) == 2
    assert [gates.wait_ms(name, 0.0) for name in ("a", "b", "c")] == [5000, 0, 5000]
