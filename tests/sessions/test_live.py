"""One timer for all sessions: on time, never twice, never when nobody waits."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from relay.core.activity import Activity, Kind
from relay.core.indicator import Address, Indicator
from relay.core.moments import Ms
from relay.core.pacer import Pacer, Reach
from relay.core.session import Session
from relay.core.timings import TICK_MS, Timings
from relay.errors import Rejected
from relay.sessions.live import FORGET_EVERY_S, LiveSessions

pytestmark = pytest.mark.looptime

REMEMBERED_S = (Timings().request_timeout_ms + Timings().tombstone_ms) / 1000 + FORGET_EVERY_S + 0.1
"""Of a session in which nothing ever happened: until it is at rest, and then a tombstone."""


def now_ms() -> Ms:
    return asyncio.get_running_loop().time() * 1000


def typed(number: int = 0) -> Activity:
    return Activity("guest", Address(f"session-{number}", "guest"), "desk", "agent", Kind.KEYSTROKE)


def session(number: int = 0, source: str = "desk") -> Session:
    address = Address(f"session-{number}", "guest")
    return Session(
        ("guest", address.session_id), address, source, Timings(), Reach(), Pacer(), touched=now_ms()
    )


def alive(
    *,
    most: int = 10,
    of_source: Mapping[str, int] | None = None,
    on_due: Callable[[Session, Ms], None] = lambda *_: None,
) -> LiveSessions:
    def due(one: Session, now: Ms) -> None:
        one.lapse(now, [])
        on_due(one, now)

    return LiveSessions(most=most, of_source=of_source, on_due=due)


def type_in(sessions: LiveSessions, one: Session) -> None:
    one.observe(typed(), now_ms(), [])
    sessions.arm(one, now_ms())


async def test_a_deadline_is_served_within_a_tick_and_never_early() -> None:
    served: list[Ms] = []
    sessions = alive(on_due=lambda _, now: served.append(now))
    await asyncio.sleep(0.0371)
    one, began = sessions.add(session()), now_ms()
    type_in(sessions, one)
    await asyncio.sleep(3)
    assert began + 2500 <= served[0] <= began + 2500 + TICK_MS  # P: silence until paused


async def test_arming_while_serving_starts_no_second_timer() -> None:
    """It once did, and the wheel ran ahead of the clock: pauses came up to 200 ms early."""
    served: list[tuple[Ms, Ms]] = []

    def again(one: Session, now: Ms) -> None:
        served.append((now, now_ms()))
        sessions.arm(one, now)

    sessions = alive(on_due=again)
    for number in range(5):
        type_in(sessions, sessions.add(session(number)))
    await asyncio.sleep(30)
    assert served
    assert all(told == pytest.approx(real) for told, real in served)


async def test_nobody_waiting_means_no_timer() -> None:
    sessions = alive()
    type_in(sessions, sessions.add(session()))
    await asyncio.sleep(100)  # typed, paused, stopped, forgotten
    assert len(sessions) == 0
    loop = asyncio.get_running_loop()
    assert not [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined] # the loop's own list is the fact


async def test_ten_thousand_typists_hold_one_timer_handle() -> None:
    sessions = alive(most=10_000)
    for number in range(10_000):
        type_in(sessions, sessions.add(session(number)))
    loop = asyncio.get_running_loop()
    assert len(loop._scheduled) <= 2  # type: ignore[attr-defined] # as above
    sessions.close()


async def test_a_herd_of_deadlines_is_served_in_slices_and_whole() -> None:
    served: list[Session] = []
    has_begun = asyncio.Event()
    turns = 0

    def serve(one: Session, _: Ms) -> None:
        served.append(one)
        has_begun.set()

    sessions = alive(most=10_000, on_due=serve)
    for number in range(10_000):
        type_in(sessions, sessions.add(session(number)))
    async with asyncio.timeout(10):
        await has_begun.wait()
    while len(served) < 10_000:
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 3  # at least five slices of 2,000: the first is seen when it is over


async def test_the_rest_of_a_herd_is_served_at_the_clocks_own_time() -> None:
    """The slices after the first once took the next tick's time for now: timers came early, and marks came to nothing."""
    early: list[Ms] = []
    sessions = alive(most=10_000, on_due=lambda _, now: early.append(now - now_ms()))
    for number in range(10_000):
        type_in(sessions, sessions.add(session(number)))
    await asyncio.sleep(3)
    assert len(early) == 10_000
    assert max(early) < 1e-6


async def test_one_sessions_fault_stops_nobody_elses_timer() -> None:
    """An exception once left the dead timer's handle in place, and no session was ever served again."""
    served: list[str] = []

    def due(one: Session, _now: Ms) -> None:
        if one.key[1] == "session-0":
            raise ValueError("a fault of this session's")
        served.append(one.key[1])

    sessions = alive(on_due=due)
    for number in range(3):
        type_in(sessions, sessions.add(session(number)))
    await asyncio.sleep(3)
    type_in(sessions, sessions.add(session(3)))
    await asyncio.sleep(3)
    assert {"session-1", "session-2", "session-3"} <= set(served)
    assert sessions.get(("guest", "session-0")) is None


async def test_a_session_forgotten_while_it_was_armed_again_disturbs_nobody() -> None:
    sessions = alive()
    one = sessions.add(session())
    type_in(sessions, one)
    await asyncio.sleep(80)
    assert not sessions.is_awake(one)
    sessions.arm(one, now_ms())
    await asyncio.sleep(80)
    other = sessions.add(session())
    assert sessions.is_awake(other)
    assert sessions.by_state[Indicator.STOPPED] == 1


async def test_a_session_at_rest_is_still_alive_until_its_tombstone_is_over() -> None:
    sessions = alive(of_source={"desk": 1})
    one = sessions.add(session())
    type_in(sessions, one)
    await asyncio.sleep(20)  # typed, paused, stopped
    assert sessions.get(one.key) is None
    assert one.key in sessions
    assert sessions.awake() == []
    assert (len(sessions), sessions.by_state[Indicator.STOPPED], sessions.by_source["desk"]) == (1, 1, 1)
    await asyncio.sleep(REMEMBERED_S)
    assert one.key not in sessions
    assert (len(sessions), +sessions.by_state, +sessions.by_source) == (0, {}, {})


async def test_a_session_that_wakes_is_no_new_one_to_any_cap() -> None:
    sessions = alive(most=1, of_source={"desk": 1})
    type_in(sessions, sessions.add(session()))
    await asyncio.sleep(20)
    again = sessions.add(session())
    assert sessions.awake() == [again]
    assert (len(sessions), sessions.room, sessions.by_source["desk"]) == (1, 0, 1)
    with pytest.raises(Rejected):
        sessions.add(session(1))


async def test_a_herd_at_rest_is_forgotten_in_slices_and_whole() -> None:
    sessions = alive(most=10_000)
    for number in range(5000):
        sessions.arm(sessions.add(session(number)), now_ms())
    await asyncio.sleep(REMEMBERED_S)
    assert len(sessions) == 0
    assert not +sessions.by_source


async def test_forgetting_goes_on_after_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = alive()
    sessions.arm(sessions.add(session()), now_ms())
    await asyncio.sleep(10)

    def fails(*_: object, **__: object) -> list[str]:
        raise ValueError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setattr(sessions.resting, "forget", fails)
        await asyncio.sleep(10)
    await asyncio.sleep(REMEMBERED_S)
    assert len(sessions) == 0


async def test_one_given_up_meanwhile_is_not_laid_to_rest() -> None:
    """The same key may be another's by then."""
    sessions = alive()
    one, other = sessions.add(session()), session()
    sessions.arm(one, now_ms())
    sessions.add(other)
    await asyncio.sleep(10)
    assert sessions.get(one.key) is other


async def test_the_count_by_state_follows_the_sessions() -> None:
    sessions = alive()
    one = sessions.add(session())
    assert sessions.by_state[Indicator.STOPPED] == 1
    sessions.restated(Indicator.STOPPED, Indicator.TYPING)
    one.stated = Indicator.TYPING
    assert +sessions.by_state == {Indicator.TYPING: 1}


async def test_at_the_cap_a_new_session_is_refused_with_a_time_to_come_back() -> None:
    sessions = alive(most=1)
    sessions.add(session(0))
    with pytest.raises(Rejected) as refused:
        sessions.add(session(1))
    assert refused.value.status == 429
    assert refused.value.retry_after_s
    assert sessions.room == 0


async def test_at_its_cap_a_source_is_refused_and_the_others_are_not() -> None:
    sessions = alive(of_source={"desk": 1})
    sessions.add(session(0))
    with pytest.raises(Rejected, match="of this source") as refused:
        sessions.add(session(1))
    assert refused.value.retry_after_s
    sessions.add(session(2, source="bot"))


async def test_a_source_gets_its_room_back_when_a_session_is_forgotten() -> None:
    sessions = alive(of_source={"desk": 1})
    sessions.arm(sessions.add(session(0)), now_ms())
    await asyncio.sleep(REMEMBERED_S)
    assert len(sessions) == 0
    sessions.add(session(1))
