"""The receivers on the page believe what we sign, and nothing else; run as they stand there."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay.core.signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Keys

ASSETS = Path(__file__).parents[2] / "relay" / "openapi" / "assets"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
BODY = '{"type":"session.typing","note":"\u00e9"}'.encode()
DRIVER = """
import { verified } from "./receiver.mjs";
let input = ""; for await (const part of process.stdin) input += part;
const { headers, body, secrets } = JSON.parse(input);
try { console.log(JSON.stringify(verified(headers, Buffer.from(body, "utf8"), secrets))); }
catch (why) { console.error(why.message); process.exit(3); }
"""

Verified = Callable[[dict[str, str], bytes, list[str]], Any]


def python(_: Path) -> Verified:
    scope: dict[str, Any] = {}
    exec((ASSETS / "receiver.py.txt").read_text(), scope)  # noqa: S102 - our own file, as people copy it
    verified: Verified = scope["verified"]
    return verified


def javascript(tmp_path: Path) -> Verified:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    (tmp_path / "receiver.mjs").write_text((ASSETS / "receiver.js").read_text())
    (tmp_path / "driver.mjs").write_text(DRIVER)

    def verified(headers: dict[str, str], body: bytes, secrets: list[str]) -> Any:
        told = json.dumps({"headers": headers, "body": body.decode(), "secrets": secrets})
        done = subprocess.run(
            ["node", "driver.mjs"],
            cwd=tmp_path,
            input=told,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        if done.returncode == 3:
            raise ValueError(done.stderr)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return verified


LANGUAGES = pytest.mark.parametrize("language", [python, javascript])


def signed(body: bytes = BODY, *, secrets: tuple[str, ...] = (SECRET,), late_s: int = 0) -> dict[str, str]:
    at_s = int(time.time()) - late_s
    signature = Keys(secrets).sign("msg_1", at_s, body)
    return {ID_HEADER: "msg_1", TIMESTAMP_HEADER: str(at_s), SIGNATURE_HEADER: signature}


@LANGUAGES
def test_what_we_sign_is_believed_also_during_a_rotation(
    language: Callable[[Path], Verified], tmp_path: Path
) -> None:
    verified = language(tmp_path)
    assert verified(signed(), BODY, [SECRET])["type"] == "session.typing"
    assert verified(signed(secrets=(OTHER, SECRET)), BODY, [SECRET])["note"] == "\u00e9"
    assert verified(signed(), BODY, [OTHER, SECRET])


@LANGUAGES
def test_what_is_stale_or_changed_or_by_another_is_not_believed(
    language: Callable[[Path], Verified], tmp_path: Path
) -> None:
    verified = language(tmp_path)
    for headers, body, secrets in (
        (signed(late_s=320), BODY, [SECRET]),
        (signed(late_s=-320), BODY, [SECRET]),
        (signed(), BODY + b" ", [SECRET]),
        (signed(), BODY, [OTHER]),
        (signed(), BODY, []),
        (signed() | {TIMESTAMP_HEADER: "soon"}, BODY, [SECRET]),
    ):
        with pytest.raises(ValueError, match=r"clock|nobody"):
            verified(headers, body, secrets)
