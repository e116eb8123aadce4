from relay.outbox.places import Places


def test_no_more_places_are_taken_than_there_are() -> None:
    places = Places(3)
    assert [places.take(wanted, lambda: None)[0] for wanted in (2, 2, 1)] == [2, 1, 0]


def test_who_went_away_short_is_called_back_in_turn() -> None:
    called: list[str] = []
    places = Places(1)
    places.take(1, lambda: None)
    places.take(1, lambda: called.append("first"))
    places.take(1, lambda: called.append("second"))
    places.give(1)
    assert called == ["first"]
    places.give(1)
    assert called == ["first", "second"]


def test_as_many_are_called_as_there_are_places_free() -> None:
    """Escaped because places were only ever given back one at a time."""
    called: list[str] = []
    places = Places(3)
    places.take(3, lambda: None)
    for name in ("first", "second", "third"):
        places.take(1, lambda name=name: called.append(name))  # type: ignore[misc]  # mypy cannot type a bound default
    places.give(2)
    assert called == ["first", "second"]


def test_who_asks_again_and_again_is_called_once() -> None:
    called: list[None] = []
    places = Places(0)

    def call_back() -> None:
        called.append(None)

    for _ in range(3):
        places.take(1, call_back)
    places.give(1)
    places.give(1)
    assert called == [None]


def test_retries_never_take_the_quarter_kept_for_what_is_new() -> None:
    """Escaped because a lane's own reserve was tested alone: forty lanes of retries took every place there was."""
    places = Places(256)
    lanes = [places.take(6, lambda: None, retries=6) for _ in range(43)]
    assert sum(retries for _, retries in lanes) == 192
    assert places.take(8, lambda: None)[0] == 0, "asked for, and not yet given back"
    for taken, retries in lanes:
        places.give(taken - retries)
    assert places.take(64, lambda: None) == (64, 0)


def test_who_lacked_a_retrys_place_is_called_when_a_retry_ends_and_not_for_anything_else() -> None:
    called: list[str] = []
    places = Places(8)
    assert places.take(7, lambda: None, retries=6) == (7, 6)
    assert places.take(1, lambda: called.append("short"), retries=1) == (1, 0)
    places.give(1)
    assert called == []
    places.give(1, retries=1)
    assert called == ["short"]


def test_no_retry_is_promised_that_has_no_place() -> None:
    places = Places(2)
    assert places.take(1, lambda: None, retries=8) == (1, 1)
    assert places.take(1, lambda: None, retries=8) == (1, 0), "one of two is kept for what is new"


def test_a_retrys_place_that_came_free_while_no_place_was_is_told_of_when_one_is() -> None:
    """Escaped because retries and their places were given back together; a claim that found only news gives them apart."""
    called: list[str] = []
    places = Places(8)
    places.take(7, lambda: None, retries=6)
    places.take(1, lambda: called.append("short"), retries=1)
    places.give(0, retries=6)
    assert called == []
    places.give(1)
    assert called == ["short"]
