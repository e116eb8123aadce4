from relay.ingest.seen import Seen
from relay.observe.metrics import Tally


def seen(*, limit: int = 100, forgotten: Tally | None = None) -> Seen:
    return Seen(window_ms=1000, limit=limit, forgotten_early=forgotten or Tally())


def test_looking_remembers_nothing() -> None:
    window = seen()
    assert window.fresh(["a"], 0) == [0]
    assert window.fresh(["a"], 0) == [0]


def test_an_id_is_known_until_its_window_ends() -> None:
    window = seen()
    window.remember(["a"], 0)
    assert window.fresh(["a"], 999) == []
    assert window.fresh(["a"], 1000) == [0]


def test_a_repeat_inside_a_batch_is_not_fresh_and_no_id_always_is() -> None:
    assert seen().fresh(["a", None, "a", None, "b"], 0) == [0, 1, 3, 4]


def test_the_oldest_gives_way_and_is_counted() -> None:
    forgotten = Tally()
    window = seen(limit=2, forgotten=forgotten)
    window.remember(["a", "b", "c"], 0)
    assert (len(window), forgotten.value) == (2, 1)
    assert window.fresh(["a", "b", "c"], 0) == [0]


def test_an_expired_id_goes_without_being_counted() -> None:
    forgotten = Tally()
    window = seen(forgotten=forgotten)
    window.remember(map(str, range(50)), 0)
    window.remember(map(str, range(50, 60)), 1000)
    assert (len(window), forgotten.value) == (10, 0)


def test_an_id_that_comes_again_after_its_window_starts_a_new_one() -> None:
    window = seen()
    window.remember(["a"], 0)
    window.remember(["a"], 1500)
    assert window.fresh(["a"], 2400) == []


def test_a_flood_of_ids_stays_within_its_bound() -> None:
    window = seen(limit=1000)
    for number in range(20_000):
        window.remember([str(number)], number / 100)
    assert len(window) <= 1000
