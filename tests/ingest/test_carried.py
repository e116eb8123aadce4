from relay.core.activity import Activity, Kind
from relay.core.indicator import Address
from relay.ingest.carried import MOST_ACTORS, MOST_OF_SOURCE, Carried, Carry


def did(
    kind: Kind = Kind.KEYSTROKE, *, actor: str = "agent-7", session: str = "s", **more: object
) -> Activity:
    return Activity("guest", Address(session, "g"), "crm", actor, kind, **more)  # type: ignore[arg-type] # a test's own keywords


def left(carried: Carried, load: dict[Carry, Activity]) -> list[str]:
    return [one.actor for one in carried.closed(load)]


def test_the_last_stream_of_an_actor_takes_it_along() -> None:
    carried, first, second = Carried(), dict[Carry, Activity](), dict[Carry, Activity]()
    for load in (first, second):
        carried.note(load, [did(), did()])
    assert left(carried, first) == []
    assert left(carried, second) == ["agent-7"]


def test_each_of_a_streams_actors_and_sessions_is_left_once() -> None:
    carried, load = Carried(), dict[Carry, Activity]()
    carried.note(load, [did(session="a"), did(session="b"), did(actor="bot"), did(actor="bot")])
    assert len(carried.closed(load)) == 3
    assert carried.closed(load) == []


def test_what_is_left_is_said_of_that_actor_by_the_relay_and_now() -> None:
    carried, load = Carried(), dict[Carry, Activity]()
    carried.note(
        load, [did(Kind.THINKING, thinking_id="r", seq=7, epoch=2, at=1, duration_ms=500, is_public=False)]
    )
    (one,) = carried.closed(load)
    assert one == did(Kind.ACTOR_LEFT, epoch=2, is_public=False)


def test_a_turn_that_has_ended_leaves_nothing_to_take_back() -> None:
    carried = Carried()
    for kind in (Kind.MESSAGE_SENT, Kind.CLEARED, Kind.ACTOR_LEFT, Kind.SESSION_ENDED):
        load: dict[Carry, Activity] = {}
        carried.note(load, [did(), did(kind)])
        assert carried.closed(load) == []


def test_a_message_in_mid_thought_ends_no_turn() -> None:
    carried, load = Carried(), dict[Carry, Activity]()
    carried.note(load, [did(Kind.THINKING, thinking_id="r"), did(Kind.MESSAGE_SENT, is_final=False)])
    assert left(carried, load) == ["agent-7"]


def test_a_stream_of_very_many_actors_lets_the_longest_carried_go() -> None:
    carried, load, other = Carried(), dict[Carry, Activity](), dict[Carry, Activity]()
    carried.note(load, [did(actor=f"a{number}") for number in range(MOST_ACTORS + 1)])
    assert len(load) == MOST_ACTORS
    carried.note(other, [did(actor="a0")])
    assert left(carried, other) == ["a0"], "nobody else carries it"


def test_all_streams_of_a_source_carry_no_more_together_than_it_may() -> None:
    carried = Carried()
    loads: list[dict[Carry, Activity]] = [{} for _ in range(MOST_OF_SOURCE // MOST_ACTORS + 1)]
    for number, load in enumerate(loads):
        carried.note(load, [did(actor=f"{number}.{one}") for one in range(MOST_ACTORS)])
    assert sum(map(len, loads)) == MOST_OF_SOURCE
    for load in loads:
        carried.closed(load)
    carried.note(loads[0], [did(actor=f"a{number}") for number in range(MOST_ACTORS)])
    assert len(loads[0]) == MOST_ACTORS, "what closed streams carried is room again"
