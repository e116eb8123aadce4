"""The whole room against a real receiver: in virtual time where hours pass, in real time where threads must meet."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import pytest

from relay.core.delivery import State
from relay.core.destination import LOOPBACK
from relay.core.endpoint import Standing
from relay.core.engagement import Fact, Reason, Transition
from relay.core.indicator import Indicator
from relay.core.moments import UnixMs
from relay.core.signature import Check, Keys
from relay.errors import SettingsError
from relay.outbox.outbox import Outbox
from relay.outbox.sqlite.ledger import Ledger
from relay.outbox.store import Listener
from relay.settings.endpoint import Endpoint
from relay.settings.models import Audit
from relay.settings.models import Outbox as OutboxSettings
from tests.outbox.receiver import NEW_SECRET, SECRET, Receiver, receiving

START: UnixMs = 1_795_000_000_000


def loop_wall() -> Callable[[], UnixMs]:
    """The wall clock that goes with this loop's time; any thread may read it."""
    loop = asyncio.get_running_loop()
    return lambda: START + round(loop.time() * 1000)


def typing(session: str = "s1", state: Indicator = Indicator.TYPING) -> Transition:
    return Transition(("guest", session), None, "desk", state, Reason.KEYSTROKE, 1, START)


def endpoint(url: str, **more: object) -> Endpoint:
    return Endpoint.model_validate({"url": url, "secrets": (SECRET,), "allow_cidrs": LOOPBACK} | more)


@asynccontextmanager
async def running(
    folder: Path, listener: Listener | None = None, /, *, inline: bool = True, **endpoints: Endpoint
) -> AsyncIterator[Outbox]:
    outbox = await Outbox.open(
        OutboxSettings(path=folder / "outbox.db"),
        endpoints,
        Audit(),
        wall=loop_wall(),
        inline=inline,
        listener=listener,
    )
    await outbox.start()
    try:
        yield outbox
    finally:
        await outbox.drain(0.5)
        await outbox.close()


def errors(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The error lines of the outbox, each with its endpoint."""
    at_fault = [record for record in caplog.records if record.levelno >= logging.ERROR]
    return [(record.message, vars(record)["fields"]["endpoint"]) for record in at_fault]


async def append_all(outbox: Outbox, *facts: Fact) -> None:
    await asyncio.gather(*map(outbox.append, facts))


async def until(outbox: Outbox, state: State, count: int) -> None:
    while (await outbox.depth()).by_state[state] < count:  # noqa: ASYNC110 - a listing has no event to wait for
        await asyncio.sleep(0.01)


async def test_an_appended_fact_arrives_signed_and_is_delivered(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, inline=False, tracker=endpoint(receiver.url)) as outbox:
        recorded = await outbox.append(typing())
        async with asyncio.timeout(5):
            (got,) = await receiver.until(1)
            await until(outbox, State.DELIVERED, 1)
    assert got.event_id == recorded.event_id
    assert got.data["sequence"] == 1


async def test_a_sessions_events_arrive_in_order_under_load(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, inline=False, tracker=endpoint(receiver.url)) as outbox:
        await append_all(outbox, *(typing(f"s{n % 10}") for n in range(300)))
        async with asyncio.timeout(30):
            await receiver.until(300)
    seen: dict[str, list[int]] = {}
    for got in receiver.got:
        seen.setdefault(got.data["sessionId"], []).append(got.data["sequence"])
    assert set(map(tuple, seen.values())) == {tuple(range(1, 31))}


@pytest.mark.looptime
async def test_retry_after_on_429_pauses_every_delivery_of_that_endpoint(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [429]
    receiver.headers = {"Retry-After": "60"}
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing("a"))
        await asyncio.sleep(1)
        await outbox.append(typing("b"))
        await asyncio.sleep(55)
        assert len(receiver.got) == 1
        await asyncio.sleep(15)
        assert len(receiver.got) == 3


@pytest.mark.looptime
async def test_a_failing_session_does_not_hold_up_another(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [500]
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing("a"))
        await asyncio.sleep(1)
        await append_all(outbox, typing("a"), typing("b"))
        await asyncio.sleep(1)
        assert [got.data["sessionId"] for got in receiver.got] == ["a", "b"]
        await asyncio.sleep(10)
        assert [(got.data["sessionId"], got.data["sequence"]) for got in receiver.got[2:]] == [
            ("a", 1),
            ("a", 2),
        ]


@pytest.mark.looptime
async def test_an_event_a_receiver_will_not_take_holds_up_its_session_for_ten_minutes_only(
    tmp_path: Path, receiver: Receiver
) -> None:
    """Escaped because what failed was always whole endpoints, or an event with none behind it."""
    receiver.answers = [400, 400, 400]
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await append_all(outbox, typing(), typing(), typing())
        await asyncio.sleep(590)
        assert [got.data["sequence"] for got in receiver.got] == [1, 1, 1]
        await asyncio.sleep(11)
        assert [got.data["sequence"] for got in receiver.got[3:]] == [2, 3]
        await asyncio.sleep(3600)
    assert [got.data["sequence"] for got in receiver.got[5:]] == [1]
    flags = [got.headers.get("webhook-unordered") for got in receiver.got]
    assert flags == [None, None, None, "true", "true", None]


@pytest.mark.looptime
async def test_410_disables_the_endpoint_across_restarts_until_enabled(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [410]
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing("a"))
        await asyncio.sleep(1)
        await outbox.append(typing("b"))
        await asyncio.sleep(60)
        assert outbox.endpoints.standings == {"tracker": Standing.DISABLED}
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing("c"))
        await asyncio.sleep(60)
        assert len(receiver.got) == 1
        assert (await outbox.endpoints.resume("tracker")).before is Standing.DISABLED
        await outbox.append(typing("d"))
        await asyncio.sleep(1)
        assert [got.data["sessionId"] for got in receiver.got] == ["a", "d"]
        assert len(await outbox.deliveries(State.CANCELLED)) == 3


@pytest.mark.looptime
async def test_a_disabled_endpoint_is_told_once_and_known_across_restarts(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Escaped because the record of it was looked at, and what an operator sees was not."""
    told: list[str] = []
    receiver.answers = [410, 410]
    tracker = endpoint(receiver.url)
    async with running(tmp_path, Listener(on_endpoint_disabled=told.append), tracker=tracker) as outbox:
        assert outbox.endpoints.standings == {"tracker": Standing.ACTIVE}
        await append_all(outbox, typing("a"), typing("b"))
        await asyncio.sleep(1)
        assert outbox.endpoints.standings == {"tracker": Standing.DISABLED}
    assert told == ["tracker"]
    assert errors(caplog) == [("endpoint.disabled", "tracker")]
    caplog.clear()
    async with running(tmp_path, tracker=tracker) as outbox:
        assert outbox.endpoints.standings == {"tracker": Standing.DISABLED}
        assert errors(caplog) == [("endpoint.disabled", "tracker")]
        assert (await outbox.endpoints.resume("tracker")).before is Standing.DISABLED
        assert outbox.endpoints.standings == {"tracker": Standing.ACTIVE}


async def test_an_endpoint_that_hangs_does_not_slow_another(tmp_path: Path, receiver: Receiver) -> None:
    async with receiving() as hanging:
        hanging.hold = asyncio.Event()
        ends = {"hanging": endpoint(hanging.url), "tracker": endpoint(receiver.url)}
        async with running(tmp_path, inline=False, **ends) as outbox:
            await append_all(outbox, *(typing(f"s{n}") for n in range(50)))
            async with asyncio.timeout(10):
                await receiver.until(50)
        assert hanging.at_once == 8


async def test_no_more_than_the_endpoints_concurrency_is_on_its_way(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.hold = asyncio.Event()
    async with running(tmp_path, inline=False, tracker=endpoint(receiver.url, concurrency=3)) as outbox:
        await append_all(outbox, *(typing(f"s{n}") for n in range(20)))
        async with asyncio.timeout(10):
            await receiver.until(3)
            await asyncio.sleep(0.1)
            assert receiver.at_once == 3
            receiver.hold.set()
            await receiver.until(20)
    assert receiver.most_at_once == 3


async def test_what_is_on_its_way_at_the_end_is_sent_again_by_the_next_process(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.hold = asyncio.Event()
    async with running(tmp_path, inline=False, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing())
        async with asyncio.timeout(5):
            await receiver.until(1)
    receiver.hold.set()
    async with running(tmp_path, inline=False, tracker=endpoint(receiver.url)) as outbox, asyncio.timeout(5):
        await receiver.until(2)
        await until(outbox, State.DELIVERED, 1)
    assert receiver.got[0].event_id == receiver.got[1].event_id


async def test_what_was_recorded_a_moment_before_the_end_is_still_delivered(
    tmp_path: Path, receiver: Receiver
) -> None:
    """Escaped because every test waited for its deliveries before it ended: a shutdown's stops have nobody to."""
    async with running(tmp_path, inline=False, tracker=endpoint(receiver.url, concurrency=2)) as outbox:
        recordings = [outbox.append(typing(f"s{number % 4}")) for number in range(20)]
        await outbox.drain(5)
        assert all(recording.done() for recording in recordings)
        assert len(receiver.got) == 20
        assert not (await outbox.depth()).by_state[State.PENDING]


@pytest.mark.looptime
async def test_the_end_does_not_wait_for_a_retry_that_is_due_later(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [503]
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing())
        await receiver.until(1)
        began = asyncio.get_running_loop().time()
        await outbox.drain(5)
        assert asyncio.get_running_loop().time() - began < 1
    assert len(receiver.got) == 1


async def test_sessions_left_open_are_told_as_stopped_by_the_next_process(
    tmp_path: Path, receiver: Receiver
) -> None:
    tracker = endpoint(receiver.url)
    async with running(tmp_path, inline=False, tracker=tracker) as outbox:
        await append_all(outbox, typing("open"), typing("over"), typing("over", Indicator.STOPPED))
    settings = OutboxSettings(path=tmp_path / "outbox.db")
    outbox = await Outbox.open(settings, {"tracker": tracker}, Audit(), wall=loop_wall())
    assert await outbox.close_open_sessions() == 1
    assert await outbox.close_open_sessions() == 0
    rows = await outbox.deliveries(session="open")
    assert rows[0].event_type == "session.stopped"
    await outbox.start()
    async with asyncio.timeout(5):
        await receiver.until(4)
    assert receiver.got[-1].data["sequence"] == 2
    await outbox.drain()
    await outbox.close()


async def test_a_disk_that_hangs_holds_up_a_drain_no_longer_than_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was waited for as long as it hung, and the listeners behind it in the order of a stop were never closed."""
    end, transaction = threading.Event(), Ledger.transaction

    def hung(ledger: Ledger) -> AbstractContextManager[None]:
        end.wait(20)
        return transaction(ledger)

    async with running(tmp_path, inline=False) as outbox:
        monkeypatch.setattr(Ledger, "transaction", hung)
        async with asyncio.timeout(2):
            await outbox.drain(0.1)
        end.set()


async def test_more_sessions_left_open_than_the_queue_holds_do_not_fail_the_start(tmp_path: Path) -> None:
    """Escaped because one session was left open, and the queue held twenty thousand."""
    settings = OutboxSettings(path=tmp_path / "outbox.db", max_queue=64)
    outbox = await Outbox.open(settings, {}, Audit(), wall=loop_wall())
    for number in range(200):
        await outbox.append(typing(f"s{number}"))
    await outbox.close()
    outbox = await Outbox.open(settings, {}, Audit(), wall=loop_wall())
    assert await outbox.close_open_sessions() == 200
    await outbox.close()


@pytest.mark.looptime
async def test_the_mark_of_a_living_process_is_never_behind_it(tmp_path: Path) -> None:
    async with running(tmp_path) as outbox:
        await asyncio.sleep(100)
        assert outbox.trouble is None
        last = loop_wall()()
    again = await Outbox.open(
        OutboxSettings(path=tmp_path / "outbox.db"), {}, Audit(), wall=loop_wall(), inline=True
    )
    assert again.was_clean
    assert again.last_alive is not None
    assert last <= again.last_alive <= last + 500
    await again.close()


async def test_each_attempt_is_one_log_line_without_body_or_secret(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "relay.delivery")
    async with running(tmp_path, inline=False, tracker=endpoint(receiver.url)) as outbox:
        recorded = await outbox.append(typing())
        async with asyncio.timeout(5):
            await until(outbox, State.DELIVERED, 1)
    (record,) = [record for record in caplog.records if record.name == "relay.delivery"]
    fields = vars(record)["fields"]
    assert (fields["event_id"], fields["outcome"], fields["status"]) == (recorded.event_id, "delivered", 200)
    assert SECRET.removeprefix("whsec_") not in repr(vars(record))
    assert "guestId" not in repr(vars(record))


async def test_every_live_secret_signs_what_goes_out(tmp_path: Path, receiver: Receiver) -> None:
    rotating = endpoint(
        receiver.url, secrets=(NEW_SECRET, {"secret": SECRET, "until": "2096-01-01T00:00:00Z"})
    )
    async with running(tmp_path, inline=False, tracker=rotating) as outbox:
        await outbox.append(typing())
        async with asyncio.timeout(5):
            (got,) = await receiver.until(1)
    at = int(got.headers["webhook-timestamp"])
    for held in (NEW_SECRET, SECRET):
        answer = Keys([held]).verify(
            got.event_id, str(at), got.headers["webhook-signature"], got.body, now=at * 1000
        )
        assert answer is Check.VERIFIED


async def test_endpoints_that_cannot_be_used_are_all_named_and_their_secrets_are_not(tmp_path: Path) -> None:
    bad_file = endpoint("https://tracker.example/hook", ca_file=tmp_path / "canary.pem")
    bad_secret = endpoint("https://tracker.example/hook", secrets=("whsec_canary",))
    with pytest.raises(SettingsError) as caught:
        await Outbox.open(
            OutboxSettings(path=tmp_path / "outbox.db"),
            {"one": bad_file, "two": bad_secret},
            Audit(),
            wall=loop_wall(),
        )
    assert "endpoints.one.ca_file" in str(caught.value)
    assert "endpoints.two.secrets" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert not (tmp_path / "outbox.db").exists()
