"""PromQL as far as its names go: which series a query asks for, by which labels and values.

No parser (`promtool` is one, where there is one): what is found is held against what a scrape of this relay shows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from relay.core.delivery import State
from relay.core.endpoint import Circuit
from relay.core.indicator import Indicator
from relay.core.outcome import Failure
from relay.observe.metrics import Metrics
from relay.observe.series import (
    BROADCASTS,
    DELIVERIES_ENDED,
    ENDPOINT_CIRCUIT,
    OUTBOX_DELIVERIES,
    SERIES,
    SESSIONS,
    Counter,
    Gauge,
    Histogram,
)

SCRAPERS = {"job", "instance"}
"""Labels that Prometheus adds to whatever it scrapes."""
NAMED = re.compile(r"\b(up|relay_[a-z0-9_]+)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")

VALUES: dict[tuple[str, str], set[str]] = {
    (BROADCASTS.name, "outcome"): {"accepted", "rate_limited", "unauthorised", "refused", *map(str, Failure)},
    (BROADCASTS.name, "indicator"): set(map(str, Indicator)),
    (DELIVERIES_ENDED.name, "state"): set(map(str, State)),
    (OUTBOX_DELIVERIES.name, "state"): set(map(str, State)),
    (ENDPOINT_CIRCUIT.name, "circuit"): set(map(str, Circuit)),
    (SESSIONS.name, "state"): set(map(str, Indicator)),
}
"""What a label may say where that is an enumeration; those of counters with `known` are added."""
for _one in SERIES:
    if isinstance(_one, Counter) and _one.known:
        VALUES[_one.name, _one.labels[-1]] = set(_one.known)


@dataclass(frozen=True)
class Asked:
    """One series in a query; `matched` by label, each value of an alternative by itself."""

    sample: str
    matched: tuple[tuple[str, str], ...]


def asked_for(query: str) -> Iterator[Asked]:
    for name, matchers in NAMED.findall(query):
        pairs = [(label, one) for label, said in MATCHER.findall(matchers) for one in said.split("|")]
        yield Asked(name, tuple(pairs))


def grouped_by(query: str) -> set[str]:
    """Every label a query keeps, drops or joins by."""
    return {
        label.strip() for labels in GROUPED.findall(query) for label in labels.split(",") if label.strip()
    }


def scraped() -> dict[str, tuple[str, set[str]]]:
    """Each sample a relay shows, by name: its series' name and its labels, as the exposition's own parser reads them."""
    metrics = Metrics()
    for one in SERIES:
        said = ["x"] * len(one.labels)
        match one:
            case Gauge():
                metrics.gauge(one, *said)
            case Histogram():
                metrics.histogram(one, *said)
            case _:
                assert isinstance(one, Counter)
                metrics.counter(one, *said)
    _, text = metrics.render()
    families = text_string_to_metric_families(text.decode())
    found = {
        sample.name: (family.name, set(sample.labels)) for family in families for sample in family.samples
    }
    return found | {"up": ("up", set())}


def wrong_in(query: str) -> list[str]:
    """What a query asks for that no relay has: a quiet alert and an empty panel, else."""
    shown = scraped()
    asked = list(asked_for(query))
    labels = set.union(SCRAPERS, *(shown[one.sample][1] for one in asked if one.sample in shown))
    return [
        *(["it asks for nothing"] if not asked else []),
        *(f"no series {one.sample}" for one in asked if one.sample not in shown),
        *(f"no label {label} to group by" for label in grouped_by(query) - labels),
        *(
            wrong
            for one in asked
            if one.sample in shown
            for wrong in _wrong_matchers(one, *shown[one.sample])
        ),
    ]


def _wrong_matchers(asked: Asked, series: str, labels: set[str]) -> Iterator[str]:
    for label, value in asked.matched:
        if label not in labels | SCRAPERS:
            yield f"{asked.sample} has no label {label}"
        elif value not in VALUES.get((series, label), {value}):
            yield f"{label} of {asked.sample} is never {value}"
