import re
import tomllib
from pathlib import Path
from typing import Any

from relay import wire
from relay.settings.keys import NAMED, PLAIN, keys_of
from relay.settings.models import Settings
from relay.settings.show import masked, schema, template

CONFIG = Path(__file__).parents[2] / "config"
SAMPLE_ENTRY = {"gateways": "guest", "sources": "crm", "endpoints": "tracker"}


def uncommented() -> dict[str, Any]:
    return tomllib.loads(re.sub(r"^#(?=[a-z\[])", "", template(), flags=re.MULTILINE))


def test_the_template_is_the_file_in_config() -> None:
    assert template() == (CONFIG / "relay.toml").read_text()


def test_the_template_as_shipped_sets_nothing() -> None:
    assert tomllib.loads(template()) == {}


def test_the_template_names_every_key_and_no_other() -> None:
    told = uncommented()
    assert set(told) == set(Settings.model_fields)
    for section in told:
        table = told[section] if section in PLAIN else told[section][SAMPLE_ENTRY[section]]
        assert set(table) == {key.path[-1] for key in keys_of(section)}, section
    assert set(told["sources"]["crm"]["keys"][0]) == {"id", "sha256", "not_before", "not_after", "scopes"}


def test_the_template_uncommented_is_the_defaults() -> None:
    settings = Settings.model_validate(uncommented())
    assert settings.typing.max_per_minute == 12, "the one key of a plain section that has no default"
    defaults = Settings()
    for section in set(PLAIN) - {"typing"}:
        assert getattr(settings, section) == getattr(defaults, section)
    assert settings.typing.model_copy(update={"max_per_minute": None}) == defaults.typing


def test_the_template_shows_the_defaults_of_named_entries() -> None:
    settings = Settings.model_validate(uncommented())
    for section, model in NAMED.items():
        entry = getattr(settings, section)[SAMPLE_ENTRY[section]]
        for name, field in model.model_fields.items():
            if not (field.is_required() or field.default in (None, ())):
                assert getattr(entry, name) == field.default, f"{section}.{name}"


def test_the_schema_in_config_is_fresh() -> None:
    assert (CONFIG / "relay.schema.json").read_bytes() == schema(), "run `typing-relay config schema`"


def test_secrets_are_masked_when_the_settings_are_shown() -> None:
    settings = Settings.model_validate(
        {
            "gateways": {"guest": {"client_id": "a", "client_secret": "canary-1"}},
            "endpoints": {
                "tracker": {
                    "url": "https://x/hook?token=canary-2",
                    "secrets": ["canary-3"],
                    "headers": {"authorization": "canary-4"},
                    "proxy": "http://relay:canary-5@proxy.example",
                }
            },
        }
    )
    shown = wire.dumps(masked(settings)).decode()
    assert "canary" not in shown
    assert "https://x/hook?" in shown
