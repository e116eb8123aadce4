"""The main job at its defaults: the tutorial's environment, forty keys, silence."""

import asyncio
import stat
import time
from functools import partial
from itertools import pairwise

from relay.core.indicator import Indicator
from tests.whole.process import until
from tests.whole.town import GUEST, Town, assert_no_gap, event, once, session_id

KEYS, EACH_S = 40, 0.1


async def test_the_tutorials_environment_alone_does_the_whole_main_job(town: Town) -> None:
    del town.environ["WEBHOOK_SECRET"]
    async with town.relay({}) as relay:
        kept = town.home / "typing-relay.db.secret"
        secret = kept.read_text().strip()
        town.receiver.secrets = (secret,)
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        for number in range(KEYS):
            await town.type(relay)
            await asyncio.sleep(0 if number == KEYS - 1 else EACH_S)
        await until(
            lambda: town.transitions(secret=secret)[-1:] == [("stopped", "silence")],
            within_s=15,
            what="stopped",
        )
        await until(
            lambda: len(town.events("typing_indicator", secret=secret)) == len(town.calls()), within_s=5
        )
        calls = town.calls()

        assert len(calls) <= 6
        assert all(later.at - earlier.at >= 2000 for earlier, later in pairwise(calls))
        assert {Indicator.PAUSED, Indicator.STOPPED} <= {call.indicator for call in calls}
        assert {call.status for call in calls} == {
            200
        }  # the stand-in refuses any body but the contract's four
        assert {(call.session_id, call.guest_id, call.duration_ms) for call in calls} == {
            (session_id(), GUEST, 3000)
        }
        assert town.platform.identity.granted == 1
        assert town.platform.probes <= 2

        events = once(town.events(secret=secret))
        assert [e.type for e in events if e.type.startswith("session.")] == [
            "session.typing",
            "session.paused",
            "session.stopped",
        ]
        assert_no_gap(events)
        assert [
            (e.data["indicator"], e.data["success"]) for e in events if e.type == "typing_indicator.broadcast"
        ] == [(str(call.indicator), True) for call in calls]
        assert await town.audit(relay)
        assert secret not in "\n".join([relay.ready_line, *relay.said])
    assert secret not in "\n".join(relay.said)
    assert str(kept.name) in "\n".join(relay.said)


def _is_told(town: Town, number: int) -> bool:
    return bool(town.calls(number))


async def test_a_first_key_waits_for_nothing_but_the_call_and_once_the_probe(town: Town) -> None:
    """50 ms are loopback's generous share, for the best of twenty: the machine may hold up some, a wait of ours all."""
    took_ms: list[float] = []
    async with town.relay() as relay:
        for number in range(1, 21):
            sent_ms = time.time() * 1000
            await town.type(relay, number)
            await until(partial(_is_told, town, number), within_s=5, what="a first call")
            took_ms.append(town.calls(number)[0].wall - sent_ms)
            if took_ms[-1] <= 50:
                break
    assert min(took_ms) <= 50


async def test_an_event_posted_twice_has_one_effect(town: Town) -> None:
    async with town.relay() as relay:
        twice = [await town.post(relay, event(id="evt-1")) for _ in range(2)]
        await until(lambda: town.transitions()[-1:] == [("stopped", "silence")], within_s=10)
    assert [reply.value for reply in twice] == [
        {"accepted": 1, "duplicates": 0, "stale": 0},
        {"accepted": 0, "duplicates": 1, "stale": 0},
    ]
    assert town.transitions() == [("typing", "keystroke"), ("paused", "silence"), ("stopped", "silence")]
