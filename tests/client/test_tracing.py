"""The trace a bot is in goes along, without OpenTelemetry being needed for anything."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from relay.client import RelayClient
from relay.client.tracing import current_traceparent, usable
from tests.client.beside import GUEST, SESSION, beside
from tests.client.standing import standing

ROOT = Path(__file__).parents[2]
TRACEPARENT = (
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"  # W3C Trace Context section 3.2.1's example
)
EVENT = {"sessionId": "s1", "type": "keystroke"}


@pytest.mark.looptime
async def test_a_span_that_is_current_is_passed_on_and_one_given_goes_before_it() -> None:
    trace = pytest.importorskip("opentelemetry.trace", reason="opentelemetry-api is not installed")
    context = trace.SpanContext(
        0x0AF7651916CD43DD8448EB211C80319C,
        0xB7AD6B7169203331,
        is_remote=True,
        trace_flags=trace.TraceFlags(1),
    )
    given = TRACEPARENT.replace("b7", "c7")
    async with standing() as relay, RelayClient(relay.url) as client:
        with trace.use_span(trace.NonRecordingSpan(context)):
            assert current_traceparent() == TRACEPARENT
            await client.send(EVENT)
            await client.send(EVENT | {"traceparent": given})
            work, other = client.thinking("s1"), client.thinking("s2", traceparent=given)
            work.begin()
            other.begin()
        await client.send(EVENT)
        sent = [event.get("traceparent") for events in relay.requests for event in events]
    assert sent[:4] == [TRACEPARENT, given, TRACEPARENT, given]
    assert sent[4] is None


def test_opentelemetry_is_never_loaded_for_us() -> None:
    code = "import sys, relay.client.tracing as t; print(t.current_traceparent(), 'opentelemetry' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split() == ["None", "False"]


def spanning(monkeypatch: pytest.MonkeyPatch, **context: object) -> None:
    """As if the program used an OpenTelemetry whose current span is this."""
    trace = ModuleType("opentelemetry.trace")
    span = SimpleNamespace(get_span_context=lambda: SimpleNamespace(**context))
    trace.__dict__["get_current_span"] = lambda: span
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", trace)


def test_a_span_of_no_trace_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    spanning(monkeypatch, trace_id=0xA, span_id=0xB, trace_flags=1)
    assert current_traceparent() == f"00-{0xA:032x}-{0xB:016x}-01"
    spanning(monkeypatch, trace_id=0, span_id=0, trace_flags=0)
    assert current_traceparent() is None


@pytest.mark.looptime
async def test_an_opentelemetry_that_is_only_half_imported_harms_no_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Escaped because it is in `sys.modules` from its first line on, while another thread still imports it."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", ModuleType("opentelemetry.trace"))
    async with standing() as relay, RelayClient(relay.url) as client:
        assert (await client.send(EVENT)).is_taken
        spanning(monkeypatch)
        assert (await client.send(EVENT)).is_taken
        assert ["traceparent" in event for events in relay.requests for event in events] == [False, False]


NONE_AT_ALL = [
    "garbage",
    "",
    f"01{TRACEPARENT[2:]}-more",
    TRACEPARENT.upper(),
    f"00-{0:032x}-{0:016x}-01",
    f"{TRACEPARENT}\n",
    7,
    None,
]


@pytest.mark.parametrize("given", NONE_AT_ALL)
def test_a_traceparent_that_is_none_is_not_usable(given: Any) -> None:  # Any: wrong on purpose
    assert usable(given) is None
    assert usable(TRACEPARENT) == TRACEPARENT


@pytest.mark.looptime
async def test_a_traceparent_that_is_none_costs_its_event_nothing() -> None:
    """The relay refused the whole event for it."""
    async with beside() as (relay, client):
        for given in NONE_AT_ALL:
            told = {"sessionId": SESSION, "guestId": GUEST, "type": "keystroke", "traceparent": given}
            assert (await client.send(told)).accepted == 1
        assert [one.traceparent for one in relay.taken] == [None] * len(NONE_AT_ALL)
