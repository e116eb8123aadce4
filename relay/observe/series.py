"""Every series the relay tells, in one list: name, unit, meaning, labels.

A label's values come from enumerations and the operator's own names, never from a caller: the number of series is
bounded by the configuration, whatever is posted.
"""

from dataclasses import dataclass, field

from relay.core.delivery import Failure, State


@dataclass(frozen=True, slots=True)
class Series:
    """One family. `name` ends in its unit; counters get `_total` when shown (OpenMetrics)."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counter(Series):
    """Only ever grows. `known` are the values of the last label where they are few and known: shown from the start, at 0.

    `increase()` sees nothing in a series that begins with its first event, and a misspelt alert looks like a quiet one.
    """

    known: tuple[str, ...] = field(default=(), compare=False)


class Gauge(Series):
    """A level: set when it changes, or read when somebody looks."""


@dataclass(frozen=True, slots=True)
class Histogram(Series):
    """Counts by upper bound; `bounds` are in the unit of the name, ascending, +Inf understood."""

    bounds: tuple[float, ...] = ()


_INDICATOR_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. 0.1 is the tick, 2 to 2.5 the interval: a broadcast that waited for its gate shows as such."""

_COMMIT_BOUNDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5)
"""Seconds. 8 ms is the promise for the 99th percentile of a commit."""

_BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Rows."""

_REFUSALS = (
    "malformed", "unauthorised", "forbidden", "no_such_path", "method", "slow", "not_active", "too_large", "media_type",
    "invalid", "no_websocket", "too_many", "platform", "unavailable", "other",
)  # fmt: skip

EVENTS = Counter(
    "relay_events",
    "activity events by what became of them: accepted, duplicate, stale",
    ("source", "outcome"),
)
VERDICTS = Counter("relay_activities", "events behind the door by what they came to", ("verdict",))
REFUSED_REQUESTS = Counter(
    "relay_refused_requests",
    "requests answered with a problem, and none of their events applied",
    ("reason",),
    known=_REFUSALS,
)
IGNORED_WEBHOOKS = Counter(
    "relay_ignored_webhooks",
    "platforms' webhooks answered well without effect: not about typing, of no session of ours, of another shape",
    ("source", "reason"),
    known=("unrelated", "unaddressable", "malformed"),
)
PARSE_ERRORS = Counter("relay_http_parse_errors", "connections closed because they did not speak HTTP")
UNREAD_CONNECTIONS = Counter(
    "relay_http_unread", "connections cut because what the relay said there was not read"
)
UNPROVEN_REFUSED = Counter(
    "relay_unproven_bodies_refused", "bodies refused because those of unknown callers held too much already"
)
STREAMS = Gauge("relay_streams", "WebSocket streams open", ("source",))
STREAM_FRAMES = Counter("relay_stream_frames", "frames read from streams", ("source",))
STREAM_ERRORS = Counter("relay_stream_errors", "frames answered with an error", ("source",))
STREAM_ENDS = Counter(
    "relay_stream_ends", "streams closed by why: caller, silent, unread, revoked, draining", ("reason",)
)
FORGOTTEN_IDS = Counter("relay_forgotten_event_ids", "event ids forgotten early, for lack of room")

BROADCASTS = Counter("relay_broadcasts", "broadcast attempts by outcome", ("gateway", "indicator", "outcome"))
BROADCAST_SECONDS = Histogram(
    "relay_event_to_accepted_seconds",
    "from the event that asked for it to the platform's acceptance",
    ("gateway",),
    bounds=_INDICATOR_BOUNDS,
)
TOO_MANY = Counter("relay_platform_429", "times the platform said: too many", ("gateway",))
DISPLAY_RATE = Gauge(
    "relay_display_ratio", "broadcasts accepted by the platform, of those attempted", ("gateway",)
)
COALESCING_RATIO = Gauge("relay_coalescing_ratio", "events accepted for each broadcast sent")
LIMITER_HEADROOM = Gauge(
    "relay_limiter_headroom_ratio", "what is left of the platform's budget", ("gateway",)
)
DROPPED = Counter(
    "relay_dropped_indicators",
    "indicators given up before they were sent",
    ("gateway", "reason"),
    known=("breaker_open", "muted"),
)

SESSIONS = Gauge("relay_sessions", "sessions alive by what they show", ("state",))
TICK_LAG = Gauge("relay_tick_lag_seconds", "how late the last tick of the wheel came")
LOOP_LAG = Gauge("relay_loop_lag_seconds", "how late the event loop runs what is due")

READY = Gauge(
    "relay_ready", "1 where what readiness needs holds, by what it needs; /readyz says why not", ("check",)
)

CONFIG_GENERATION = Gauge("relay_config_generation", "how many settings this process has run with, from 1")
CONFIG_RELOADS = Counter(
    "relay_config_reloads",
    "times the settings were read again: taken, unchanged, refused",
    ("outcome",),
    known=("taken", "unchanged", "refused"),
)

OUTBOX_DELIVERIES = Gauge("relay_outbox_deliveries", "deliveries kept, by state", ("state",))
OUTBOX_BYTES = Gauge(
    "relay_outbox_undelivered_bytes", "bodies not yet delivered, each once for every endpoint it waits for"
)
DELIVERIES_ENDED = Counter("relay_deliveries_ended", "deliveries by how they ended", ("state",))
DELIVERIES_SHED = Counter(
    "relay_deliveries_shed",
    "given up for want of room: ephemeral ones as expired, those past an endpoint's share as cancelled",
)
OUTBOX_OLDEST = Gauge("relay_outbox_oldest_pending_seconds", "age of the oldest delivery not yet made")
ATTEMPTS = Counter(
    "relay_delivery_attempts",
    "attempts to deliver by outcome",
    ("endpoint", "outcome"),
    known=(State.DELIVERED.value, *(one.value for one in Failure)),
)
ATTEMPT_SECONDS = Histogram(
    "relay_delivery_attempt_seconds", "duration of an attempt", ("endpoint",), bounds=_INDICATOR_BOUNDS
)
ENDPOINT_DISABLED = Gauge(
    "relay_endpoint_disabled",
    "1 while an endpoint is sent nothing, for its 410 or five days of failures",
    ("endpoint",),
)
ENDPOINT_PAUSED = Gauge(
    "relay_endpoint_paused", "1 while an endpoint's operator has it paused", ("endpoint",)
)
ENDPOINT_CIRCUIT = Gauge(
    "relay_endpoint_circuit",
    "1 for the circuit an endpoint has: closed, open (it fails, nothing is sent), trial (one at a time)",
    ("endpoint", "circuit"),
)
LANE_FAULTS = Counter(
    "relay_lane_faults", "times an endpoint's lane was started again after a fault", ("endpoint",)
)
COMMIT_ROWS = Histogram("relay_outbox_commit_rows", "rows written by one commit", bounds=_BATCH_BOUNDS)
COMMIT_SECONDS = Histogram("relay_outbox_commit_seconds", "duration of one commit", bounds=_COMMIT_BOUNDS)
NOT_RECORDED = Counter(
    "relay_outbox_refused",
    "engagement events that could not be recorded",
    ("reason",),
    known=("queue_full", "rows_full", "bytes_full", "disk_full", "write_failed"),
)

SERIES: tuple[Series, ...] = (
    EVENTS, VERDICTS, REFUSED_REQUESTS, IGNORED_WEBHOOKS, PARSE_ERRORS, UNREAD_CONNECTIONS,
    UNPROVEN_REFUSED, FORGOTTEN_IDS,
    STREAMS, STREAM_FRAMES, STREAM_ERRORS, STREAM_ENDS,
    BROADCASTS, BROADCAST_SECONDS, TOO_MANY, DISPLAY_RATE, COALESCING_RATIO, LIMITER_HEADROOM, DROPPED,
    SESSIONS, TICK_LAG, LOOP_LAG, READY, CONFIG_GENERATION, CONFIG_RELOADS,
    OUTBOX_DELIVERIES, OUTBOX_BYTES, OUTBOX_OLDEST, DELIVERIES_ENDED, DELIVERIES_SHED, ATTEMPTS, ATTEMPT_SECONDS,
    ENDPOINT_DISABLED, ENDPOINT_PAUSED, ENDPOINT_CIRCUIT, LANE_FAULTS, COMMIT_ROWS, COMMIT_SECONDS, NOT_RECORDED,
)  # fmt: skip
"""In the order they are shown."""
