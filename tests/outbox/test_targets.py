from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from relay.errors import SettingsError
from relay.outbox.targets import targets_of
from relay.settings.endpoint import Endpoint
from tests.outbox.receiver import SECRET


def endpoint(**more: object) -> Endpoint:
    return Endpoint.model_validate({"url": "https://tracker.example/hook", "secrets": [SECRET]} | more)


def test_what_an_endpoint_says_is_what_its_target_does(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    configured = endpoint(
        allow_cidrs=["10.0.0.0/8"],
        headers={"authorization": "Bearer a"},
        proxy="http://proxy.example:3128",
        ca_file=tmp_path / "ca.pem",
        concurrency=3,
    )
    target = targets_of({"tracker": configured})["tracker"]
    assert target.allow == (ip_network("10.0.0.0/8"),)
    assert target.headers == {"authorization": "Bearer a"}
    assert target.proxy == "http://proxy.example:3128"
    assert target.tls is not None
    assert target.concurrency == 3


def test_a_secret_the_relay_made_and_no_longer_finds_is_named_by_its_file(tmp_path: Path) -> None:
    lost = endpoint(secrets=[], generated_secret_path=tmp_path / "relay.db.secret")
    with pytest.raises(
        SettingsError, match=r"^endpoints\.lost\.secrets: .*relay\.db\.secret.* is missing"
    ) as caught:
        targets_of({"lost": lost})
    assert "put it back" in str(caught.value)
    assert "retire" not in str(caught.value)


def test_every_endpoint_that_cannot_be_used_is_named_with_the_setting_to_mend(tmp_path: Path) -> None:
    broken = {
        "one": endpoint(secrets=["whsec_canary"]),
        "two": endpoint(ca_file=tmp_path / "canary.pem"),
        "three": endpoint(client_cert=tmp_path / "canary.pem"),
    }
    with pytest.raises(SettingsError) as caught:
        targets_of({"good": endpoint()} | broken)
    places = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert places == [
        "endpoints.one.secrets",
        "endpoints.two.ca_file",
        "endpoints.three.client_cert, client_key",
    ]
    assert "canary" not in str(caught.value)
