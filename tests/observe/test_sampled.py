from relay.observe.sampled import Sampled


def test_the_first_is_said_and_the_rest_of_ten_seconds_counted() -> None:
    sampled = Sampled()
    assert sampled.unsaid("not_http", 0) == 0
    assert [sampled.unsaid("not_http", now) for now in (1, 5000, 9999)] == [None] * 3
    assert sampled.unsaid("not_http", 10_000) == 3


def test_each_kind_has_its_own_turn() -> None:
    sampled = Sampled()
    assert [sampled.unsaid("a", 0), sampled.unsaid("b", 0), sampled.unsaid("a", 1)] == [0, 0, None]


def test_kinds_without_end_are_not_kept() -> None:
    sampled = Sampled()
    spoken = [sampled.unsaid(f"kind-{number}", 0) for number in range(10_000)]
    assert len([one for one in spoken if one is not None]) <= 256
