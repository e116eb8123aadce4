"""Refused requests by reason: as many series as there are reasons, whatever is sent."""

from relay.observe.metrics import Metrics
from relay.observe.series import REFUSED_REQUESTS

_REASONS = {
    400: "malformed", 401: "unauthorised", 403: "forbidden", 404: "no_such_path", 405: "method", 408: "slow",
    409: "not_active", 413: "too_large", 415: "media_type", 422: "invalid", 426: "no_websocket", 429: "too_many",
    502: "platform", 503: "unavailable", 504: "platform",
}  # fmt: skip


def count_refusal(metrics: Metrics, status: int) -> None:
    metrics.counter(REFUSED_REQUESTS, _REASONS.get(status, "other")).value += 1
