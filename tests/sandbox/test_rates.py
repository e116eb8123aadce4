from relay.sandbox.rates import Rolling


def test_a_call_exactly_a_minute_ago_is_out_of_the_minute() -> None:
    minute = Rolling()
    assert minute.admit("a", 0.0, most=1) == 0.0
    assert minute.admit("a", 59_999.0, most=1) == 1.0
    assert minute.admit("a", 60_000.0, most=1) == 0.0


def test_who_has_been_quiet_for_the_whole_span_is_forgotten() -> None:
    minute = Rolling()
    for number in range(1000):
        minute.admit(f"key-{number}", number * 1.0, most=12)
    minute.admit("last", 60_998.0, most=12)
    assert len(minute) == 2, "the last but one called less than a minute before"


def test_of_too_many_the_longest_quiet_is_forgotten() -> None:
    minute = Rolling(most_keys=2)
    for at, key in enumerate(["a", "b", "a", "c"]):
        minute.admit(key, float(at), most=12)
    assert (len(minute), minute.count("a", 4.0), minute.count("b", 4.0)) == (2, 2, 0)


def test_a_refused_call_does_not_count_and_keys_do_not_share() -> None:
    minute = Rolling()
    minute.admit("a", 0.0, most=1)
    minute.admit("a", 1.0, most=1)
    assert (minute.count("a", 2.0), minute.count("b", 2.0)) == (1, 0)
    assert minute.admit("b", 2.0, most=1) == 0.0
