"""A life takes what it is handed until its close, and afterwards says that it does not."""

import asyncio
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from relay.client import Answer, RelayClient
from relay.client.answers import away
from relay.client.living import Life

EVENT = {"sessionId": "s1", "guestId": "g1", "type": "keystroke"}


def life() -> Life:
    return Life(RelayClient("http://127.0.0.1:1", patience_s=0.2), 0.2)


def test_what_is_handed_over_when_it_is_over_is_answered_and_counted_and_raises_nothing() -> None:
    """Whoever had the loop just before its close handed over to a loop that was closed."""
    it = life()
    it.end()
    assert not it.soon(lambda: None, events=2)
    assert it.result(it.client.send(EVENT), events=3) == away("this client is closed")
    assert it.client.counts.dropped == 5


def test_what_is_handed_over_is_done_in_that_order_and_before_the_close() -> None:
    done: list[int] = []
    it = life()
    for number in range(100):
        it.soon(partial(done.append, number))
    it.end()
    assert done == list(range(100))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_come_to_an_end_takes_nothing_more() -> None:
    """A handler of logs may call `sys.exit` there."""
    it = life()
    it.soon(sys.exit)
    it._thread.join(5)
    assert not it.soon(lambda: None, events=1)
    assert it.result(it.client.send(EVENT)) == away("this client is closed")
    it.end()


def test_work_that_does_not_end_by_itself_does_not_outlive_it() -> None:
    begun = threading.Event()

    async def hung() -> Answer:
        begun.set()
        await asyncio.Event().wait()
        return Answer()

    it = life()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(it.result, hung(), patiences=100)
        assert begun.wait(5)
        it.end()
        assert waiting.result(5) == away("this client is closed")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer that interrupts")
def test_what_its_asker_no_longer_waits_for_is_given_up() -> None:
    given_up = threading.Event()

    async def hung() -> Answer:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return Answer()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    it = life()
    usual = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    with pytest.raises(KeyboardInterrupt):
        it.result(hung(), patiences=100)
    signal.signal(signal.SIGALRM, usual)
    assert given_up.wait(5)
    it.end()


def test_it_may_be_ended_on_its_own_thread() -> None:
    ended: list[bool] = []

    def end() -> None:
        it.end()
        ended.append(True)

    it = life()
    it.soon(end)
    it._thread.join(5)
    assert ended == [True]
    assert not it._thread.is_alive()
