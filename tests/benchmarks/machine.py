"""What a figure was taken on, and what it cost there."""

import os
import platform
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Seconds of CPU, user and system, all threads of a process; in steps of a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def said() -> str:
    """One line. Above a load of two, somebody else was on our two cores, and absolute figures mean little."""
    load = os.getloadavg()[0]
    return (
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}"
    )
