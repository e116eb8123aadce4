import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.gateway.port import Hold
from relay.ingest.counts import count_refusal
from relay.observe.metrics import Metrics
from relay.observe.series import (
    BROADCASTS,
    COMMIT_SECONDS,
    DROPPED,
    EVENTS,
    LOOP_LAG,
    NOT_RECORDED,
    REFUSED_REQUESTS,
    SERIES,
    SESSIONS,
    Counter,
    Gauge,
    Histogram,
)
from relay.outbox.sqlite.room import Limit


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample by name and labels, as a scraper reads them."""
    _, text = metrics.render()
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_a_counter_shows_what_was_added() -> None:
    metrics = Metrics()
    metrics.counter(EVENTS, "crm", "accepted").value += 3
    assert samples(metrics)["relay_events_total[('outcome', 'accepted'), ('source', 'crm')]"] == 3


def test_the_same_labels_are_the_same_tally() -> None:
    metrics = Metrics()
    metrics.counter(EVENTS, "crm", "accepted").value += 1
    metrics.counter(EVENTS, "crm", "accepted").value += 1
    assert metrics.counter(EVENTS, "crm", "accepted").value == 2


def test_a_gauge_shows_its_level() -> None:
    metrics = Metrics()
    metrics.gauge(LOOP_LAG).value = 0.25
    assert samples(metrics)["relay_loop_lag_seconds[]"] == 0.25


def test_a_watched_gauge_is_read_when_somebody_looks() -> None:
    metrics = Metrics()
    alive: dict[tuple[str, ...], float] = {("typing",): 1}
    metrics.watch(SESSIONS, lambda: alive)
    alive["typing",] = 7
    assert samples(metrics)["relay_sessions[('state', 'typing')]"] == 7


def test_a_histogram_counts_what_lies_at_or_under_each_bound() -> None:
    metrics = Metrics()
    commit = metrics.histogram(COMMIT_SECONDS)
    for value in (0.0005, 0.0006, 9):
        commit.observe(value)
    got = samples(metrics)
    assert got["relay_outbox_commit_seconds_bucket[('le', '0.0005')]"] == 1
    assert got["relay_outbox_commit_seconds_bucket[('le', '0.001')]"] == 2
    assert got["relay_outbox_commit_seconds_bucket[('le', '+Inf')]"] == 3
    assert got["relay_outbox_commit_seconds_count[]"] == 3
    assert got["relay_outbox_commit_seconds_sum[]"] == pytest.approx(9.0011)


def test_two_relays_in_one_process_never_meet() -> None:
    one, other = Metrics(), Metrics()
    one.counter(EVENTS, "crm", "accepted").value += 1
    assert other.counter(EVENTS, "crm", "accepted").value == 0


def test_a_label_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="takes 3 label values"):
        Metrics().counter(BROADCASTS, "guest")


@pytest.mark.parametrize("series", SERIES, ids=lambda series: series.name)
def test_every_series_is_well_named_and_explained(series: Counter | Gauge | Histogram) -> None:
    assert re.fullmatch(r"relay_[a-z0-9_]+", series.name)
    assert series.meaning
    assert not series.name.endswith("_total"), "the suffix is added when shown"
    assert not {"session", "guest", "actor", "host", "path", "url", "id"} & set(series.labels)


def test_no_series_is_listed_twice() -> None:
    assert len({series.name for series in SERIES}) == len(SERIES)


def test_an_untouched_relay_can_be_scraped() -> None:
    content_type, text = Metrics().render()
    assert content_type.startswith("text/plain")
    assert b"# HELP relay_events_total" in text


def test_what_is_known_to_be_possible_is_shown_before_it_happens() -> None:
    """`increase()` over a series that began with its first event is 0: the first burst fired no alert."""
    metrics = Metrics()
    assert samples(metrics)["relay_outbox_refused_total[('reason', 'disk_full')]"] == 0
    assert not any(name.startswith("relay_dropped_indicators_total") for name in samples(metrics))
    metrics.expect(DROPPED, "guest")
    shown = [name for name in samples(metrics) if name.startswith("relay_dropped_indicators_total")]
    assert len(shown) == len(DROPPED.known)


def test_expecting_what_has_happened_already_forgets_nothing_of_it() -> None:
    metrics = Metrics()
    metrics.counter(DROPPED, "guest", "muted").value += 1
    metrics.expect(DROPPED, "guest")
    assert metrics.counter(DROPPED, "guest", "muted").value == 1


def test_every_status_a_request_can_be_refused_with_is_counted_under_a_known_reason() -> None:
    metrics = Metrics()
    for status in range(400, 600):
        count_refusal(metrics, status)
    counted = {name for name, value in samples(metrics).items() if value and "refused_requests" in name}
    assert counted == {f"relay_refused_requests_total[('reason', '{one}')]" for one in REFUSED_REQUESTS.known}


def test_the_reasons_that_other_rooms_name_are_known_here() -> None:
    assert {limit.value for limit in Limit} <= set(NOT_RECORDED.known)
    assert Hold.CIRCUIT_OPEN.value in DROPPED.known
