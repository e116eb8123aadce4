import asyncio
import io
import os
import signal

import aiohttp

from relay.core.indicator import Indicator
from relay.demo.clock import run_hurried
from relay.demo.live import View, clock, perform_live, view_line, view_lines
from relay.sandbox.chaos import Chaos
from relay.sandbox.traces import endless_trace

VIEW = View(
    addresses={"relay": "http://127.0.0.1:1", "tracker": "http://127.0.0.1:2/hooks"},
    elapsed_s=83.9,
    keys=1000,
    calls={"typing": 120, "paused": 30, "typing_stopped": 10},
    too_many=3,
    server_errors=1,
    guests={"…0001": Indicator.TYPING, "…0002": Indicator.PAUSED, "…0003": None},
    verified=1210,
    unverified=0,
    duplicates=2,
    gaps=0,
    pending=4,
)


def test_the_view_shows_where_everybody_listens_and_what_everybody_saw() -> None:
    assert view_lines(VIEW) == [
        "Typing Relay at work · 1:23 · Ctrl-C ends it",
        "",
        "  relay       http://127.0.0.1:1",
        "  tracker     http://127.0.0.1:2/hooks",
        "",
        "  keys        1,000 typed",
        "  indicators  120 typing, 30 paused, 10 stopped · 0.160 per key",
        "  platform    3 times 429, 1 times 5xx met",
        "  callbacks   1,210 verified, 0 not, 2 repeated, 0 gaps",
        "  outbox      4 pending",
        "",
        "  guest 0001  Agent is typing…",
        "  guest 0002  Agent paused",
        "  guest 0003  ·",
    ]


def test_the_line_for_a_log_holds_the_same_figures() -> None:
    assert view_line(VIEW) == (
        "1:23 keys 1,000 · indicators 120 typing, 30 paused, 10 stopped · 0.160 per key"
        " · met 3 times 429, 1 times 5xx · callbacks 1,210 verified, 0 not, 2 repeated, 0 gaps · pending 4"
    )


def test_before_the_first_key_nothing_is_divided() -> None:
    view = View({}, 0, 0, {"typing": 0}, 0, 0, {}, 0, 0, 0, 0, 0)
    assert view.per_key == 0.0


def test_a_clock_shows_minutes_and_seconds() -> None:
    assert [clock(seconds) for seconds in (0, 59.9, 61, 3600)] == ["0:00", "0:59", "1:01", "60:00"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_it_says_a_line_now_and_then_until_its_time_is_over() -> None:
    out = io.StringIO()
    main = perform_live([endless_trace()], chaos=Chaos.none(), out=out, until_s=12, speed=20)
    run_hurried(main, speed=20)
    addresses, first, *_, last = out.getvalue().splitlines()
    assert addresses.split()[::2] == ["relay", "operations", "platform", "tracker", "guest"]
    assert first.startswith("0:00 keys")
    assert last.startswith("stopping")
    assert "\x1b" not in out.getvalue()


def test_the_page_it_names_is_there_and_its_guest_is_one_who_is_typed_to() -> None:
    out = io.StringIO()
    pages: list[int] = []
    shown: list[str] = []

    async def main() -> None:
        live = asyncio.create_task(
            perform_live([endless_trace()], chaos=Chaos.none(), out=out, until_s=40, speed=20)
        )
        async with aiohttp.ClientSession() as http:
            while not shown:
                await asyncio.sleep(1)
                url = out.getvalue().partition("guest ")[2].split("\n")[0]
                if not url:
                    continue
                async with http.get(url) as page:
                    pages.append(page.status)
                async with http.get(url.replace("/guest/", "/sandbox/visible/")) as visible:
                    shown.extend(filter(None, (await visible.json()).values()))
        await live

    run_hurried(main(), speed=20)
    assert set(pages) == {200}


def test_in_a_terminal_the_view_is_written_over_itself() -> None:
    out = Terminal()
    run_hurried(perform_live([[0.0]], chaos=Chaos.none(), out=out, until_s=12, speed=20), speed=20)
    assert "\x1b[2KTyping Relay at work" in out.getvalue()
    fifteen_lines_up = "\x1b[15A"
    assert fifteen_lines_up in out.getvalue()


def test_it_ends_by_itself_when_the_trace_is_through_and_everything_is_quiet() -> None:
    out = io.StringIO()
    run_hurried(perform_live([[0.0]], chaos=Chaos.none(), out=out, speed=20), speed=20)
    assert out.getvalue().splitlines()[-1].startswith("stopping")


class Impatient(io.StringIO):
    """Presses Ctrl-C as soon as it has seen something."""

    def write(self, text: str) -> int:
        if " keys " in text:
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


def test_a_signal_ends_it_in_good_order() -> None:
    out, before = Impatient(), signal.getsignal(signal.SIGTERM)
    main = perform_live([endless_trace()], chaos=Chaos.none(), out=out, until_s=200, speed=20)
    run_hurried(main, speed=20)
    assert out.getvalue().splitlines()[-1].startswith("stopping")
    assert signal.getsignal(signal.SIGTERM) == before
