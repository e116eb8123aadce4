import re
from pathlib import Path
from typing import Any

import pytest

from relay.settings.changes import LIVE, changes
from relay.settings.models import Settings

SECRET, OTHER_SECRET = "whsec_" + "A" * 32, "whsec_" + "B" * 32
GUEST = {"base_url": "https://platform.example", "client_id": "one", "client_secret": "two"}
RETIRING = {"secret": SECRET, "until": "2096-01-01T00:00:00Z"}
TRACKER = {"url": "https://tracker.example/hook", "secrets": [SECRET]}
DESK = {"keys": [{"id": "abcdefgh", "sha256": "0" * 64}]}


OPERATORS_PAGE = Path(__file__).parents[2] / "deploy" / "README.md"


def settings(**given: Any) -> Settings:
    base = {"gateways": {"guest": GUEST}, "endpoints": {"tracker": TRACKER}, "sources": {"desk": DESK}}
    return Settings.model_validate(base | given)


def test_equal_settings_differ_in_nothing() -> None:
    assert changes(settings(), settings()).is_none


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"sources": {}}, "sources.desk"),
        ({"sources": {"desk": DESK, "bot": DESK}}, "sources.bot"),
        ({"sources": {"desk": {"keys": []}}}, "sources.desk.keys"),
        (
            {"endpoints": {"tracker": TRACKER | {"secrets": [OTHER_SECRET, RETIRING]}}},
            "endpoints.tracker.secrets",
        ),
        (
            {"endpoints": {"tracker": TRACKER | {"headers": {"x-team": "a"}}}},
            "endpoints.tracker.headers.x-team",
        ),
        ({"logging": {"level": "debug"}}, "logging.level"),
    ],
)
def test_callers_trackers_and_the_log_change_while_running(given: dict[str, Any], name: str) -> None:
    assert changes(settings(), settings(**given)) == ((name,), ())


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"endpoints": {"other": TRACKER, "tracker": TRACKER}}, "endpoints.other"),
        ({"server": {"port": 9999}}, "server.port"),
        ({"gateways": {"guest": GUEST | {"client_secret": "three"}}}, "gateways.guest.client_secret"),
        ({"gateways": {"guest": GUEST, "second": GUEST}}, "gateways.second"),
        ({"typing": {"pause_after_ms": 2600}}, "typing.pause_after_ms"),
        ({"logging": {"log_ids": "plain"}}, "logging.log_ids"),
        ({"outbox": {"path": "elsewhere.db"}}, "outbox.path"),
    ],
)
def test_what_the_relay_is_built_of_waits_for_a_restart(given: dict[str, Any], name: str) -> None:
    assert changes(settings(), settings(**given)) == ((), (name,))


def test_all_that_differs_is_named_and_no_value_is() -> None:
    found = changes(settings(), settings(sources={}, server={"port": 9999}, logging={"level": "debug"}))
    assert found == (("logging.level", "sources.desk"), ("server.port",))
    told = changes(settings(), settings(endpoints={"tracker": TRACKER | {"secrets": [OTHER_SECRET]}}))
    assert OTHER_SECRET not in repr(told)


def test_the_operators_page_puts_every_section_where_it_is_taken_over() -> None:
    """What a SIGHUP takes over stood nowhere but in the code."""
    table = OPERATORS_PAGE.read_text().partition("| taken over at once |")[2].partition("\n\n")[0]
    cells = [row.split("|") for row in table.splitlines()[1:]]
    at_once, at_restart = (
        set(re.findall(r"`\[([a-z]+)\]", " ".join(row[column] for row in cells))) for column in (1, 2)
    )
    assert at_once == {name for name in Settings.model_fields if name in LIVE.pattern}
    assert at_restart == {name for name in Settings.model_fields if not LIVE.fullmatch(f"{name}.any")}
