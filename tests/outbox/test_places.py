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
