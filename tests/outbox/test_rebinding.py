"""A name that is public when first asked for and private after, asked of a real name server on the wire."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNSHARE = ["unshare", "--net", "--mount"]


def may_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], check=False, capture_output=True, timeout=10).returncode == 0


@pytest.mark.skipif(not may_unshare(), reason="a network of one's own needs unshare, and root")
def test_a_name_that_turns_private_reaches_nobody(tmp_path: Path) -> None:
    script = [*UNSHARE, sys.executable, "-m", "tests.outbox.rebinding", str(tmp_path)]
    done = subprocess.run(script, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["receiver"] == {"public": "200", "turned private": "blocked_address", "both": "200"}
    assert said["canary"] == {"turned private": "blocked_address", "private": "blocked_address"}
    assert said["received"] == 2, "one of each name that led to the public address"
    assert said["asked"] == 5, "the name server was asked anew for each"
    assert said["canary_connections"] == 0
