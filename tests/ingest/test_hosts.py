import pytest

from relay.errors import Rejected
from relay.ingest import HostRule
from tests.ingest.house import EVENT, House

OWN = HostRule("127.0.0.1", ["relay.example", "Other.Example:8443", "[2001:DB8::7]", "[2001:db8::8]:8443"])
ANY = HostRule("0.0.0.0")


def status(rule: HostRule, **headers: str) -> int:
    try:
        rule.check({name.replace("_", "-"): value for name, value in headers.items()})
    except Rejected as why:
        return why.status
    return 200


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8080", "localhost:9000", "LOCALHOST", "[::1]:8080", "relay.example",
     "relay.example:443", "other.example:8443", "[2001:db8::7]", "[2001:db8::7]:8080", "[2001:db8::8]:8443"],
)  # fmt: skip
def test_our_own_names_are_ours(host: str) -> None:
    assert status(OWN, Host=host) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "other.example",
     "other.example:1", "[2001:db8::8]", "[2001:db8::8]:1", "10.0.0.1", "", ":80", "relay.example:http", "a@127.0.0.1", "127.0.0.1/x", "[::1", "x y"],
)  # fmt: skip
def test_a_rebound_name_is_not_ours(host: str) -> None:
    assert status(OWN, Host=host) == 403


def test_every_address_of_the_machine_is_ours_if_we_listen_on_all() -> None:
    assert [status(ANY, Host=host) for host in ("10.0.0.1:8080", "[fd00::1]", "evil.example")] == [
        200,
        200,
        403,
    ]


def test_a_request_without_host_is_400() -> None:
    assert status(OWN) == 400


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:3000", "file://", "http://127.0.0.1:8080.evil.example"],
)
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    assert status(OWN, Host="127.0.0.1:8080", Origin=origin) == 403


def test_our_own_page_may_ask() -> None:
    assert status(OWN, Host="127.0.0.1:8080", Origin="http://127.0.0.1:8080") == 200


@pytest.mark.parametrize(
    ("site", "expected"), [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)]
)
def test_a_fetch_from_another_site_is_refused(site: str, expected: int) -> None:
    assert status(OWN, Host="127.0.0.1:8080", Sec_Fetch_Site=site) == expected


def test_a_thousand_foreign_names_are_judged_and_not_kept() -> None:
    rule = HostRule("127.0.0.1")
    assert {status(rule, Host=f"h{number}.example") for number in range(1000)} == {403}
    assert status(rule, Host="localhost") == 200


async def test_the_doors_ask_the_rule(house: House) -> None:
    assert (await house.post(EVENT, Host="evil.example")).status == 403
    assert (await house.post(EVENT, Origin="http://evil.example")).status == 403
    assert house.taken == []
