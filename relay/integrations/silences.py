"""What is to be done after a silence where no loop runs: on one thread for all of it, however much there is.

All wait equally long, so they stand in the order in which they are due, and the thread sleeps until the first of them.
It begins with the first, and ends soon after the last.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial

log = logging.getLogger("relay.integrations")

LOOK_S = 1.0
"""How often it looks whether anything still waits. Sleeping until the first is due, the thread of a callback that was made
for one call would outlive it by two minutes."""


class Silences:
    """Has things done `after_s` from when they are handed over."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._waiting: OrderedDict[object, tuple[float, Callable[[], None]]] = OrderedDict()
        # Re-entered by a signal handler, or by a generator that is collected in the middle of this.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def later(self, act: Callable[[], None]) -> Callable[[], object]:
        """Call what it returns to call it off."""
        mark = object()
        with self._lock:
            self._waiting[mark] = time.monotonic() + self._after_s, act
            if self._thread is None or not self._thread.is_alive():  # nor is a parent's in a forked child
                self._start()
        return partial(self._call_off, mark)

    def _call_off(self, mark: object) -> None:
        with self._lock:
            self._waiting.pop(mark, None)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="relay silences", daemon=True)
        with suppress(RuntimeError):  # there is no thread to be had: whoever is next asks again
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                mark, (due_s, act) = next(iter(self._waiting.items()))
                wait_s = due_s - time.monotonic()
                if wait_s <= 0:
                    del self._waiting[mark]
            if wait_s > 0:
                time.sleep(min(wait_s, LOOK_S))
            else:
                _done(act)


def _done(act: Callable[[], None]) -> None:
    try:
        act()
    except Exception:
        log.exception("what was to follow a silence failed; the others are waited for all the same")
