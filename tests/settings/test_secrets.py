"""An endpoint's secrets as they may be written: plain, or with an end."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay import wire
from relay.settings.models import Settings
from relay.settings.show import masked
from tests.settings.test_loading import loaded, problems

END = datetime(2026, 11, 23, 10, tzinfo=UTC)
SECRETS = '["whsec_canary-new", {secret = "whsec_canary-old", until = 2026-11-23T10:00:00Z}]'


def toml(secrets: str) -> str:
    return f'[endpoints.bi]\nurl = "https://tracker.example"\nsecrets = {secrets}\n'


def told(settings: Settings) -> list[tuple[str, datetime | None]]:
    return [(one.secret.get_secret_value(), one.until) for one in settings.endpoints["bi"].secrets]


def test_a_secret_is_a_text_or_a_table_with_its_end(tmp_path: Path) -> None:
    assert told(loaded(tmp_path, toml=toml(SECRETS))) == [
        ("whsec_canary-new", None),
        ("whsec_canary-old", END),
    ]


def test_the_end_may_be_a_text_in_any_offset(tmp_path: Path) -> None:
    written = '["a", {secret = "b", until = "2026-11-23T12:00:00+02:00"}]'
    assert told(loaded(tmp_path, toml=toml(written)))[1] == ("b", END)


def test_in_the_environment_they_are_a_json_array(tmp_path: Path) -> None:
    value = wire.dumps(["a", {"secret": "b", "until": "2026-11-23T10:00:00Z"}]).decode()
    settings = loaded(tmp_path, toml=toml("[]"), env={"RELAY_ENDPOINTS__BI__SECRETS": value})
    assert told(settings) == [("a", None), ("b", END)]


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ('["a", {secret = "canary", until = 2026-11-23T10:00:00}]', "secrets.1.until: "),  # of which time zone?
        ('["a", {secret = "canary", until = "tomorrow-canary"}]', "secrets.1.until: "),
        ('["a", {until = 2026-11-23T10:00:00Z}]', "secrets.1.secret: is required"),
        ('["a", {secret = "canary", untill = 2026-11-23T10:00:00Z}]', "secrets.1.untill: no setting has this name"),
        ('["a", 5]', "secrets.1: "),
        ('["a", "b", "c", "d", "e", "f"]', "at most 5 items"),
    ],
)  # fmt: skip
def test_a_broken_entry_is_told_its_place_and_not_its_value(tmp_path: Path, secrets: str, said: str) -> None:
    (line,) = problems(tmp_path, toml=toml(secrets))
    assert said in line
    assert "canary" not in line


def test_none_of_them_is_shown(tmp_path: Path) -> None:
    settings = loaded(tmp_path, toml=toml(SECRETS))
    shown = wire.dumps(masked(settings)).decode()
    assert "canary" not in shown + repr(settings)
    assert "2026-11-23T10:00:00Z" in shown, "when it ends is no secret"
