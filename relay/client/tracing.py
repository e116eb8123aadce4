"""The trace a bot is in, to be passed on. OpenTelemetry is asked if the program uses it, and never loaded for us."""

import sys

from relay.core.ids import is_traceparent


def current_traceparent() -> str | None:
    """W3C `traceparent` of OpenTelemetry's current span; None where there is none, whatever the reason."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        context = trace.get_current_span().get_span_context()
        return usable(f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}")
    except Exception:  # noqa: BLE001 - not our code, and perhaps half imported yet: a bot does not fail for want of a trace
        return None


def usable(traceparent: str | None) -> str | None:
    """`traceparent` if it is one; None in place of any other, which W3C Trace Context has a receiver ignore."""
    return traceparent if isinstance(traceparent, str) and is_traceparent(traceparent) else None
