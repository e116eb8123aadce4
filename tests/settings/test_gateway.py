import pytest
from pydantic import ValidationError

from relay.core.timings import Timings
from relay.settings.gateway import Gateway

CLIENT = {"client_id": "a", "client_secret": "b"}
CLOUD = CLIENT | {"kind": "genesys"}
AGENT = "11111111-1111-4111-8111-111111111111"


def gateway(**given: object) -> Gateway:
    return Gateway.model_validate(given)


@pytest.mark.parametrize(
    ("given", "api", "auth"),
    [
        (CLIENT, "https://api.mypurecloud.com", "https://api.mypurecloud.com"),
        (CLIENT | {"region": "mypurecloud.de"}, "https://api.mypurecloud.de", "https://api.mypurecloud.de"),
        (CLOUD, "https://api.mypurecloud.com", "https://login.mypurecloud.com"),
        (
            CLOUD | {"region": "usw2.pure.cloud"},
            "https://api.usw2.pure.cloud",
            "https://login.usw2.pure.cloud",
        ),
        (CLOUD | {"base_url": "https://gate"}, "https://gate", "https://gate"),
        (CLOUD | {"login_url": "https://gate"}, "https://api.mypurecloud.com", "https://gate"),
    ],
)
def test_a_region_is_two_hosts_and_each_can_be_another(given: dict[str, object], api: str, auth: str) -> None:
    made = gateway(**given)
    assert (made.api_url, made.auth_url) == (api, auth)


@pytest.mark.parametrize("region", ["", "https://x", "x/y", "x?y", "x y", "-x", "x:1", "user@x", "X.com"])
def test_a_region_is_a_domain_and_nothing_else(region: str) -> None:
    with pytest.raises(ValidationError, match="region"):
        gateway(**CLOUD, region=region)


def test_each_kind_logs_in_as_its_platform_wants() -> None:
    guest, cloud = gateway(**CLIENT), gateway(**CLOUD)
    assert (guest.credentials_form, guest.asked_scope) == ("form", "messaging:guest:write")
    assert (cloud.credentials_form, cloud.asked_scope) == ("raw_basic", "")
    assert gateway(**CLIENT, token_auth="basic").credentials_form == "basic"
    assert gateway(**CLOUD, token_auth="form").credentials_form == "form"


def test_what_is_wrong_with_a_host_is_said_of_the_setting_that_names_it() -> None:
    by_region, by_url = gateway(**CLOUD), gateway(**CLOUD, base_url="https://gate")
    assert (by_region.api_setting, by_region.auth_setting) == ("region", "region")
    assert (by_url.api_setting, by_url.auth_setting) == ("base_url", "base_url")
    assert gateway(**CLOUD, login_url="https://gate").auth_setting == "login_url"


def test_each_kind_has_its_own_timings_unless_it_is_told_otherwise() -> None:
    section = Timings(duration_ms=4000)
    assert gateway(**CLIENT).timings(section) == section
    assert gateway(**CLOUD).timings(section).max_per_minute == 12
    assert gateway(**CLOUD, max_per_minute=10).timings(section).max_per_minute == 10
    assert gateway(**CLOUD, profile="genesys-6000").timings(section).duration_ms == 6000
    assert gateway(**CLOUD, profile="typing").timings(section) == section


def test_agents_tokens_need_no_client() -> None:
    made = gateway(kind="genesys", token_source="static", agent_tokens={AGENT: "canary"})
    assert made.credentials == ("", "")
    assert "canary" not in repr(made)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"kind": "genesys"}, "client_id"),
        (CLIENT | {"token_source": "static", "agent_tokens": {AGENT: "t"}}, "token_source"),
        ({"kind": "genesys", "token_source": "static"}, "agent_tokens"),
        ({"kind": "genesys", "token_source": "static", "agent_tokens": {"me": "canary"}}, "user id"),
        ({"kind": "genesys", "token_source": "file"}, "agent_tokens_path"),
        ({"kind": "genesys", "token_source": "http", "agent_tokens_url": "https://x/t"}, "agent_tokens_url"),
        (CLOUD | {"login_url": "http://login.example"}, "login_url"),
        (CLOUD | {"agent_tokens_url": "http://x/{agentUserId}"}, "agent_tokens_url"),
    ],
)
def test_what_is_missing_or_would_travel_in_clear_is_named(given: dict[str, object], word: str) -> None:
    with pytest.raises(ValidationError, match=word) as caught:
        Gateway.model_validate(given)
    assert "canary" not in str(caught.value)
