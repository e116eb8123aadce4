"""The blocking twin does what the client does, for programs without a loop and for many threads at once."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from relay import wire
from relay.client import BlockingRelayClient
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
    assert "relay client" not in {thread.name for thread in threading.enumerate()}


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
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.splitlines() == ["child [True, True]", "parent [True, True]"]
    assert len(relay.events) == 3


def test_a_program_that_forgets_to_close_it_ends_all_the_same(relay: Relay) -> None:
    code = (
        "from relay.client import BlockingRelayClient\n"
        f"client = BlockingRelayClient({relay.url!r})\n"
        "client.thinking('s1').begin()\n"
        f"print(client.send({EVENT!r}).is_taken)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "True"


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
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as threads:
        client = BlockingRelayClient(
            f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=60, patience_s=60
        )
        waiting = threads.submit(client.send_many, [EVENT] * 600)
        connection, _ = silent.accept()
        with connection:
            client.close()
            assert waiting.result(WITHIN_S).trouble is not None
