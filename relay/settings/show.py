"""The settings shown: the commented template, the JSON Schema, and the ones in force with secrets masked."""

from pathlib import Path

from relay import wire
from relay.settings.models import Settings

_PACKAGE = Path(__file__).parent.parent


def template() -> str:
    """`relay.toml` with every key commented out at its default; it travels inside the wheel."""
    installed = _PACKAGE / "relay.toml"
    in_a_checkout = _PACKAGE.parent / "config" / "relay.toml"
    return (installed if installed.is_file() else in_a_checkout).read_text(encoding="utf-8")


def schema() -> bytes:
    """JSON Schema (draft 2020-12) of the TOML file, for editors; ends in a line break."""
    return wire.dumps_pretty(Settings.model_json_schema())


def masked(settings: Settings) -> dict[str, wire.Json]:
    """JSON-ready and safe to print: secrets as asterisks, and what follows `?` in an address left out."""
    shown: dict[str, wire.Json] = settings.model_dump(mode="json", by_alias=True)
    for endpoint in shown["endpoints"].values():
        address, mark, _ = endpoint["url"].partition("?")
        endpoint["url"] = f"{address}?…" if mark else address
    return shown
