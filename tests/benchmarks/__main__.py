"""Every benchmark, one after the other: `python -m tests.benchmarks [--check]`.

Each in a process of its own, since each pins itself to a core and freezes what it has made. Seven minutes in all.
"""

import argparse
import subprocess
import sys

NAMES = ("machine", "ingest", "neighbours", "latency", "outbox", "webhooks")
LONGEST_S = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="exit 1 if one of them is below a goal")
    asked = parser.parse_args()
    missed = [name for name in NAMES if not _is_met(name, is_checked=asked.check)]
    print(f"below a goal: {', '.join(missed)}" if missed else "all ran, and none said that it missed a goal")
    return 1 if missed else 0


def _is_met(name: str, *, is_checked: bool) -> bool:
    print(f"--- bench_{name}", flush=True)
    command = [sys.executable, "-m", f"tests.benchmarks.bench_{name}", *(["--check"] if is_checked else [])]
    return subprocess.run(command, timeout=LONGEST_S, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
