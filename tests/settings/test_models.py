import pytest
from pydantic import ValidationError

from relay.core.endpoint import Patience
from relay.core.terms import DURABLE, EPHEMERAL, DeliveryClass, Terms
from relay.settings.endpoint import Endpoint
from relay.settings.gateway import Gateway
from relay.settings.models import Settings, Typing, is_loopback

CLIENT = {"client_id": "a", "client_secret": "b"}


@pytest.mark.parametrize(
    "url", ["https://api.mypurecloud.com", "http://127.0.0.1:8000", "http://localhost:1", "http://[::1]"]
)
def test_the_client_secret_may_travel_by_https_or_stay_on_the_machine(url: str) -> None:
    assert Gateway.model_validate(CLIENT | {"base_url": url}).base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.mypurecloud.com",
        "ftp://x",
        "api.mypurecloud.com",
        "https://",
        "http://127.0.0.1.evil.example",
    ],
)
def test_the_client_secret_never_travels_in_clear(url: str) -> None:
    with pytest.raises(ValidationError, match="base_url"):
        Gateway.model_validate(CLIENT | {"base_url": url})


def test_plain_http_can_be_asked_for() -> None:
    assert Gateway.model_validate(CLIENT | {"base_url": "http://inside", "allow_http": True}).allow_http


def test_the_burst_lies_inside_the_rate() -> None:
    with pytest.raises(ValidationError, match="burst < rate_per_minute"):
        Gateway.model_validate(CLIENT | {"rate_per_minute": 20, "burst": 20})


def test_broken_timings_name_the_formula() -> None:
    with pytest.raises(ValidationError, match="duration_ms - margin_ms >= min_interval_ms"):
        Typing(duration_ms=2000)


def test_an_endpoint_can_sign() -> None:
    with pytest.raises(ValidationError, match="whsec_"):
        Endpoint(url="https://x")


def test_everything_that_keeps_an_endpoint_from_being_posted_to_is_named_at_once() -> None:
    given = {
        "url": "http://10.0.0.1/canary",
        "secrets": ["canary"],
        "headers": {"host": "canary"},
        "proxy": "http://canary:canary@127.0.0.1",
        "client_key": "canary.key",
    }
    with pytest.raises(ValidationError) as caught:
        Endpoint.model_validate(given)
    (error,) = caught.value.errors(include_input=False)
    for place in (
        "url: it is plain http",
        "url: its address",
        "proxy: its address",
        "headers: host",
        "client_key: ",
    ):
        assert place in error["msg"]
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("given", ["10.0.0.1/8", "10.0.0.0/33", "canary", ""])
def test_an_allowed_network_is_written_without_host_bits(given: str) -> None:
    with pytest.raises(ValidationError, match="network") as caught:
        Endpoint.model_validate({"url": "https://x", "secrets": ["s"], "allow_cidrs": [given]})
    assert "canary" not in str(caught.value)


def test_what_an_endpoint_is_sent_along_never_shows_itself() -> None:
    endpoint = Endpoint.model_validate(
        {
            "url": "https://x",
            "secrets": ["s"],
            "headers": {"authorization": "canary"},
            "proxy": "http://canary@x",
        }
    )
    assert "canary" not in repr(endpoint)


def test_a_source_names_a_gateway_that_exists() -> None:
    with pytest.raises(ValidationError, match="no configured gateway"):
        Settings.model_validate({"sources": {"crm": {"gateway": "eu"}}})


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True), ("LOCALHOST.", True),
     ("0.0.0.0", False), ("::", False), ("localhost.example", False), ("10.0.0.1", False), ("", False)],
)  # fmt: skip
def test_loopback_is_told_by_the_literal(host: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_loopback(host) is expected


USABLE = {"url": "https://x", "secrets": ["whsec_" + "A" * 32]}


def test_an_endpoint_is_durable_unless_told_otherwise() -> None:
    assert Endpoint.model_validate(USABLE).terms() == DURABLE
    assert Endpoint.model_validate(USABLE | {"class": "ephemeral"}).terms() == EPHEMERAL


def test_each_of_an_endpoints_terms_can_be_its_own() -> None:
    given = {"class": "ephemeral", "schedule_s": [0, 2], "max_age_s": 10, "unordered_after_s": 20}
    terms = Endpoint.model_validate(USABLE | given).terms()
    assert terms == Terms(DeliveryClass.EPHEMERAL, (0, 2000), 10_000, 20_000)


def test_how_much_failing_is_borne_can_be_each_endpoints_own() -> None:
    given = {
        "retry_after_max_s": 60,
        "breaker_window_s": 20,
        "breaker_attempts": 4,
        "breaker_failing_share": 0.5,
        "breaker_open_s": 5,
        "breaker_longest_open_s": 12,
        "breaker_successes": 1,
        "disable_after_s": 7200,
        "disable_apart_s": 3600,
    }
    patience = Patience(20_000, 4, 0.5, 5000, 12_000, 1, 7_200_000, 3_600_000)
    terms = Endpoint.model_validate(USABLE | given).terms()
    assert terms == Terms(longest_hint_ms=60_000, patience=patience)
    assert Endpoint.model_validate(USABLE).terms() == Terms()


def test_a_longest_rest_is_no_shorter_than_the_first() -> None:
    with pytest.raises(ValidationError, match="at least breaker_open_s"):
        Endpoint.model_validate(USABLE | {"breaker_open_s": 700})


@pytest.mark.parametrize(
    "schedule_s", [[1, 2], [0, 0], [0, 0.09], [0, -1], [0, 604_801], [0, 1] * 11, ["canary"]]
)
def test_a_schedule_begins_at_once_and_never_hammers(schedule_s: list[object]) -> None:
    with pytest.raises(ValidationError, match="schedule_s") as caught:
        Endpoint.model_validate(USABLE | {"schedule_s": schedule_s})
    assert "canary" not in str(caught.value)


def test_a_schedule_may_grow_shorter() -> None:
    assert Endpoint.model_validate(USABLE | {"schedule_s": [0, 60, 0.1]}).schedule_s == (0, 60, 0.1)


TRACKER = {"url": "https://tracker.example", "secrets": ["s"]}


@pytest.mark.parametrize(
    ("part", "given", "said"),
    [
        ("events", ["sesion.*"], r"pattern 1 fits no known event; did you mean session\.\*"),
        ("events", ["*", "sesion.typing"], r"pattern 2 .*session\.typing"),
        ("events", ["session.*", ""], "pattern 2 fits no known event; there are session.typing, "),
        ("events", ["*.typing"], "pattern 1"),
        ("events", [], "nothing would be sent"),
        ("gateways", ["gest"], "gateways: pattern 1 fits no configured gateway; did you mean guest"),
        ("gateways", [], "nothing would be sent"),
        ("sources", ["nosuch"], "sources: pattern 1 fits no configured source; there are desk"),
        ("sources", [], "nothing would be sent"),
    ],
)
def test_a_filter_that_would_be_silence_is_refused(part: str, given: list[str], said: str) -> None:
    """They loaded, and the tracker heard nothing."""
    settings = {
        "gateways": {"guest": CLIENT},
        "sources": {"desk": {}},
        "endpoints": {"tracker": TRACKER | {part: given}},
    }
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(settings)


@pytest.mark.parametrize(
    "wants",
    [
        {"events": ["session.*", "endpoint.disabled", "message.*", "typing_indicator.failed"]},
        {"gateways": ["gu*", "*"], "sources": ["*"]},
        {"gateways": ["guest"], "sources": ["local"]},
    ],
)
def test_a_filter_that_fits_something_is_taken(wants: dict[str, list[str]]) -> None:
    Settings.model_validate({"gateways": {"guest": CLIENT}, "endpoints": {"tracker": TRACKER | wants}})
