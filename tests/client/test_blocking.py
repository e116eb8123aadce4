"""The blocking twin does what the client does, for programs without a loop and for many threads at once."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from relay import wire
from relay.client import BlockingRelayClient, RelayClient
from relay.errors import Rejected, Unavailable
from tests.client.beside import GUEST, KEY, SESSION, relay_beside

ROOT = Path(__file__).parents[2]
EVENT = {"sessionId": "s1", "guestId": "g1", "type": "keystroke"}
WITHIN_S = 10.0


class Relay:
    """A relay's door on a thread; `status` is what it answers."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.status = 202
        relay = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                told = wire.loads(self.rfile.read(int(self.headers["content-length"])))
                events = told if isinstance(told, list) else [told]
                relay.events += events
                body = wire.dumps({"accepted": len(events), "duplicates": 0, "stale": 0, "detail": "no"})
                self.send_response(relay.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]


@pytest.fixture
def relay() -> Iterator[Relay]:
    it = Relay()
    thread = threading.Thread(target=it.server.serve_forever, args=(0.01,), name="a relay's door")
    thread.start()
    yield it
    it.server.shutdown()
    thread.join(WITHIN_S)
    it.server.server_close()


def until(claim: Callable[[], bool]) -> None:
    ends = time.monotonic() + WITHIN_S
    while not claim():
        assert time.monotonic() < ends
        time.sleep(0.005)


def printed(code: str) -> list[str]:
    """The lines of a program."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.splitlines()


@pytest.fixture
def no_thread() -> Iterator[Callable[[], object]]:
    """A system that has no thread to give, until this is called: none has room for a stack of such a size."""
    usual = threading.stack_size(1 << 46)
    yield partial(threading.stack_size, usual)
    threading.stack_size(usual)


def test_it_has_what_the_client_has_and_nothing_else() -> None:
    """Of two kinds of programs neither should have to know more; `wait_for` was for its own blocks alone."""
    blocking, client = BlockingRelayClient("http://127.0.0.1:1"), RelayClient("http://127.0.0.1:1")
    assert public(blocking) == public(client)
    assert public(blocking.thinking("s1")) == public(client.thinking("s1"))


def public(what: object) -> set[str]:
    return {name for name in dir(what) if not name.startswith("_")}


def test_a_block_opens_and_closes(relay: Relay) -> None:
    with BlockingRelayClient(relay.url) as client:
        with client.thinking("s1", "g1"):
            until(lambda: relay.kinds() == ["thinking"])
        until(lambda: relay.kinds() == ["thinking", "thinking_done"])


def test_closing_sends_what_waits(relay: Relay) -> None:
    with BlockingRelayClient(relay.url) as client, client.thinking("s1", "g1") as work:
        until(lambda: relay.kinds() == ["thinking"])
        work.answered()
    assert relay.kinds() == ["thinking", "message_sent"]


def test_its_answers_are_the_relays(relay: Relay) -> None:
    with BlockingRelayClient(relay.url) as client:
        assert client.send(EVENT).accepted == 1
        assert client.send_many([EVENT] * 3).accepted == 3
        client.typing("s1", "g1")
        client.say(EVENT)
        until(lambda: client.counts.taken == 6)


def test_many_threads_may_use_it_at_once(relay: Relay) -> None:
    with BlockingRelayClient(relay.url) as client, ThreadPoolExecutor(8) as threads:

        def work(number: int) -> None:
            with client.thinking(f"s{number}"):
                assert client.send({"sessionId": f"s{number}", "type": "keystroke"}).is_taken

        list(threads.map(work, range(40)))
    assert relay.kinds().count("keystroke") == 40
    assert {e["sessionId"] for e in relay.events if e["type"] == "thinking_done"} == {
        f"s{n}" for n in range(40)
    }


def test_strict_raises_here_too(relay: Relay) -> None:
    relay.status = 422
    with BlockingRelayClient(relay.url, strict=True) as client:
        with pytest.raises(Rejected):
            client.send(EVENT)
        with pytest.raises(Rejected), client.thinking("s1"):
            pytest.fail("the block was entered")
    relay.status = 503
    with BlockingRelayClient(relay.url, strict=True, patience_s=0.3) as client, pytest.raises(Unavailable):
        client.send(EVENT)


def test_a_relay_that_is_down_costs_the_work_nothing() -> None:
    client = BlockingRelayClient("http://127.0.0.1:1")
    with client.thinking("s1"):
        pass  # the thread has started
    began = time.perf_counter()
    for _ in range(200):
        with client.thinking("s1"):
            client.say(EVENT)
    assert time.perf_counter() - began < 1
    client.close()


def test_a_closed_one_leaves_no_thread_and_may_be_used_anew(relay: Relay) -> None:
    client = BlockingRelayClient(relay.url)
    for _ in range(2):
        assert client.send(EVENT).is_taken
        client.close()
        client.close()
    assert_no_thread_is_left()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_it_goes_on_in_a_child_and_in_its_parent_after_a_fork(relay: Relay) -> None:
    """A server loads the program, uses it and forks; each answer in a child was a TimeoutError ten seconds later."""
    code = (
        "import os, sys\n"
        "from relay.client import BlockingRelayClient\n"
        f"client = BlockingRelayClient({relay.url!r}, patience_s=1)\n"
        f"told = [client.send({EVENT!r}).is_taken]\n"
        "child = os.fork()\n"
        "if child:\n"
        "    os.waitpid(child, 0)\n"
        f"told.append(client.send({EVENT!r}).is_taken)\n"
        "client.close()\n"
        "print('parent' if child else 'child', told, flush=True)\n"
        "os._exit(0)"
    )
    assert printed(code) == ["child [True, True]", "parent [True, True]"]
    assert len(relay.events) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_that_is_forked_with_the_first_words_on_their_way_has_all_it_needs(relay: Relay) -> None:
    """What the client's thread was just importing then stayed half imported in the child."""
    code = (
        "import os\n"
        "from relay.client import BlockingRelayClient\n"
        f"client = BlockingRelayClient({relay.url!r}, patience_s=1)\n"
        f"client.say({EVENT!r})\n"
        "if child := os.fork():\n"
        "    os.waitpid(child, 0)\n"
        "else:\n"
        f"    print(client.send({EVENT!r}).is_taken, flush=True)\n"
        "os._exit(0)"
    )
    assert printed(code) == ["True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_what_was_begun_before_a_fork_is_the_parents_and_the_child_is_not_held_up_by_it(relay: Relay) -> None:
    code = (
        "import os, time\n"
        "from relay.client import BlockingRelayClient\n"
        f"client = BlockingRelayClient({relay.url!r}, strict=True)\n"
        "work, stream = client.thinking('s1').__enter__(), client.stream().__enter__()\n"
        "if child := os.fork():\n"
        "    os.waitpid(child, 0)\n"
        "    client.close()\n"
        "else:\n"
        "    began = time.monotonic()\n"
        "    work.end()\n"
        f"    stream.say({EVENT!r})\n"
        "    stream.__exit__()\n"
        "    print(stream.counts.dropped, time.monotonic() - began < 5, flush=True)\n"
        "os._exit(0)"
    )
    assert printed(code) == ["1 True"]
    assert relay.kinds() == ["thinking", "thinking_done"]


def test_a_program_that_forgets_to_close_it_ends_all_the_same(relay: Relay) -> None:
    code = (
        "from relay.client import BlockingRelayClient\n"
        f"client = BlockingRelayClient({relay.url!r})\n"
        "client.thinking('s1').begin()\n"
        f"print(client.send({EVENT!r}).is_taken)"
    )
    assert printed(code) == ["True"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer that interrupts")
def test_a_handler_of_signals_may_tell_what_it_interrupts_the_telling_of(relay: Relay) -> None:
    """Whatever it interrupts holds the locks of this client."""
    code = (
        "import signal\n"
        "from relay.client import BlockingRelayClient\n"
        f"client, heard = BlockingRelayClient({relay.url!r}), []\n"
        "def interrupt(*_):\n"
        f"    client.say({EVENT!r})\n"
        "    heard.append(None)\n"
        f"client.say({EVENT!r})\n"
        "signal.signal(signal.SIGALRM, interrupt)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n"
        "while len(heard) < 100:\n"
        f"    client.say({EVENT!r})\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "client.close()\n"
        "print('ended')"
    )
    assert printed(code) == ["ended"]


async def test_it_streams_too() -> None:
    async with relay_beside() as beside:

        def program() -> tuple[int, int]:
            with BlockingRelayClient(beside.url, KEY) as client, client.stream() as stream:
                for number in range(10):
                    stream.say({"sessionId": SESSION, "guestId": GUEST, "type": "keystroke", "seq": number})
                stream.typing(SESSION, GUEST)
            return stream.counts.taken, stream.counts.dropped

        assert await asyncio.to_thread(program) == (11, 0)
        assert beside.kinds().count("keystroke") == 11


def test_closing_answers_whoever_still_waits() -> None:
    """It took fifteen seconds where it was `send_many` that waited: the rest was sent through a client opened anew."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as threads:
        client = BlockingRelayClient(
            f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=60, patience_s=60
        )
        waiting = threads.submit(client.send_many, [EVENT] * 600)
        connection, _ = silent.accept()
        with connection:
            client.close()
            trouble = waiting.result(5).trouble
        assert trouble is not None
        assert_no_thread_is_left()


def assert_no_thread_is_left() -> None:
    assert "relay client" not in {thread.name for thread in threading.enumerate()}


def test_closing_beside_others_that_use_it_raises_into_none_of_them(relay: Relay) -> None:
    """Between the start of the thread and the hand-over to it, its loop was closed: RuntimeError, in the bot."""
    client, is_over = BlockingRelayClient(relay.url), threading.Event()

    def use(session_id: str) -> None:
        while not is_over.is_set():
            with client.thinking(session_id):
                client.typing(session_id)
            client.send({"sessionId": session_id, "type": "cleared"})

    with ThreadPoolExecutor(4) as threads:
        using = [threads.submit(use, f"s{number}") for number in range(4)]
        for _ in range(20):
            client.close()
            time.sleep(0.005)
        is_over.set()
        for one in using:
            one.result(WITHIN_S)
    client.close()
    assert_no_thread_is_left()


def test_what_was_begun_before_a_close_ends_nothing_of_the_client_used_anew(relay: Relay) -> None:
    """Its end opened a client whose loop had ended, and whatever was told from then on was lost."""
    client = BlockingRelayClient(relay.url)
    left_over = client.thinking("s1")
    left_over.begin()
    client.close()
    with client.thinking("s1"):
        left_over.answered()
        left_over.end()
        assert client.send({"sessionId": "s1", "type": "keystroke"}).is_taken
    client.close()
    assert relay.kinds() == ["thinking", "thinking_done", "thinking", "keystroke", "thinking_done"]
    assert client.counts.dropped == 0


def test_a_block_that_is_left_after_a_close_is_left_in_peace(relay: Relay) -> None:
    for strict in (False, True):
        client = BlockingRelayClient(relay.url, strict=strict)
        with client.stream() as stream, client.thinking("s1") as work:
            client.close()
            stream.say(EVENT)
            if strict:
                work.end()
        assert stream.counts.dropped == 1
        assert client.send(EVENT).is_taken
        client.close()


def test_one_use_may_begin_anew_also_after_a_close(relay: Relay) -> None:
    client = BlockingRelayClient(relay.url)
    work = client.thinking("s1")
    for _ in range(2):
        for _ in range(2):
            work.begin()
            work.begin()
            assert client.send({"sessionId": "s1", "type": "keystroke"}).is_taken
            work.end()
            work.end()
        client.close()
    assert relay.kinds() == ["thinking", "keystroke", "thinking_done"] * 4


def test_what_threads_say_one_after_the_other_arrives_in_that_order(relay: Relay) -> None:
    """From the very first word, before the client's thread is there to take it."""
    with (
        BlockingRelayClient(relay.url) as client,
        ThreadPoolExecutor(1) as one,
        ThreadPoolExecutor(1) as other,
    ):
        for seq in range(0, 100, 2):
            one.submit(client.say, EVENT | {"seq": seq}).result()
            other.submit(client.say, EVENT | {"seq": seq + 1}).result()
    assert [event["seq"] for event in relay.events] == list(range(100))


def test_an_event_is_told_as_it_was_when_it_was_said(relay: Relay) -> None:
    event: dict[str, Any] = {"sessionId": "s1", "type": "keystroke", "actor": {"kind": "agent"}}
    with BlockingRelayClient(relay.url) as client:
        for seq in range(50):
            event["seq"], event["actor"]["id"] = seq, f"a{seq}"
            client.say(event)
    assert [event["actor"]["id"] for event in relay.events] == [f"a{seq}" for seq in range(50)]
    assert [event["seq"] for event in relay.events] == list(range(50))


def test_without_a_thread_nothing_is_raised_and_what_is_told_is_counted(
    relay: Relay, no_thread: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    """RuntimeError reached the bot, and the client had a loop on which nothing ran, for good."""
    with BlockingRelayClient(relay.url) as client:
        with client.thinking("s1"), client.stream() as stream:
            client.say(EVENT)
            client.typing("s1")
            stream.say(EVENT)
        trouble = client.send_many([EVENT] * 3).trouble
        assert trouble is not None
        assert "no thread can be had" in trouble.words
        assert (client.counts.dropped, stream.counts.dropped) == (6, 1)
        assert len([line for line in caplog.messages if "no thread can be had" in line]) == 1
        client.close()
        no_thread()
        until(lambda: client.send(EVENT).is_taken)
    assert relay.kinds() == ["keystroke"]


def test_without_a_thread_a_strict_one_says_so(relay: Relay, no_thread: Callable[[], object]) -> None:
    client = BlockingRelayClient(relay.url, strict=True)
    with pytest.raises(Unavailable, match="no thread can be had"):
        client.send(EVENT)
    with pytest.raises(Unavailable, match="no thread can be had"), client.thinking("s1"):
        pytest.fail("the block was entered")
    with pytest.raises(Unavailable, match="no thread can be had"), client.stream():
        pytest.fail("the block was entered")
    no_thread()
    until(lambda: is_taken(client))
    with client.thinking("s1"):
        assert relay.kinds() == ["keystroke", "thinking"]
    client.close()


def is_taken(client: BlockingRelayClient) -> bool:
    with suppress(Unavailable):
        return client.send(EVENT).is_taken
    return False


def test_a_thread_that_cannot_be_had_is_not_asked_for_with_every_event(
    no_thread: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try may print what a destructor raises, and takes longer than an event may."""
    starts = 0

    def count(thread: threading.Thread) -> None:
        nonlocal starts
        starts += 1
        usual(thread)

    usual = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", count)
    client = BlockingRelayClient("http://127.0.0.1:1")
    for _ in range(100):
        client.say(EVENT)
    no_thread()
    assert (starts, client.counts.dropped) == (1, 100)


def test_a_handler_of_logs_may_say_something_of_a_thread_that_cannot_be_had() -> None:
    """It is called in the middle of the start, and with the lock of that."""
    code = (
        "import logging, threading\n"
        "from relay.client import BlockingRelayClient\n"
        "class Passing(logging.Handler):\n"
        f"    def emit(self, _): client.say({EVENT!r})\n"
        "logging.getLogger('relay.client').addHandler(Passing())\n"
        "threading.stack_size(1 << 46)\n"
        "client = BlockingRelayClient('http://127.0.0.1:1')\n"
        f"client.say({EVENT!r})\n"
        "print(client.counts.dropped)"
    )
    assert printed(code) == ["2"]


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such limit")
def test_without_a_file_to_open_the_asynchronous_client_raises_nothing_and_then_goes_on(relay: Relay) -> None:
    """Its first use loads aiohttp, and raised whatever came of that."""
    code = (
        "import asyncio, os, resource\n"
        "from relay.client import RelayClient\n"
        "async def main():\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "    files = []\n"
        "    try:\n"
        "        while True: files.append(os.open('/dev/null', os.O_RDONLY))\n"
        "    except OSError: pass\n"
        f"    client = RelayClient({relay.url!r}, patience_s=0.2)\n"
        f"    client.say({EVENT!r})\n"
        "    client.thinking('s2').begin()\n"
        f"    print('no connection can be made' in (await client.send({EVENT!r})).trouble.words)\n"
        "    for file in files: os.close(file)\n"
        "    await asyncio.sleep(1)\n"
        f"    print((await client.send({EVENT!r})).is_taken)\n"
        "    await client.close()\n"
        "asyncio.run(main())"
    )
    assert printed(code) == ["True", "True"]
    assert sorted(relay.kinds()) == ["keystroke", "keystroke", "thinking", "thinking_done"]


def test_what_is_asked_for_on_the_clients_own_thread_holds_it_up_for_nobody(relay: Relay) -> None:
    """A handler that passes the log on is called there, by the client itself."""

    class Passing(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            answers.append(client.send(EVENT))

    answers: list[Any] = []
    relay.status = 422
    log, passing = logging.getLogger("relay.client"), Passing()
    log.addHandler(passing)
    try:
        with BlockingRelayClient(relay.url) as client:
            began = time.monotonic()
            assert client.send(EVENT).trouble is not None
            assert time.monotonic() - began < 5
            assert (client.counts.refused, client.counts.dropped) == (1, 1)
    finally:
        log.removeHandler(passing)
    assert "own thread" in answers[0].trouble.words


def test_what_the_clients_own_thread_is_told_was_not_done_is_not_done_but_ends_are(relay: Relay) -> None:
    """It was sent all the same, and who believed the answer sent it again. A generator may be collected there."""
    told: list[object] = []

    def leave() -> None:
        with pytest.raises(Unavailable, match="own thread"):
            client.send({"sessionId": "s1", "type": "message_sent"})
        work.__exit__(GeneratorExit, GeneratorExit(), None)
        told.append(None)

    with BlockingRelayClient(relay.url, strict=True) as client:
        work = client.thinking("s1").__enter__()
        client._started().soon(leave)
        until(lambda: relay.kinds() == ["thinking", "thinking_done"])
    assert told == [None]
