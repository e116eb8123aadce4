"""The trace a bot is in goes along, without OpenTelemetry being needed for anything."""

import subprocess
import sys
from pathlib import Path

import pytest

from relay.client import RelayClient
from relay.client.tracing import current_traceparent
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
