import re
import secrets
import tomllib
from hashlib import sha256

from relay.ingest import new_key
from relay.settings.upstream import ApiKey


def test_a_new_key_has_the_form_scanners_look_for() -> None:
    assert re.fullmatch(r"trk_[a-z2-7]{8}_[A-Za-z0-9_-]{43}", new_key("crm", random=secrets.token_bytes).key)


def test_the_settings_of_a_new_key_recognise_it_and_do_not_hold_it() -> None:
    made = new_key("crm", random=secrets.token_bytes)
    (line,) = tomllib.loads(made.toml)["sources"]["crm"]["keys"]
    kept = ApiKey.model_validate(line)
    assert kept.id == made.key[4:12]
    assert kept.sha256 == sha256(made.key.encode()).hexdigest()
    assert made.key not in made.toml
    assert made.key not in repr(made)
