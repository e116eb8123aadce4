import pytest

from relay.settings.keys import find, nearest, siblings


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("RELAY_SERVER__PORT", ("server", "port")),
        ("RELAY_TYPING__STOP_MODE", ("typing", "stop_mode")),
        ("RELAY_GATEWAYS__GUEST__RATE_PER_MINUTE", ("gateways", "guest", "rate_per_minute")),
        ("RELAY_ENDPOINTS__MY_BI__URL", ("endpoints", "my-bi", "url")),
        ("RELAY_OUTBOX__PATH", ("outbox", "path")),
    ],
)
def test_an_environment_name_and_its_key_are_one(name: str, path: tuple[str, ...]) -> None:
    key = find(name)
    assert key is not None
    assert (key.path, key.env_name) == (path, name)


@pytest.mark.parametrize(
    "name",
    ["RELAY_SERVER", "RELAY_GATEWAYS__GUEST", "RELAY_SERVER__PORT__X", "RELAY___", "relay_server__port"],
)
def test_a_section_or_a_longer_path_is_no_key(name: str) -> None:
    assert find(name) is None


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    assert nearest("RELAY_ABC__ZZZZZZZZZZ") is None


def test_siblings_are_what_could_have_stood_there() -> None:
    assert "server" in siblings(("sever",))
    assert "port" in siblings(("server", "prot"))
    assert "url" in siblings(("endpoints", "tracker", "uri"))
    assert siblings(("gateways", "guest")) == []
