import pytest

from relay import wire
from relay.core.moments import Ms
from relay.errors import Rejected
from relay.ingest.accounts import Account, Accounts
from relay.observe.metrics import Metrics
from relay.settings.models import LOCAL
from tests.ingest.house import EVENT, key_settings, opened, settings, sure
from tests.ingest.test_body import HEAD

CALM = sure("calm", seed=2)


def sources(**crm: object) -> dict[str, dict[str, object]]:
    """`crm` with these settings beside a `calm` one with none of its own."""
    return {"crm": {"keys": [key_settings(sure())]} | crm, "calm": {"keys": [key_settings(CALM)]}}


def account(**crm: object) -> Account:
    return Accounts(settings(sources=sources(**crm)), metrics=Metrics())["crm"]


async def test_requests_past_the_rate_and_its_burst_are_429_before_the_body_is_read() -> None:
    async with opened(settings(sources=sources(requests_per_s=2))) as house:
        assert [(await house.post(EVENT)).status for _ in range(5)] == [202] * 4 + [429]
        head = HEAD + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 99\r\n\r\n"
        answer = await house.said(head)
        assert answer.startswith(b"HTTP/1.1 429"), "nobody invited the body"
        assert b"Retry-After: 1\r\n" in answer
        house.now = 500
        assert (await house.post(EVENT)).status == 202


async def test_one_source_over_its_rate_costs_the_others_nothing() -> None:
    async with opened(settings(sources=sources(requests_per_s=1, events_per_s=1))) as house:
        assert [(await house.post(EVENT)).status for _ in range(4)] == [202, 202, 429, 429]
        assert {(await house.post(EVENT, key=CALM.key)).status for _ in range(50)} == {202}


async def test_bytes_past_the_rate_are_429_by_what_is_announced() -> None:
    async with opened(settings(sources=sources(bytes_per_s=1024))) as house:
        big = wire.dumps(EVENT) + b" " * 2000  # two seconds' worth is 2,048 bytes
        assert [(await house.post(big)).status for _ in range(2)] == [202, 429]


async def test_bytes_that_were_not_announced_are_paid_by_the_next_request() -> None:
    async with opened(settings(sources=sources(bytes_per_s=1024))) as house:
        body = wire.dumps(EVENT) + b" " * 4000
        chunked = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
        assert (await house.said(chunked % (len(body), body))).startswith(b"HTTP/1.1 202")
        assert (await house.post(EVENT)).status == 429


UNANNOUNCED = b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n"
COME_TO_NOTHING = {
    "not JSON": HEAD + UNANNOUNCED % (4000, b"{" * 4000) + b"0\r\n\r\n",
    "too large": HEAD + UNANNOUNCED % (70_000, b" " * 70_000) + b"0\r\n\r\n",
    "a bad line": HEAD.replace(b"json", b"x-ndjson") + UNANNOUNCED % (4000, b"{\n" * 2000) + b"0\r\n\r\n",
    "no order": HEAD.replace(b"events", b"broadcasts") + UNANNOUNCED % (4000, b"{" * 4000) + b"0\r\n\r\n",
}


@pytest.mark.parametrize("raw", COME_TO_NOTHING.values(), ids=COME_TO_NOTHING)
async def test_bytes_that_were_not_announced_are_paid_also_where_they_come_to_nothing(raw: bytes) -> None:
    small = {"port": 0, "max_batch_bytes": 65_536}
    async with opened(settings(server=small, sources=sources(bytes_per_s=1024))) as house:
        assert (await house.said(raw)).startswith(b"HTTP/1.1 4")
        assert (await house.post(EVENT)).status == 429


async def test_events_past_the_rate_are_429_and_none_of_them_is_applied() -> None:
    async with opened(settings(sources=sources(events_per_s=10))) as house:
        first = await house.post([EVENT | {"id": f"e{n}"} for n in range(20)])
        more = await house.post([EVENT | {"id": f"f{n}"} for n in range(5)])
        assert (first.status, more.status, len(house.taken)) == (202, 429, 20)
        assert more.headers["Retry-After"] == "1"
        house.now = 500
        again = await house.post([EVENT | {"id": f"f{n}"} for n in range(5)])
        assert await again.json() == {"accepted": 5, "duplicates": 0, "stale": 0}


async def test_a_refused_body_costs_no_events() -> None:
    async with opened(settings(sources=sources(events_per_s=1))) as house:
        assert {(await house.post(EVENT | {"seq": -1})).status for _ in range(50)} == {422}
        assert (await house.post(EVENT)).status == 202


async def test_a_429_names_the_setting_and_is_counted() -> None:
    async with opened(settings(sources=sources(requests_per_s=1))) as house:
        answers = [await house.post(EVENT) for _ in range(3)]
        assert "requests_per_s" in (await answers[-1].json(content_type=None))["detail"]
        assert house.counted('relay_refused_requests_total{reason="too_many"}') == 1


async def test_an_order_is_a_request_of_its_source() -> None:
    async with opened(settings(sources=sources(requests_per_s=1))) as house:
        order = {"sessionId": EVENT["sessionId"], "guestId": "g-17", "type": "typing"}
        assert [(await house.post(order, "/v1/broadcasts")).status for _ in range(3)] == [200, 200, 429]


async def test_two_sources_may_use_one_id() -> None:
    async with opened(settings(sources=sources())) as house:
        for key in (sure().key, CALM.key, sure().key):
            await house.post(EVENT | {"id": "a"}, key=key)
        assert [one.source for one in house.taken] == ["crm", "calm"]


async def test_a_flood_of_ids_of_one_source_forgets_none_of_another() -> None:
    async with opened(settings(sources=sources(), server={"port": 0, "dedupe_ids": 10})) as house:
        await house.post(EVENT | {"id": "a"}, key=CALM.key)
        await house.post([EVENT | {"id": f"e{n}"} for n in range(100)])
        again = await house.post(EVENT | {"id": "a"}, key=CALM.key)
        assert (await again.json())["duplicates"] == 1
        assert house.counted("relay_forgotten_event_ids_total") == 90


def once(account: Account, message_id: str, now: Ms, *, why: Exception | None = None) -> bool:
    """Whether it was news; then it is answered."""
    if account.knows(message_id, now):
        return False
    with account.answering(message_id, now):
        if why is not None:
            raise why
    return True


def test_a_message_is_news_once_and_for_ten_minutes() -> None:
    one = account()
    assert [once(one, "m", now) for now in (0, 1, 599_999, 600_000)] == [True, False, False, True]


def test_a_message_whose_answer_was_a_refusal_is_not_remembered() -> None:
    one = account()
    with pytest.raises(Rejected):
        once(one, "m", 0, why=Rejected(422, "x", "x"))
    assert once(one, "m", 1)


def test_a_message_at_work_is_neither_news_nor_known() -> None:
    one = account()
    with one.answering("m", 0), pytest.raises(Rejected) as caught:
        one.knows("m", 0)
    assert (caught.value.status, caught.value.retry_after_s) == (429, 1)
    assert not once(one, "m", 1)


def test_a_replay_is_known_for_longer_than_its_signature_is_good() -> None:
    """Dated 300 s ahead it verifies for 600 s, however short the window of events is."""
    short = settings(sources=sources(), server={"dedupe_window_s": 1})
    one = Accounts(short, metrics=Metrics())["crm"]
    assert [once(one, "m", now) for now in (0, 599_999)] == [True, False]


def test_an_endless_message_id_is_refused() -> None:
    with pytest.raises(Rejected, match="256"):
        once(account(), "m" * 257, 0)


def test_settings_read_again_bring_new_rates_and_forget_nothing() -> None:
    accounts = Accounts(settings(sources=sources(requests_per_s=1)), metrics=Metrics())
    accounts["crm"].ids.remember(["a"], 0)
    for _ in range(2):
        accounts["crm"].rates.admit_request(0, 0)
    accounts.use(settings(sources=sources(requests_per_s=100)))
    crm = accounts["crm"]
    assert crm.ids.has("a", 1)
    with pytest.raises(Rejected):
        crm.rates.admit_request(0, 0)  # what it took at the old rate lasts two seconds
    for _ in range(200):
        crm.rates.admit_request(0, 2000)


def test_a_source_that_is_gone_keeps_its_account_and_not_its_pages() -> None:
    accounts = Accounts(settings(sources=sources(origins=["https://gone.example"])), metrics=Metrics())
    accounts.use(settings(sources={"bot": {"origins": ["https://desk.example"]}}))
    assert accounts["crm"].ids.fresh(["a"], 0) == [0], "its last request may still be at work"
    assert accounts.origins == {"https://desk.example"}


def test_without_sources_there_is_one_account_for_this_machine() -> None:
    assert Accounts(settings(sources={}), metrics=Metrics())[LOCAL] is not None
