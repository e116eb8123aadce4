"""Keys in, indicators out, facts recorded: in virtual time, against the stand-in platform on loopback."""

import asyncio
from itertools import pairwise

import pytest

from relay.core.activity import Accepted, Activity, Kind
from relay.core.indicator import Address, Indicator
from relay.core.timings import StopMode, Timings
from relay.errors import Rejected, TooSoon, Unavailable
from relay.sandbox.chaos import Chaos, Forced
from tests.flow.river import ADDRESS, KEY, SESSION, now_ms, river

pytestmark = pytest.mark.looptime

OTHER = "6f0c2f9e-8a52-4d7e-9d3a-0123456789ab"


async def test_forty_keys_and_silence_are_typing_refreshed_then_paused_then_stopped() -> None:
    async with river() as it:
        await it.keys(40, every_ms=100)
        await it.wait(20_000)
        told = it.told()
    assert [what for _, what in told] == ["typing", "typing", "typing", "paused", "typing_stopped"]
    assert all(b - a >= 2000 for (a, _), (b, _) in pairwise(told))
    assert told[0][0] == 0
    # Refreshes R = 2,300 apart. Last key at 3,900: paused P = 2,500 later but I = 2,000 after the last call,
    # stopped S = 6,000 later; each up to a tick of 100 late.
    assert 6600 <= told[3][0] <= 6800
    assert 9900 <= told[4][0] <= 10_000
    assert it.transitions() == [
        ("typing", "keystroke"),
        ("paused", "silence"),
        ("typing_stopped", "silence"),
    ]
    assert [b.cause.value for b in it.broadcasts()] == ["start", "refresh", "refresh", "pause", "stop"]
    assert it.platform.probes == 1
    assert it.platform.identity.granted == 1


async def test_terminal_mode_lets_silence_lapse_and_stops_for_a_message() -> None:
    async with river(timings=Timings(stop_mode=StopMode.TERMINAL)) as it:
        it.type()
        await it.wait(15_000)
        assert [what for _, what in it.told()] == ["typing"]
        it.type()
        await it.wait(500)
        it.act(Kind.MESSAGE_SENT)
        await it.wait(5000)
        assert [what for _, what in it.told()] == ["typing", "typing", "typing_stopped"]


async def test_a_stop_inside_the_interval_is_sent_when_the_gate_opens_and_no_typing_between() -> None:
    """The tutorial's limiter threw here, and the indicator stayed on."""
    async with river() as it:
        it.type()
        await it.wait(500)
        it.act(Kind.MESSAGE_SENT)
        await it.wait(5000)
        told = it.told()
    assert [what for _, what in told] == ["typing", "typing_stopped"]
    assert 2000 <= told[1][0] <= 2100


async def test_a_429_never_sends_its_payload_again_after_the_agent_stopped() -> None:
    async with river(Forced(status=429, headers={"Retry-After": "3"})) as it:
        it.type()
        await it.wait(1000)
        it.act(Kind.CLEARED)
        await it.wait(10_000)
        assert [what for _, what in it.told()] == ["typing"]


async def test_three_429s_in_a_row_are_a_failure_and_are_said_to_be_one() -> None:
    """The tutorial fell out of its loop and booked this as success."""
    async with river(*[Forced(status=429, headers={"Retry-After": "1"})] * 3) as it:
        await it.keys(40, every_ms=200)
        booked = it.broadcasts()
    assert [b.success for b in booked] == [False] * 3
    assert [b.attempts for b in booked] == [1, 2, 3]
    assert booked[-1].is_given_up
    assert booked[-1].error == "exhausted"
    assert it.observer.tally.display_rate == 0.0


async def test_thirty_first_calls_at_once_ask_for_one_token() -> None:
    async with river(burst=60, rate_per_minute=3000) as it:
        for number in range(30):
            it.type(address=Address(f"{number:08x}-8a52-4d7e-9d3a-0123456789ab", f"guest-{number}"))
        await it.wait(1000)
        assert len(it.arrivals()) == 30
        assert it.platform.identity.granted == 1


async def test_a_token_revoked_in_mid_life_costs_one_renewal_and_loses_nothing() -> None:
    async with river() as it:
        it.type()
        await it.wait(1000)
        it.platform.identity.revoke_all()
        await it.keys(10, every_ms=200)
        await it.wait(500)
        assert [b.success for b in it.broadcasts()] == [True, True]
        assert it.platform.identity.granted == 2


async def test_a_session_that_is_not_active_is_told_nothing_and_its_tracker_learns_why() -> None:
    async with river(chaos=Chaos.none().changed(session_status="DISCONNECTED")) as it:
        it.type()
        await it.wait(500)
        it.act(Kind.CLEARED)
        it.type()
        await it.wait(500)
        assert it.arrivals() == []
        assert [(b.success, b.error) for b in it.broadcasts()] == [(False, "refused")]
        assert "not active" in it.broadcasts()[0].message
        assert it.suppressed() == ["muted"]


async def test_a_thinking_bot_keeps_the_indicator_alive_and_its_lost_lease_ends_it() -> None:
    async with river() as it:
        it.act(Kind.THINKING, actor="bot", thinking_id="run-1")
        await it.wait(14_000)
        refreshed = it.told()
        await it.wait(10_000)
        assert refreshed[0][0] >= 300  # the delay that spares instant answers a flash
        assert {what for _, what in refreshed} == {"typing"}
        assert all(b - a <= 3000 for (a, _), (b, _) in pairwise(refreshed))
        assert it.transitions()[-1] == ("typing_stopped", "lease_lost")
        assert it.told()[-1][1] == "typing_stopped"


async def test_an_instant_answer_causes_no_flash() -> None:
    async with river() as it:
        it.act(Kind.THINKING, actor="bot", thinking_id="run-1")
        await it.wait(200)
        it.act(Kind.MESSAGE_SENT, actor="bot")
        await it.wait(5000)
        assert it.told() == []
        assert it.transitions() == []


async def test_one_actors_stop_does_not_stop_the_other() -> None:
    async with river() as it:
        it.type(actor="a")
        it.type(actor="b")
        await it.wait(1000)
        it.act(Kind.CLEARED, actor="a")
        await it.wait(1400)
        assert it.transitions() == [("typing", "keystroke")]


async def test_private_notes_never_leave_the_relay() -> None:
    async with river() as it:
        await it.keys(10, every_ms=100, is_public=False)
        await it.wait(10_000)
        assert it.told() == []
        assert it.facts == []


async def test_a_full_outbox_stops_no_indicator() -> None:
    async with river() as it:
        it.is_full = True
        it.type()
        await it.wait(100)
        assert [what for _, what in it.told()] == ["typing"]


async def test_an_order_that_could_not_be_recorded_says_whether_it_was_made() -> None:
    """A caller who takes a 503 for "nothing happened" would show it once more."""
    async with river(Forced(status=403)) as it:
        it.is_full = True
        with pytest.raises(Unavailable, match="was not taken by the platform"):
            await it.order(Indicator.TYPING)
        assert it.broadcasts() == []
    async with river() as it:
        it.is_full = True
        with pytest.raises(Unavailable, match="was made"):
            await it.order(Indicator.TYPING)
        assert [what for _, what in it.told()] == ["typing"]


async def test_an_idle_session_is_forgotten_and_leaves_no_timer() -> None:
    async with river() as it:
        it.type()
        await it.wait(200_000)
        assert len(it.flow.sessions) == 0
        assert +it.flow.sessions.by_state == {}


async def test_a_batch_with_one_foreign_address_applies_nothing() -> None:
    async with river() as it:
        it.type()
        good = Activity("guest", Address(OTHER, "guest-1"), "desk", "a", Kind.KEYSTROKE)
        bad = Activity("guest", Address(SESSION, "somebody-else"), "desk", "a", Kind.KEYSTROKE)
        with pytest.raises(Rejected) as refused:
            it.flow.accept([good, bad])
        assert refused.value.status == 422
        assert refused.value.problems[0][0].startswith("1.")
        assert len(it.flow.sessions) == 1


async def test_an_id_that_a_session_alive_is_posted_without_is_named_and_no_other() -> None:
    """Escaped because of a new session the door says it, which does not ask about one that is alive."""
    async with river() as it:
        it.type()
        for silence_s in (0, 15):  # busy, when it may not move; and then it may
            await asyncio.sleep(silence_s)
            with pytest.raises(Rejected) as refused:
                it.type(address=Address(ADDRESS.session_id))
            assert [place for place, _ in refused.value.problems] == ["0.guestId"]


async def test_at_the_cap_a_new_session_is_refused_and_those_alive_go_on() -> None:
    async with river(max_sessions=1) as it:
        it.type()
        with pytest.raises(Rejected) as refused:
            it.type(address=Address(OTHER, "guest-1"))
        assert (refused.value.status, refused.value.problems[0][0]) == (429, "0.sessionId")
        assert refused.value.retry_after_s
        it.type()


async def test_a_batch_past_its_sources_cap_opens_none_of_its_sessions() -> None:
    async with river(source_caps={"desk": 1}) as it:
        addresses = (ADDRESS, Address(OTHER, "guest-1"))
        batch = [Activity("guest", one, "desk", "agent-7", Kind.KEYSTROKE) for one in addresses]
        with pytest.raises(Rejected) as refused:
            it.flow.accept(batch)
        assert (refused.value.status, len(it.flow.sessions)) == (429, 0)
        it.flow.accept(batch[:1])
        with pytest.raises(Rejected) as refused:
            it.flow.accept(batch)
        assert [place for place, _ in refused.value.problems] == ["1.sessionId"], (
            "the other may be sent again"
        )


async def test_a_stop_comes_through_when_the_budget_is_spent() -> None:
    """Ten permits a minute, all spent on starts: the tenth kept for stops carries the message's stop."""
    async with river(rate_per_minute=20, burst=10) as it:
        it.type()
        for number in range(1, 40):
            it.type(address=Address(f"{number:08x}-8a52-4d7e-9d3a-0123456789ab", f"guest-{number}"))
        await it.wait(1900)
        it.act(Kind.MESSAGE_SENT)
        await it.wait(1100)
        stops = [a for a in it.arrivals() if a.indicator is Indicator.STOPPED]
        assert [a.session_id for a in stops] == [SESSION]


async def test_after_a_restart_the_gate_stays_closed_until_the_old_process_cannot_have_spoken() -> None:
    async with river(gate_at=now_ms() + 4000) as it:
        it.type()
        await it.keys(10, every_ms=500)
        assert 4000 <= it.told()[0][0] <= 4100


async def test_drain_stops_every_open_session_and_tells_the_platform_in_time() -> None:
    async with river() as it:
        it.type()
        await it.wait(1500)
        await it.flow.drain()
        assert it.transitions()[-1] == ("typing_stopped", "shutdown")
        assert it.told()[-1][1] == "typing_stopped"
        with pytest.raises(Unavailable):
            it.type()


async def test_drain_gives_up_on_a_platform_that_hangs() -> None:
    async with river(Forced(delay_ms=60_000)) as it:
        it.type()
        await it.wait(100)
        began = now_ms()
        await it.flow.drain()
        assert now_ms() - began <= 3100


async def test_drain_waits_for_no_ordered_display_to_lapse() -> None:
    """Escaped because drain was tried with typing agents only; the one-shot command took three seconds to end."""
    async with river() as it:
        await it.order(Indicator.TYPING)
        began = now_ms()
        await it.flow.drain()
        assert now_ms() - began < 100
        assert [what for _, what in it.told()] == ["typing"]


async def test_an_order_is_answered_and_recorded_and_refreshes_nothing() -> None:
    async with river() as it:
        result = await it.order(Indicator.TYPING)
        await it.wait(20_000)
        assert result.status == 200
        assert [b.audit_id for b in it.broadcasts()] == [result.audit_id]
        assert it.told() == [(0, "typing")]
        assert it.transitions() == []


async def test_an_order_inside_the_interval_is_told_how_long_to_wait() -> None:
    async with river() as it:
        await it.order(Indicator.TYPING)
        await it.wait(500)
        with pytest.raises(TooSoon) as refused:
            await it.order(Indicator.STOPPED)
        assert 1400 <= refused.value.wait_ms <= 1501
        await it.wait(refused.value.wait_ms)
        assert (await it.order(Indicator.STOPPED)).status == 200


async def test_a_refused_order_burns_no_interval() -> None:
    async with river() as it:
        with pytest.raises(Rejected):
            await it.orders.broadcast(
                ("guest", OTHER),
                Address(OTHER, None),
                indicator=Indicator.TYPING,
                duration_ms=3000,
                source="desk",
            )
        assert (await it.order(Indicator.TYPING)).status == 200


@pytest.mark.parametrize(
    ("forced", "status"),
    [
        (Forced(status=400), 502),
        (Forced(status=403), 502),
        (Forced(status=404), 409),
        (Forced(status=429, headers={"Retry-After": "7"}), 429),
        (Forced(status=500), 502),
        (Forced(delay_ms=60_000), 504),
        (Forced(reset=True), 502),
    ],
    ids=str,
)
async def test_what_the_platform_answered_is_what_an_order_is_told(forced: Forced, status: int) -> None:
    async with river(forced) as it:
        with pytest.raises(Rejected) as refused:
            await it.order(Indicator.TYPING)
        assert refused.value.status == status
        assert [b.success for b in it.broadcasts()] == [False]


async def test_an_order_to_a_session_that_is_not_active_is_a_409() -> None:
    async with river(chaos=Chaos.none().changed(session_status="TERMINATED")) as it:
        for _ in range(2):
            with pytest.raises(Rejected) as refused:
                await it.order(Indicator.TYPING)
            assert refused.value.status == 409


async def test_a_second_order_beside_a_waiting_one_is_refused_and_the_first_is_answered() -> None:
    async with river() as it:
        first = asyncio.create_task(it.order(Indicator.TYPING))
        await asyncio.sleep(0)
        with pytest.raises(TooSoon):
            await it.order(Indicator.TYPING)
        assert (await first).status == 200


async def test_an_order_nobody_waits_for_any_more_is_never_sent() -> None:
    async with river() as it:
        it.throttle.cool_off(now_ms() + 60_000)
        with pytest.raises(Unavailable):
            await it.order(Indicator.TYPING)
        await it.wait(70_000)
        assert it.arrivals() == []


async def test_while_a_session_is_busy_its_address_stays() -> None:
    async with river() as it:
        it.type()
        await it.wait(100)
        elsewhere = ADDRESS._replace(guest_id="g-2")
        with pytest.raises(Rejected, match="busy at another address"):
            it.type(address=elsewhere)
        it.act(Kind.MESSAGE_SENT)
        with pytest.raises(Rejected):
            it.type(address=elsewhere)  # the stop is still owed
        await it.wait(3000)
        it.type(address=elsewhere)
        await it.wait(1000)
        assert it.arrivals()[-1].guest_id == "g-2"
        with pytest.raises(Rejected):
            it.type()


async def test_a_session_does_not_move_to_an_address_that_is_not_one() -> None:
    async with river() as it:
        it.type()
        await it.wait(20_000)
        with pytest.raises(Rejected, match="guestId"):
            it.type(address=ADDRESS._replace(guest_id="../x"))
        it.type()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_batch_that_moves_a_session_may_not_have_both_addresses(order: tuple[int, int]) -> None:
    async with river() as it:
        it.type()
        await it.wait(20_000)
        both = (ADDRESS, ADDRESS._replace(guest_id="g-2"))
        batch = [Activity("guest", both[each], "desk", "agent-7", Kind.KEYSTROKE) for each in order]
        with pytest.raises(Rejected, match="two addresses"):
            it.flow.accept(batch)
        it.flow.accept(batch[:1])


async def test_a_probe_that_finds_no_permit_delays_no_indicator() -> None:
    async with river(rate_per_minute=20, burst=10) as it:
        for number in range(9):
            it.type(address=Address(f"{number:08x}-8a52-4d7e-9d3a-0123456789ab", f"guest-{number}"))
        await it.wait(50)
        assert len(it.arrivals()) == 9


async def test_a_mark_that_comes_to_nothing_is_not_the_sessions_last_look() -> None:
    """Marked a moment before its gate opened, a session was carried, had no wish yet, and was never armed again."""
    async with river() as it:
        it.type()
        await it.wait(500)
        it.act(Kind.MESSAGE_SENT)
        session = it.flow.sessions.get(KEY)
        assert session is not None
        session.armed_tick = 0
        it.flow.look_at(session, now_ms() + 1600)  # as a tick that runs ahead of the clock would
        await it.wait(5000)
        assert [what for _, what in it.told()] == ["typing", "typing_stopped"]


async def test_what_comes_too_late_from_a_trusted_clock_opens_no_session() -> None:
    """A backlog replayed after an outage once filled the table with sessions that nothing would ever close."""
    async with river(trusted_clocks=frozenset({"desk"})) as it:
        it.type(at=it.flow.world.wall() - 60_000)
        assert len(it.flow.sessions) == 0
        it.type(at=it.flow.world.wall())
        assert len(it.flow.sessions) == 1


async def test_a_session_refused_for_want_of_a_scope_is_not_called_inactive_the_second_time() -> None:
    async with river(Forced(status=403)) as it:
        for _ in range(2):
            with pytest.raises(Rejected) as refused:
                await it.order(Indicator.TYPING)
            assert refused.value.status == 502


async def test_with_the_circuit_open_an_order_is_refused_at_once_but_a_stop_is_sent() -> None:
    """Ordered stops once ranked as starts, and an order waited five seconds for a word it could have had at once."""
    async with river(*[Forced(status=500)] * 5) as it:
        for number in range(5):
            it.type(address=Address(f"{number:08x}-8a52-4d7e-9d3a-0123456789ab", f"guest-{number}"))
        await it.wait(200)
        began = now_ms()
        with pytest.raises(Unavailable):
            await it.order(Indicator.TYPING)
        assert now_ms() == began
        assert (await it.order(Indicator.STOPPED)).status == 200


# At rest.


async def test_a_session_that_was_at_rest_goes_on_in_order_and_for_who_opened_it() -> None:
    async with river() as it:
        it.type(seq=7)
        await it.wait(100)
        it.act(Kind.MESSAGE_SENT, seq=8)
        await it.wait(20_000)
        assert it.flow.sessions.get(KEY) is None
        assert it.flow.accept([typed_by("bot", seq=7)]) == (0, 1)
        assert it.flow.accept([typed_by("bot", seq=9)]) == (1, 0)
        await it.wait(100)
        assert [what for _, what in it.told()] == ["typing", "typing_stopped", "typing"]
        session = it.flow.sessions.get(KEY)
        assert session is not None
        assert session.source == "desk"


async def test_a_session_may_wake_at_another_address_and_the_first_is_forgotten() -> None:
    async with river() as it:
        it.type()
        await it.wait(20_000)
        assert it.flow.sessions.get(KEY) is None
        it.type(address=ADDRESS._replace(guest_id="guest-18"))
        await it.wait(100)
        assert [arrival.guest_id for arrival in it.arrivals()][-1] == "guest-18"


async def test_a_source_whose_cap_was_lowered_still_wakes_its_sessions_and_opens_none() -> None:
    """Waking was refused for want of room that it does not need, and the whole batch with it."""
    addresses = [Address(f"{n:08x}-8a52-4d7e-9d3a-0123456789ab", "guest-17") for n in range(4)]
    async with river(source_caps={"desk": 5}) as it:
        for address in addresses[:3]:
            it.act(Kind.MESSAGE_SENT, address=address)
        await it.wait(10_000)
        assert it.flow.sessions.awake() == []
        it.flow.sessions.of_source = {"desk": 2}  # as a reload does
        it.type(address=addresses[0])
        assert len(it.flow.sessions.awake()) == 1
        with pytest.raises(Rejected, match="of this source"):
            it.type(address=addresses[3])


async def test_a_session_given_up_in_mid_change_leaves_the_count_right() -> None:
    async with river() as it:
        it.type()
        await it.wait(100)

        def fails(_: object) -> None:
            raise ValueError("a fault of ours")

        it.facts = []
        it.record = fails  # type: ignore[method-assign, assignment] # a fault that the river does not expect
        await it.wait(10_000)
        assert len(it.flow.sessions) == 0
        assert not +it.flow.sessions.by_state
        assert min(it.flow.sessions.by_state.values()) == 0


async def test_waking_is_no_way_to_an_address_that_is_not_one() -> None:
    async with river() as it:
        it.type()
        await it.wait(20_000)
        with pytest.raises(Rejected, match="guestId"):
            it.type(address=ADDRESS._replace(guest_id=None))
        assert KEY in it.flow.sessions


def typed_by(source: str, seq: int) -> Activity:
    return Activity("guest", ADDRESS, source, "agent-7", Kind.KEYSTROKE, seq=seq)


async def test_a_key_that_comes_too_late_from_a_trusted_clock_keeps_nobody_typing() -> None:
    """Also while typing is shown, when keys take the short way."""
    wall = 1_800_000_000_000
    async with river(trusted_clocks=frozenset({"desk"})) as it:
        it.type(at=wall + round(now_ms()))
        await it.wait(1000)
        late = Activity("guest", ADDRESS, "desk", "agent-7", Kind.KEYSTROKE, at=it.flow.world.wall() - 60_000)
        assert it.flow.accept([late]) == Accepted(0, 1)
