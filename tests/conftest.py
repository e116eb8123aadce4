"""For every test: hypothesis draws the same examples each time, unless it is asked to look for new ones; and on a
virtual clock no timer runs early.

HYPOTHESIS_PROFILE=explore pytest …      other examples at each run
"""

import gc
import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from looptime import LoopTimeEventLoop

settings.register_profile("steady", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

REAL_RESOLUTION_S = time.get_clock_info("monotonic").resolution


def _resolution_s(loop: LoopTimeEventLoop) -> float:
    """How early asyncio runs a timer (what is due before now and this): on a virtual clock not at all.

    A real clock goes on while a loop turns, a virtual one only when there is nothing to run. Whoever was woken at
    3.999998 s for what is due at 3.9999980000000002 s, and waited for it anew, was woken anew at once, for ever.
    """
    return math.ulp(loop.time()) if loop.looptime_on else REAL_RESOLUTION_S


LoopTimeEventLoop._clock_resolution = property(_resolution_s)  # type: ignore[attr-defined] # asyncio's own, in each loop


def pytest_collection_finish() -> None:
    """What was collected lives as long as the process: no later collection need look at it, which is a tenth of the run."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Names that begin with `dead` are never found, nor not found; the others are this machine's."""
    end, look_up = threading.Event(), socket.getaddrinfo

    def slow(host: str, *args: Any, **more: Any) -> Any:  # Any: handed on
        if host.startswith("dead"):
            end.wait(20)
        return look_up("127.0.0.1", *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield
    end.set()
