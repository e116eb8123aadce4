"""Adapters at load: what cannot work is told with its key, all of it at once."""

import builtins
import sys
from typing import Any

import pytest

from relay.errors import SettingsError
from relay.ingest.adapters.catalogue import adapters_of
from tests.ingest.house import settings

SECRET = "the-integration's-own-token"
MAPPING = {"type": "kind", "sessionId": "chat"}


def told(**source: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        adapters_of(settings(sources={"desk": source}))
    assert "canary" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"adapter": "chatwoot"}, "sources.desk.secrets: what its platform signs with is wanted"),
        ({"adapter": "chatwoot", "secrets": ["canary"]}, "sources.desk.secrets.0: a secret of at least 16"),
        ({"adapter": "cloudevents", "secrets": ["canary-canary-canary"]}, "sources.desk.secrets.0: this one does not begin"),
        ({"adapter": "chatwoot", "secrets": [SECRET], "mapping": MAPPING}, "sources.desk.mapping: it belongs to"),
        ({"adapter": "mapping", "signature": "hub", "secrets": [SECRET]}, "sources.desk.mapping.type: is required"),
        ({"adapter": "mapping", "signature": "hub", "secrets": [SECRET], "mapping": MAPPING | {"at": "a.["}}, "sources.desk.mapping.at: not a JMESPath"),
        ({"adapter": "mapping", "signature": "hub", "secrets": [SECRET], "mapping": MAPPING, "session_path": "a"}, "sources.desk.session_path, guest_path: adapter mapping does not"),
        ({"mapping": MAPPING}, "sources.desk.mapping: no adapter is named"),
        ({"signature": "hub"}, "sources.desk.signature: no adapter is named"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told_with_its_key(source: dict[str, Any], words: str) -> None:
    assert words in told(**source)


def test_a_platforms_source_among_several_gateways_says_which_one_it_is_for() -> None:
    guest = {"client_id": "c", "client_secret": "s"}
    desk = {"adapter": "chatwoot", "secrets": [SECRET]}
    with pytest.raises(SettingsError, match=r"^sources\.desk\.gateway: there are several"):
        adapters_of(settings(gateways={"guest": guest, "other": guest}, sources={"desk": desk}))
    desk |= {"gateway": "other"}
    assert (
        adapters_of(settings(gateways={"guest": guest, "other": guest}, sources={"desk": desk}))[
            "desk"
        ].caller.gateway
        == "other"
    )


def test_every_source_is_told_of_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        adapters_of(settings(sources={"a": {"adapter": "chatwoot"}, "b": {"mapping": {"x": "y"}}}))
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "sources.a.secrets",
        "sources.b.mapping",
    ]


def test_without_the_extra_a_mapping_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    really = builtins.__import__

    def imported(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "jmespath":
            raise ImportError(name)
        return really(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "jmespath", raising=False)
    monkeypatch.setattr(builtins, "__import__", imported)
    words = told(adapter="mapping", signature="hub", secrets=[SECRET], mapping=MAPPING)
    assert "pip install jmespath" in words


def test_sources_without_an_adapter_have_none() -> None:
    assert adapters_of(settings()) == {}
