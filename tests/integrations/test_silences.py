"""However much waits for a silence to be over, it costs one thread, and none when nothing waits."""

import threading
from functools import partial

import pytest

from relay.integrations.silences import Silences
from tests.client.test_blocking import until


def test_what_waits_is_done_in_its_order_and_not_where_it_was_called_off() -> None:
    done: list[int] = []
    it = Silences(0.2)
    call_off = [it.later(partial(done.append, number)) for number in range(5)]
    call_off[0]()
    call_off[3]()
    assert done == []
    until(lambda: len(done) == 3)
    call_off[1]()
    assert done == [1, 2, 4]


def test_a_thousand_that_wait_cost_one_thread_and_afterwards_none() -> None:
    it = Silences(60)
    for _ in range(2):
        before = set(threading.enumerate())
        waiting = [it.later(lambda: None) for _ in range(1000)]
        (thread,) = set(threading.enumerate()) - before
        for call_off in waiting:
            call_off()
        thread.join(5)
        assert not thread.is_alive()


def test_what_is_done_may_have_more_done_later() -> None:
    done: list[str] = []

    def again() -> None:
        done.append("first")
        it.later(lambda: done.append("second"))

    it = Silences(0.05)
    it.later(again)
    until(lambda: done == ["first", "second"])


def test_one_that_fails_keeps_back_no_other(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    it = Silences(0.1)
    it.later(lambda: done.remove("nothing"))
    it.later(lambda: done.append("second"))
    until(lambda: done == ["second"])
    assert [record.levelname for record in caplog.records] == ["ERROR"]
