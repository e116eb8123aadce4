from itertools import product

from relay.core.profiles import Profile, profiled
from relay.core.timings import Timings, problems

SHIPPED: tuple[Profile, ...] = ("genesys", "genesys-6000")


def test_every_shipped_profile_keeps_the_machines_promises() -> None:
    for name in SHIPPED:
        assert list(problems(profiled(Timings(), name))) == []


def test_the_documented_twelve_a_minute_are_never_asked_to_be_more() -> None:
    for name in SHIPPED:
        assert profiled(Timings(), name).max_per_minute == 12


def test_only_the_longer_display_has_room_for_twelve_a_minute_without_darkness() -> None:
    bridged = {}
    for name in SHIPPED:
        timings = profiled(Timings(), name)
        bridged[name] = 12 * timings.refresh_ms(timings.duration_ms) >= 60_000
    assert bridged == {"genesys": False, "genesys-6000": True}


def test_a_profile_leaves_alone_what_it_does_not_speak_of() -> None:
    for name, patience in product(SHIPPED, (1500, 4000)):
        assert profiled(Timings(request_timeout_ms=patience), name).request_timeout_ms == patience
    assert profiled(Timings(), "typing") == Timings()
