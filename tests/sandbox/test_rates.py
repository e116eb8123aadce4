from relay.sandbox.rates import Rolling


def test_a_call_exactly_a_minute_ago_is_out_of_the_minute() -> None:
    minute = Rolling()
    assert minute.admit("a", 0.0, most=1) == 0.0
    assert minute.admit("a", 59_999.0, most=1) == 1.0
    assert minute.admit("a", 60_000.0, most=1) == 0.0


def test_a_refused_call_does_not_count_and_keys_do_not_share() -> None:
    minute = Rolling()
    minute.admit("a", 0.0, most=1)
    minute.admit("a", 1.0, most=1)
    assert (minute.count("a", 2.0), minute.count("b", 2.0)) == (1, 0)
    assert minute.admit("b", 2.0, most=1) == 0.0
