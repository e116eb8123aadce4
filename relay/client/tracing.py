"""The trace a bot is in, to be passed on. OpenTelemetry is asked if the program uses it, and never loaded for us."""

import sys


def current_traceparent() -> str | None:
    """W3C `traceparent` of OpenTelemetry's current span; None where there is none."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
