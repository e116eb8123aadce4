import pytest
from pydantic import ValidationError

from relay.ingest import HostRule
from relay.settings.models import Operations, Server


@pytest.mark.parametrize(
    "host",
    ["relay.example", "Relay.Example:8443", "relay", "my_relay:8080", "192.0.2.7", "192.0.2.7:80", "[2001:db8::7]",
     "[2001:DB8::7]:65535", "xn--rel-bma.example", "relay.example."],
)  # fmt: skip
def test_a_host_that_is_taken_is_one_the_listener_answers_to(host: str) -> None:
    for section in (Server(allowed_hosts=(host,)), Operations(allowed_hosts=(host,))):
        HostRule(section.host, section.allowed_hosts).check({"Host": host})


@pytest.mark.parametrize(
    "host",
    ["https://relay.example", "relay.example/", "relay.example/path", "", " ", "relay.example ", "*", "*.example",
     "a@relay.example", "relay.example:", "relay.example:http", "relay.example:0", "relay.example:65536",
     "2001:db8::7", "[2001:db8::7", "[relay]", "[]:80", "réel.example", "relay.example\n", ".example"],
)  # fmt: skip
def test_a_host_that_no_request_would_have_is_refused_in_words(host: str) -> None:
    """It escaped until now: https://relay.example was taken, and every request by that name then refused."""
    for section in (Server, Operations):
        with pytest.raises(ValidationError, match="what a Host header has"):
            section(allowed_hosts=(host,))
