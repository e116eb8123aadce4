"""Streams and sources as their callers meet them: a browser, a program that is killed, a neighbour that floods."""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web

from relay import wire
from relay.ingest.keys import NewKey, new_key
from tests.whole.process import ROOT, RelayProcess, until
from tests.whole.town import BRISK, GUEST, Town, event, session_id

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

TYPIST = """
import asyncio, sys, aiohttp
async def main(url, key, event):
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url, headers={"Authorization": "Bearer " + key}) as stream:
            while True:
                await stream.send_str(event)
                await asyncio.sleep(0.1)
asyncio.run(main(*sys.argv[1:]))
"""


def write(town: Town, *parts: str) -> None:
    (town.home / "relay.toml").write_text("\n".join(parts))


def made(source: str) -> NewKey:
    return new_key(source, random=secrets.token_bytes)


def bearer(one: NewKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {one.key}"}


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """In a group of its own, so that a browser's many processes end with it."""
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def test_the_agent_of_a_killed_program_has_left_at_once(town: Town) -> None:
    desk = made("desk")
    write(town, desk.toml)
    async with town.relay(BRISK, RELAY_CONFIG="relay.toml") as relay:
        url = relay.public.replace("http", "ws") + "/v1/stream"
        async with running(
            sys.executable, "-c", TYPIST, url, desk.key, wire.dumps(event()).decode()
        ) as typist:
            await until(lambda: town.told()[:1] == ["typing"], within_s=10, what="typing shown")
            typist.send_signal(signal.SIGKILL)
            killed_at = time.monotonic()
            await until(
                lambda: town.transitions()[-1:] == [("stopped", "ended")],
                within_s=5,
                what="the agent left",
            )
            assert time.monotonic() - killed_at < 2
        await until(lambda: town.told()[-1:] == ["typing_stopped"], within_s=5, what="stopped shown")


async def test_a_stopping_relay_says_goodbye_to_its_streams_and_stops_their_sessions(town: Town) -> None:
    async with town.relay() as relay, aiohttp.ClientSession() as session:
        stream = await session.ws_connect(relay.public + "/v1/stream")
        await stream.send_str(wire.dumps(event()).decode())
        await until(lambda: town.told()[:1] == ["typing"], within_s=10, what="typing shown")
        relay.send(signal.SIGTERM)
        async with asyncio.timeout(5):
            while (await stream.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert stream.close_code == aiohttp.WSCloseCode.GOING_AWAY
        assert await relay.ended() == 0
    assert town.transitions()[-1:] == [("stopped", "shutdown")]


PAGE = """<!doctype html><textarea id="box"></textarea><script type="module">
  import { typingStream } from "/desk.js";
  const { relay, sessionId, guestId } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const said = (text) => fetch("/said", { method: "POST", body: text });
  const actor = { id: "agent-7" }, Socket = WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => said(data));
      this.addEventListener("close", ({ code }) => said(`closed: ${code}`));
    }
  };
  const { ticket } = await (await fetch("/ticket", { method: "POST" })).json();
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${ticket}` };
  const body = JSON.stringify({ sessionId, guestId, actor, type: "keystroke" });
  fetch(`${relay}/v1/events`, { method: "POST", headers, body })
    .then((answer) => answer.text()).catch(() => "no answer").then((text) => said(`posted ${text}`));
  const typing = await typingStream(relay, "/ticket", { sessionId, guestId, actor });
  box.addEventListener("input", () => typing.say(box.value ? "keystroke" : "cleared"));
  setInterval(() => { box.value += "x"; box.dispatchEvent(new Event("input")); }, 300);
</script>"""


@dataclass
class Desk:
    """A desktop's back end on two origins: it serves a page and the script of `/docs`, and asks for the page's tickets."""

    listed: str = ""
    foreign: str = ""
    said: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(100))
    ticket: Callable[[], Awaitable[bytes]] | None = None

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def script(self, _: web.Request) -> web.Response:
        text = (ROOT / "relay/openapi/assets/desk.js").read_text()
        return web.Response(text=text, content_type="text/javascript")

    async def give(self, _: web.Request) -> web.Response:
        assert self.ticket is not None
        return web.Response(body=await self.ticket(), content_type="application/json")

    async def hear(self, request: web.Request) -> web.Response:
        self.said.put_nowait(await request.text())
        return web.Response(status=204)


@asynccontextmanager
async def desktop() -> AsyncIterator[Desk]:
    desk, app = Desk(), web.Application()
    app.add_routes([
        web.get("/", desk.page), web.get("/desk.js", desk.script),
        web.post("/ticket", desk.give), web.post("/said", desk.hear),
    ])  # fmt: skip
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for _ in range(2):
        await web.TCPSite(runner, "127.0.0.1", 0).start()
    desk.listed, desk.foreign = (f"http://127.0.0.1:{address[1]}" for address in runner.addresses)
    yield desk
    await runner.cleanup()


@asynccontextmanager
async def browsing(town: Town, page: str, relay: RelayProcess) -> AsyncIterator[None]:
    given = {"relay": relay.public, "sessionId": session_id(), "guestId": GUEST}
    profile = town.home / f"profile-{secrets.token_hex(4)}"
    assert CHROMIUM is not None
    options = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        f"--user-data-dir={profile}",
    )
    async with running(CHROMIUM, *options, f"{page}/#{urlencode(given)}"):
        yield


async def heard(said: asyncio.Queue[str], *beginnings: str) -> list[str]:
    """One text for each beginning, in whatever order they come."""
    found: dict[str, str] = {}
    async with asyncio.timeout(30):
        while len(found) < len(beginnings):
            text = await said.get()
            found |= {one: text for one in beginnings if text.startswith(one)}
    return [found[one] for one in beginnings]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
async def test_a_page_in_a_browser_types_with_its_ticket_and_another_page_cannot(town: Town) -> None:
    """The script of `/docs` as it is: preflight, POST and WebSocket, judged by a browser and not by us."""
    made_for_desk = made("desk")
    async with desktop() as desk:
        origins = f'[sources.desk]\norigins = ["{desk.listed}"]\n'
        write(town, origins, made_for_desk.toml)
        async with town.relay(BRISK, RELAY_CONFIG="relay.toml") as relay:

            async def ticket() -> bytes:
                asked = {"sessionId": session_id(), "guestId": GUEST, "actor": {"id": "agent-7"}}
                url = f"{relay.public}/v1/tickets"
                return wire.dumps((await town.ask("POST", url, asked, headers=bearer(made_for_desk))).value)

            desk.ticket = ticket
            async with browsing(town, desk.foreign, relay):
                assert await heard(desk.said, "posted", "closed:") == ["posted no answer", "closed: 1006"]
            assert town.told() == []
            async with browsing(town, desk.listed, relay):
                posted, _ = await heard(desk.said, "posted", '{"ack":')
                assert wire.loads(posted.removeprefix("posted "))["accepted"] == 1
                await until(lambda: "typing" in town.told(), within_s=10, what="typing shown")
            await until(
                lambda: town.transitions()[-1:] == [("stopped", "ended")], within_s=10, what="it left"
            )


async def asked_at(
    town: Town, relay: RelayProcess, key: NewKey, *, per_s: float, for_s: float
) -> list[tuple[int, float]]:
    """(status, seconds) of each of so many requests a second, sent when they are due whatever became of the others."""
    loop, answers = asyncio.get_running_loop(), list[tuple[int, float]]()

    async def ask(number: int) -> None:
        began = loop.time()
        reply = await town.post(relay, event(number % 20), **bearer(key))
        answers.append((reply.status, loop.time() - began))

    async with asyncio.TaskGroup() as group:
        began = loop.time()
        for number in range(int(per_s * for_s)):
            await asyncio.sleep(max(0.0, began + number / per_s - loop.time()))
            group.create_task(ask(number), name=f"ask-{number}")
    return answers


def percentile(seconds: Sequence[float], share: float) -> float:
    return sorted(seconds)[int(len(seconds) * share)]


async def test_a_source_at_twenty_times_its_rate_is_cut_and_its_neighbour_is_not(town: Town) -> None:
    calm, loud = made("calm"), made("loud")
    write(town, calm.toml, "[sources.loud]\nrequests_per_s = 20\n", loud.toml)
    async with town.relay(BRISK, RELAY_CONFIG="relay.toml") as relay:
        beside, among = await asyncio.gather(
            asked_at(town, relay, loud, per_s=400, for_s=4), asked_at(town, relay, calm, per_s=20, for_s=4)
        )
    assert {status for status, _ in among} == {202}
    taken = sum(status == 202 for status, _ in beside)
    assert taken <= 20 * (4 + 2) + 20, "its rate, its burst, and a second the machine was late"
    assert sum(status == 429 for status, _ in beside) == len(beside) - taken


SLOW = 2000
GONE_S = 25


async def _narrow(host: str, port: int) -> asyncio.StreamWriter:
    """A connection whose end takes little unread: else the kernel would take megabytes of answers for each."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)  # noqa: FBT003 - the socket module's signature
    await asyncio.get_running_loop().sock_connect(made, (host, port))
    return (await asyncio.open_connection(sock=made, limit=1024))[1]


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_two_thousand_slow_connections_leave_the_others_quick_and_are_gone_in_time(town: Town) -> None:
    """A third never ends its head, a third drips a body, a third asks and never reads an answer.

    On a machine whose neighbours take more than a tenth of a second, what they take without the slow ones is the measure.
    """
    desk = made("desk")
    write(town, desk.toml)
    async with town.relay(BRISK, RELAY_CONFIG="relay.toml") as relay:
        host, _, port = relay.public.removeprefix("http://").rpartition(":")
        alone = percentile([s for _, s in await asked_at(town, relay, desk, per_s=50, for_s=10)], 0.99)
        opened_at = time.monotonic()
        slow = [await _narrow(host, int(port)) for _ in range(SLOW)]
        head = f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {desk.key}\r\n"
        body = head + "Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        unread = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5
        for number, writer in enumerate(slow):
            writer.write((head, body, unread)[number % 3].encode())
            if (
                number % 20 == 0
            ):  # what they ask for at once is work like any other's; here it is what they hold that counts
                await asyncio.sleep(0.02)

        async def drip() -> None:
            """A byte a second for each, and not all at once: it is the relay's delay that is measured."""
            while time.monotonic() < opened_at + GONE_S + 5:
                for number, writer in enumerate(slow):
                    if not writer.is_closing():
                        writer.write(b" ")
                    if number % 20 == 0:
                        await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip(), name="drip")
        await asyncio.sleep(1)
        answers = await asked_at(town, relay, desk, per_s=50, for_s=10)
        await asyncio.sleep(max(0.0, opened_at + GONE_S + 2 - time.monotonic()))
        left = sum(not writer.is_closing() for writer in slow)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        for writer in slow:
            writer.transport.abort()
    assert {status for status, _ in answers} == {202}
    p99 = percentile([seconds for _, seconds in answers], 0.99)
    print(f"median {percentile([seconds for _, seconds in answers], 0.5) * 1000:.1f} ms,", end=" ")
    print(
        f"p99 {p99 * 1000:.1f} ms beside {SLOW} slow connections, {alone * 1000:.1f} ms without; {left} left"
    )
    assert p99 < max(0.1, 2 * alone)
    assert left == 0
