"""What an operator does to endpoints, and what the relay does by itself, in virtual time against real receivers."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count, pairwise
from pathlib import Path

import pytest

from relay.core.delivery import Answer, Failure, Filter, State, answered
from relay.core.endpoint import Circuit, Standing
from relay.core.indicator import Indicator
from relay.core.signature import Check, Keys
from relay.errors import Rejected
from relay.outbox import lane
from relay.outbox.dispatcher import Dispatcher
from relay.outbox.endpoints import Endpoints, Resumed
from relay.outbox.probe import probe_of
from relay.outbox.rows import Attempt, Selection
from relay.outbox.store import Listener, OutboxStore
from relay.outbox.targets import targets_of
from relay.outbox.webhook import Letter, Target, Webhook
from relay.settings.endpoint import Endpoint
from tests.outbox.receiver import SECRET, Answering, Receiver, receiving
from tests.outbox.test_dispatcher import LoopDisk
from tests.outbox.test_outbox import START, append_all, endpoint, loop_wall, running, typing

M_S, H_S = 60.0, 3600.0

pytestmark = pytest.mark.looptime


@pytest.fixture
async def operator() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@asynccontextmanager
async def lanes(
    folder: Path, listener: Listener | None = None, /, **endpoints: Endpoint
) -> AsyncIterator[tuple[OutboxStore, Endpoints]]:
    """A room without its upkeep, whose mark each second is a commit: days would take minutes."""
    disk = LoopDisk(folder)
    disk.filters = {name: Filter(events=one.events) for name, one in endpoints.items()}
    store = await disk.open(max_rows=30_000)
    dispatcher = Dispatcher(store, targets_of(endpoints), wall=disk.wall, listener=listener or Listener())
    store.on_work = dispatcher.wake
    rows = await store.endpoints()
    dispatcher.start(
        stopped={r.name: (r.standing, r.reason) for r in rows if r.standing is not Standing.ACTIVE}
    )
    ids = count()
    try:
        yield store, Endpoints(store, dispatcher, wall=disk.wall, new_id=lambda _: f"msg_{next(ids)}")
    finally:
        await dispatcher.stop(1)
        await store.close(is_clean=True)


def down() -> list[int | Answering]:
    return [503] * 10_000


def kinds(operator: Receiver) -> list[str]:
    return [got.type for got in operator.got]


async def test_an_open_circuit_burns_no_attempt_and_no_lease(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = down()
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await append_all(outbox, *(typing(f"s{n}") for n in range(10)))
        await asyncio.sleep(1)
        assert outbox.endpoints.circuits == {"tracker": Circuit.OPEN}
        await append_all(outbox, *(typing(f"later{n}") for n in range(20)))
        await asyncio.sleep(28)
        assert len(receiver.got) == 10
        assert {row.attempts for row in await outbox.deliveries(State.PENDING)} == {0, 1}
        assert (await outbox.depth()).by_state[State.INFLIGHT] == 0
        receiver.answers.clear()
        await asyncio.sleep(60)
        assert outbox.endpoints.circuits == {"tracker": Circuit.CLOSED}
        assert (await outbox.depth()).by_state[State.DELIVERED] == 30
    assert len(receiver.got) == 40


async def test_it_is_probed_one_at_a_time_ever_more_rarely(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = down()
    loop = asyncio.get_running_loop()
    times: list[float] = []
    heard = Listener(on_attempt=lambda *_: times.append(loop.time()))
    async with lanes(tmp_path, heard, tracker=endpoint(receiver.url)) as (store, _):
        await asyncio.gather(*(store.append(typing(f"s{n}")) for n in range(100)))
        await asyncio.sleep(H_S)
    begun = [time for time in times if time < 1]
    assert 10 <= len(begun) <= 18, "the tenth answer opens it, and eight may be on their way"
    probes = times[len(begun) :]
    waits = [later - earlier for earlier, later in pairwise(probes)]
    assert waits == pytest.approx([60, 120, 240, 480, *[600] * (len(waits) - 4)], abs=1)


async def test_a_restart_begins_closed(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [503 for _ in range(12)]
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await append_all(outbox, *(typing(f"s{n}") for n in range(12)))
        await asyncio.sleep(1)
        assert outbox.endpoints.circuits == {"tracker": Circuit.OPEN}
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        assert outbox.endpoints.circuits == {"tracker": Circuit.CLOSED}


async def test_one_dead_endpoint_among_ten_holds_up_nobody(tmp_path: Path, receiver: Receiver) -> None:
    async with receiving() as hanging:
        hanging.hold = asyncio.Event()
        ends = {f"well-{n}": endpoint(receiver.url) for n in range(9)} | {"dead": endpoint(hanging.url)}
        async with lanes(tmp_path, **ends) as (store, endpoints):
            for second in range(1, 31):
                await asyncio.gather(*(store.append(typing(f"s{n}")) for n in range(10)))
                async with asyncio.timeout(0.5):
                    await receiver.until(second * 90)
                await asyncio.sleep(1)
            assert endpoints.circuits["dead"] is Circuit.OPEN


@pytest.mark.long
async def test_a_tracker_that_is_down_for_five_days_is_disabled_and_told_of_and_not_before(
    tmp_path: Path,
    receiver: Receiver,
    operator: Receiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.ERROR)
    receiver.answers = down()
    ends = {
        "tracker": endpoint(receiver.url),
        "operator": endpoint(operator.url, events=("endpoint.*", "message.*")),
    }
    monkeypatch.setattr(lane, "LOOK_AGAIN_S", H_S)  # nobody sets the wall clock here, and it is five days
    async with lanes(tmp_path, **ends) as (store, endpoints):
        for hour in range(0, 136, 4):
            await store.append(typing(f"at-{hour}"))
            await asyncio.sleep(4 * H_S)
            assert hour > 115 or endpoints.standings["tracker"] is Standing.ACTIVE
        assert endpoints.standings["tracker"] is Standing.DISABLED
        (row,) = [row for row in await store.endpoints() if row.name == "tracker"]
        assert 120 <= (row.since - row.last_success) / H_S / 1000 <= 126
    assert "endpoint.disabled" in [record.getMessage() for record in caplog.records]
    assert kinds(operator).count("endpoint.disabled") == 1
    async with lanes(tmp_path, **ends) as (_, endpoints):
        assert endpoints.standings["tracker"] is Standing.DISABLED


async def test_turns_are_told_to_who_asks_and_never_to_the_tracker_itself(
    tmp_path: Path, receiver: Receiver, operator: Receiver
) -> None:
    receiver.answers = [503 for _ in range(11)]
    ends = {
        "tracker": endpoint(receiver.url, events=("*", "endpoint.*", "message.*")),
        "operator": endpoint(operator.url, events=("endpoint.*",)),
    }
    async with lanes(tmp_path, **ends) as (store, _):
        await asyncio.gather(*(store.append(typing(f"s{n}")) for n in range(12)))
        await asyncio.sleep(5 * M_S)
    assert kinds(operator) == ["endpoint.degraded", "endpoint.recovered"]
    assert operator.got[0].data["endpoint"] == "tracker"
    assert not [got for got in receiver.got if got.type.startswith(("endpoint.", "message."))]


async def test_a_recovery_is_told_though_the_relay_was_started_anew_meanwhile(
    tmp_path: Path, receiver: Receiver, operator: Receiver
) -> None:
    """The circuit begins closed, so that no turn of it could say so: the operator was left with `degraded`."""
    receiver.answers = [503 for _ in range(12)]
    ends = {"tracker": endpoint(receiver.url), "operator": endpoint(operator.url, events=("endpoint.*",))}
    async with lanes(tmp_path, **ends) as (store, _):
        await asyncio.gather(*(store.append(typing(f"s{n}")) for n in range(12)))
        await asyncio.sleep(4)
    assert kinds(operator) == ["endpoint.degraded"]
    async with lanes(tmp_path, **ends):
        await asyncio.sleep(10 * M_S)
    async with lanes(tmp_path, **ends) as (store, _):
        await store.append(typing("later"))
        await asyncio.sleep(M_S)
    assert kinds(operator) == ["endpoint.degraded", "endpoint.recovered"]
    assert operator.got[1].data["since"] == operator.got[0].data["since"]


async def test_a_resume_of_a_disabled_one_is_told_to_who_was_told_that_it_was(
    tmp_path: Path, receiver: Receiver, operator: Receiver
) -> None:
    receiver.answers = [410]
    ends = {"tracker": endpoint(receiver.url), "operator": endpoint(operator.url, events=("endpoint.*",))}
    async with lanes(tmp_path, **ends) as (store, _):
        await store.append(typing())
        await asyncio.sleep(5)
    async with lanes(tmp_path, **ends) as (_, endpoints):
        await endpoints.resume("tracker")
        await endpoints.pause("tracker")
        await endpoints.resume("tracker")
        await asyncio.sleep(5)
    assert kinds(operator) == ["endpoint.disabled", "endpoint.recovered"]
    assert operator.got[1].data["why"] == "resumed by its operator"


async def test_two_dead_trackers_that_ask_for_each_others_fate_set_off_no_cascade(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with receiving() as other:
        receiver.answers, other.answers = down(), down()
        asks = ("*", "endpoint.*", "message.*")
        ends = {"one": endpoint(receiver.url, events=asks), "two": endpoint(other.url, events=asks)}
        async with lanes(tmp_path, **ends) as (store, _):
            await asyncio.gather(*(store.append(typing(f"s{n}")) for n in range(20)))
            await asyncio.sleep(24 * H_S)
            about = [row for row in await store.deliveries(Selection(limit=1000)) if row.key[0] == ""]
    told: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in reversed(about):
        told[row.endpoint, row.event_type].append(row.recorded_at)
    assert {kind for _, kind in told} == {"endpoint.degraded", "message.attempt.failing"}
    assert all(later - earlier >= H_S * 1000 for times in told.values() for earlier, later in pairwise(times))


async def test_a_pause_holds_everything_over_a_restart_and_loses_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    tracker = endpoint(receiver.url)
    async with running(tmp_path, tracker=tracker) as outbox:
        assert await outbox.endpoints.pause("tracker")
        await append_all(outbox, *(typing(f"s{n}") for n in range(5)))
        await asyncio.sleep(M_S)
    async with running(tmp_path, tracker=tracker) as outbox:
        assert outbox.endpoints.standings == {"tracker": Standing.PAUSED}
        await append_all(outbox, *(typing(f"s{n}") for n in range(5)))
        await asyncio.sleep(M_S)
        assert receiver.got == []
        assert await outbox.endpoints.waiting() == {"tracker": 10}
        assert (await outbox.endpoints.resume("tracker")).before is Standing.PAUSED
        await asyncio.sleep(1)
        assert (await outbox.depth()).by_state[State.DELIVERED] == 10
    assert [got.data["sequence"] for got in receiver.got[-5:]] == [2] * 5


async def test_what_waits_for_its_next_attempt_goes_as_soon_as_its_operator_says_that_it_is_mended(
    tmp_path: Path, receiver: Receiver
) -> None:
    """Down for a minute and a half, up again, and waited for five minutes: nothing could hurry it."""
    receiver.answers = down()
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await append_all(outbox, *(typing(f"s{n % 3}") for n in range(30)))
        await asyncio.sleep(90)
        receiver.answers.clear()
        await asyncio.sleep(30)
        assert await outbox.endpoints.waiting() == {"tracker": 30}
        receiver.got.clear()
        assert await outbox.endpoints.resume("tracker") == Resumed(Standing.ACTIVE, 3)
        await asyncio.sleep(1)
        assert (await outbox.depth()).by_state[State.DELIVERED] == 30
    for session in ("s0", "s1", "s2"):
        told = [got.data["sequence"] for got in receiver.got if got.data["sessionId"] == session]
        assert told == list(range(1, 11)), "in order, each once"


async def test_a_tracker_that_asked_for_an_hour_is_not_waited_for_once_it_is_said_to_be_mended(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers, receiver.headers = [503], {"Retry-After": "3600"}
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing())
        await asyncio.sleep(90)
        await outbox.endpoints.pause("tracker")
        assert await outbox.endpoints.resume("tracker") == Resumed(Standing.PAUSED, 1)
        await asyncio.sleep(1)
        assert (await outbox.depth()).by_state[State.DELIVERED] == 1


async def test_a_crowd_that_is_hurried_goes_one_at_a_time_first_and_then_a_few(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = down()
    async with running(tmp_path, tracker=endpoint(receiver.url, concurrency=4)) as outbox:
        await append_all(outbox, *(typing(f"s{n}") for n in range(250)))
        await asyncio.sleep(1)
        assert outbox.endpoints.circuits == {"tracker": Circuit.OPEN}
        for _ in range(12):  # and none is spent by it
            before = len(receiver.got)
            await outbox.endpoints.resume("tracker")
            await asyncio.sleep(1)
            assert len(receiver.got) == before + 1
        receiver.answers.clear()
        receiver.most_at_once = 0
        await outbox.endpoints.resume("tracker")
        await asyncio.sleep(60)
        assert (await outbox.depth()).by_state[State.DELIVERED] == 250
    assert receiver.most_at_once <= 4


async def test_what_is_on_its_way_when_a_pause_begins_ends_as_it_does(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.hold = asyncio.Event()
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        await outbox.append(typing())
        await receiver.until(1)
        await outbox.endpoints.pause("tracker")
        receiver.hold.set()
        await asyncio.sleep(1)
        assert (await outbox.depth()).by_state[State.DELIVERED] == 1


async def test_a_test_is_signed_goes_out_whatever_the_standing_and_is_recorded_nowhere(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [500]
    async with running(tmp_path, tracker=endpoint(receiver.url, headers={"x-team": "desk"})) as outbox:
        await outbox.endpoints.pause("tracker")
        failed, passed = [await outbox.endpoints.test("tracker") for _ in range(2)]
        assert await outbox.deliveries() == []
    assert (failed.status, failed.failure) == (500, Failure.STATUS)
    assert (passed.status, passed.failure) == (200, None)
    got = receiver.got[1]
    assert (got.type, got.headers["x-team"]) == ("endpoint.test", "desk")
    assert got.event_id != receiver.got[0].event_id
    signed = (got.headers["webhook-id"], got.headers["webhook-timestamp"], got.headers["webhook-signature"])
    assert Keys([SECRET]).verify(*signed, got.body, now=loop_wall()()) is Check.VERIFIED


async def test_a_test_goes_through_the_guard(tmp_path: Path, receiver: Receiver) -> None:
    disk = LoopDisk(tmp_path)
    store = await disk.open()
    barred = {"all": Target(receiver.url, Keys([SECRET]))}
    dispatcher = Dispatcher(store, barred, wall=disk.wall, listener=Listener())
    attempt = await dispatcher.test("all", probe_of("all", "msg_1", START))
    assert (attempt.failure, receiver.got) == (Failure.BLOCKED_ADDRESS, [])
    await dispatcher.stop(0)
    await store.close(is_clean=True)


async def test_one_test_at_a_time(tmp_path: Path, receiver: Receiver) -> None:
    receiver.hold = asyncio.Event()
    async with running(tmp_path, tracker=endpoint(receiver.url)) as outbox:
        first = asyncio.create_task(outbox.endpoints.test("tracker"))
        await receiver.until(1)
        with pytest.raises(Rejected, match="on its way"):
            await outbox.endpoints.test("tracker")
        receiver.hold.set()
        assert (await first).status == 200


async def test_an_unknown_name_is_told_the_known_ones(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, crm=endpoint(receiver.url), desk=endpoint(receiver.url)) as outbox:
        for deed in (outbox.endpoints.pause, outbox.endpoints.resume, outbox.endpoints.test):
            with pytest.raises(Rejected, match="configured: crm, desk"):
                await deed("nobody")


async def test_a_rate_is_kept_and_waiting_for_it_costs_no_attempt(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, tracker=endpoint(receiver.url, rate_per_s=2)) as outbox:
        await append_all(outbox, *(typing(f"s{n}") for n in range(60)))
        await asyncio.sleep(0.1)
        assert len(receiver.got) == 4, "two seconds' worth at once"
        await asyncio.sleep(10)
        assert 23 <= len(receiver.got) <= 25
        assert {row.attempts for row in await outbox.deliveries(State.PENDING)} == {0}
        await asyncio.sleep(20)
        assert len(receiver.got) == 60


@pytest.mark.long
async def test_new_deliveries_find_places_while_more_endpoints_retry_than_there_are_places_for(
    tmp_path: Path, receiver: Receiver
) -> None:
    """The places over all endpoints are kept in part for what is new, as each lane's own are."""
    async with receiving() as hanging:
        hanging.answers = [500 for _ in range(320)]
        ends = {
            f"dead-{n}": endpoint(hanging.url, events=("session.typing",), timeout_s=120) for n in range(40)
        }
        async with lanes(tmp_path, **ends, well=endpoint(receiver.url)) as (store, _):
            await asyncio.gather(*(store.append(typing(f"s{n}")) for n in range(8)))
            while hanging.answers:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.1)
            hanging.hold = asyncio.Event()  # and now the retries hang
            while hanging.at_once < 192:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.1)
            before = len(receiver.got)
            await asyncio.gather(*(store.append(typing(f"new{n}", Indicator.PAUSED)) for n in range(8)))
            async with asyncio.timeout(1):
                await receiver.until(before + 8)
            assert hanging.at_once == 192, "three quarters of all places"


@pytest.mark.parametrize("resumed_first", ["tracker", "other"])
async def test_a_resume_and_a_410_of_one_commit_leave_file_and_lane_of_one_mind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumed_first: str
) -> None:
    """A commit did all resumes together and the lanes heard of each in its turn: shown as active, and all was cancelled."""
    waiting: dict[str, asyncio.Future[int]] = {}

    async def send(hook: Webhook, _letter: Letter) -> tuple[Attempt, Answer]:
        status = waiting[hook._url.path] = asyncio.get_running_loop().create_future()
        answer = answered(await status)
        return Attempt(0, answer.status, answer.failure, 1.0, 1.0, b""), answer

    monkeypatch.setattr(Webhook, "send", send)
    url = "http://127.0.0.1:9"
    async with running(
        tmp_path, tracker=endpoint(f"{url}/tracker"), other=endpoint(f"{url}/other")
    ) as outbox:
        await outbox.append(typing())
        await asyncio.sleep(0.5)
        first = asyncio.create_task(outbox.endpoints.resume(resumed_first))
        waiting["/tracker"].set_result(410)
        await asyncio.gather(first, outbox.endpoints.resume("tracker"))
        await asyncio.sleep(0.1)
        in_file = {row.name: row.standing for row in await outbox.endpoints.rows()}
        assert in_file["tracker"] is outbox.endpoints.standings["tracker"]
