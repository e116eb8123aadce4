from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.errors import Rejected, SettingsError
from relay.ingest import Credentials
from tests.ingest.house import EVENT, WALL, House, key_settings, opened, settings, sure

NOW = datetime.fromtimestamp(WALL / 1000, UTC)
KEY = sure().key


def credentials(*keys: dict[str, object]) -> Credentials:
    return Credentials(settings(sources={"crm": {"keys": list(keys)}}), wall=lambda: WALL)


def status(who: Credentials, header: str | None, scope: str = "events:write") -> int:
    try:
        who.caller({} if header is None else {"Authorization": header}, scope)
    except Rejected as why:
        return why.status
    return 200


def test_a_key_tells_its_source() -> None:
    caller = credentials(key_settings(sure())).caller({"Authorization": f"Bearer {KEY}"}, "events:write")
    assert (caller.source, caller.gateway) == ("crm", "guest")


def test_the_scheme_may_be_written_in_any_case() -> None:
    assert status(credentials(key_settings(sure())), f"bEARER {KEY}") == 200


WRONG: list[str | None] = [
    None, "", "Bearer", "Bearer ", f"Basic {KEY}", KEY, f"Bearer  {KEY}", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}",
    f"Bearer {KEY[:-1]}{'A' if KEY[-1] != 'A' else 'B'}", f"Bearer trk_aaaaaaaa_{KEY[13:]}", f"Bearer xxx_{KEY[4:]}",
    f"Bearer {KEY[:-1]}é", f"Bearer {KEY[:-1]}\udcff",
]  # fmt: skip


@pytest.mark.parametrize("header", WRONG)
def test_every_wrong_key_is_one_and_the_same_401(header: str | None) -> None:
    who = credentials(key_settings(sure()))
    with pytest.raises(Rejected) as caught:
        who.caller({} if header is None else {"Authorization": header}, "events:write")
    assert (caught.value.status, caught.value.detail) == (
        401,
        "an API key (Authorization: Bearer trk_…), a signed request or a ticket is wanted",
    )


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"not_before": NOW}, 200),
        ({"not_before": NOW + timedelta(seconds=1)}, 401),
        ({"not_after": NOW + timedelta(seconds=1)}, 200),
        ({"not_after": NOW}, 401),
        ({"not_before": NOW - timedelta(days=1), "not_after": NOW + timedelta(days=1)}, 200),
    ],
)
def test_a_key_is_good_from_its_first_moment_until_before_its_last(
    bounds: dict[str, Any], expected: int
) -> None:
    assert status(credentials(key_settings(sure(), **bounds)), f"Bearer {KEY}") == expected


def test_two_keys_of_one_source_are_good_at_once() -> None:
    who = credentials(key_settings(sure(seed=1)), key_settings(sure(seed=2)))
    assert [status(who, f"Bearer {sure(seed=seed).key}") for seed in (1, 2, 3)] == [200, 200, 401]


def test_a_key_without_the_scope_is_403() -> None:
    assert status(credentials(key_settings(sure(), scopes=["read"])), f"Bearer {KEY}") == 403


def test_two_keys_with_one_id_are_refused_at_start() -> None:
    with pytest.raises(SettingsError, match="same id"):
        credentials(key_settings(sure()), key_settings(sure()))


def test_without_sources_the_relay_is_open_on_loopback_only() -> None:
    assert Credentials(settings(sources={}), wall=lambda: WALL).is_open
    with pytest.raises(SettingsError, match="keys new"):
        Credentials(settings(sources={}, server={"host": "0.0.0.0"}), wall=lambda: WALL)


def test_a_source_without_keys_closes_the_doors() -> None:
    assert status(credentials(), f"Bearer {KEY}") == 401


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "Via",
        "X-Real-IP",
    ],
)
async def test_what_came_through_a_proxy_is_never_local(header: str) -> None:
    async with opened(settings(sources={})) as house:
        assert (await house.post(EVENT)).status == 202
        assert house.taken[0].source == "local"
        assert (await house.post(EVENT, **{header.replace("-", "_"): "127.0.0.1"})).status == 401


async def test_a_401_says_which_scheme_is_wanted(house: House) -> None:
    answer = await house.post(EVENT, key="trk_nope")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert house.taken == []


async def test_the_same_key_may_not_write_with_another_scope() -> None:
    crm = {"keys": [key_settings(sure(), scopes=["read", "admin"])]}
    async with opened(settings(sources={"crm": crm})) as house:
        assert (await house.post(EVENT)).status == 403
