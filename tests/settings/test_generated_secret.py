import stat
from pathlib import Path

import pytest

from relay.errors import SettingsError
from relay.settings.generated_secret import ensure_webhook_secret, read


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "relay.db.secret"
    assert ensure_webhook_secret(path, random=bytes)
    assert read(path) == "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_secret_in_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "relay.db.secret"
    path.write_text("whsec_mine\n")
    assert not ensure_webhook_secret(path)
    assert read(path) == "whsec_mine"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        ensure_webhook_secret(tmp_path / "nowhere" / "relay.db.secret")


def test_no_file_is_no_secret(tmp_path: Path) -> None:
    assert read(tmp_path / "none") is None
