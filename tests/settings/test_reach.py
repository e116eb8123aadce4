"""Urls are read by the sender's own parser; what it makes of a host is what the rules are asked about."""

import pytest

from relay.core.destination import LOOPBACK
from relay.settings.reach import opened_by, problems


def found(url: str, proxy: str | None = None) -> list[str]:
    return list(problems(url, proxy, allow_http=False, allow=()))


@pytest.mark.parametrize(
    "url", ["https://tracker.example/hook", "https://tracker.example:8443/?a=b", "https://1.1.1.1/"]
)
def test_a_tracker_on_the_internet_needs_no_permission(url: str) -> None:
    assert found(url) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://tracker.example/canary", "allow_http"),
        ("ftp://tracker.example/canary", "no other scheme"),
        ("tracker.example/canary", "no other scheme"),
        ("https://", "no other scheme"),
        ("https://user:canary@tracker.example/", "credentials"),
        ("https://canary@tracker.example/", "credentials"),
        ("https://[not-an-address/canary", "cannot be read"),
        ("https://tracker.example:99999/canary", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_why_and_never_repeated(url: str, said: str) -> None:
    (problem,) = found(url)
    assert problem.startswith("url: ")
    assert said in problem
    assert "canary" not in problem


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "127.0.0.1.",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1%25eth0]",
        "10.0.0.1",
    ],
)
def test_no_spelling_of_a_private_address_is_accepted(host: str) -> None:
    (problem,) = found(f"https://{host}/canary")
    assert "canary" not in problem
    (problem,) = found("https://tracker.example/", f"http://canary:canary@{host}:3128")
    assert problem.startswith("proxy: ")
    assert "canary" not in problem


def test_a_proxy_may_ask_for_credentials() -> None:
    assert found("https://tracker.example/", "http://relay:secret@proxy.example:3128") == []


@pytest.mark.parametrize("proxy", ["socks5://proxy.example", "proxy.example:3128", "", "http://[canary"])
def test_a_proxy_that_cannot_be_used_is_told_why(proxy: str) -> None:
    (problem,) = found("https://tracker.example/", proxy)
    assert problem.startswith("proxy: ")
    assert "canary" not in problem


def test_a_lone_url_opens_loopback_where_it_leads_there() -> None:
    assert opened_by("http://127.0.0.1:9998/hook") == opened_by("http://localhost/") == LOOPBACK
    assert (
        opened_by("http://10.0.0.1/")
        == opened_by("https://tracker.example/")
        == opened_by("https://[x")
        == ()
    )
