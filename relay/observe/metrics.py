"""Counting that costs an addition, and the only door to prometheus-client, which is asked when somebody looks.

    tally = metrics.counter(EVENTS, "crm", "accepted")     once, where the thing is built
    tally.value += 1                                       on the hot path

The library's own children take a lock at each step, several hundred nanoseconds; ours belong to the event loop and
take none. They become exposition text in `render`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from relay.observe.series import SERIES, Counter, Gauge, Histogram, Series

Labels = tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """One series' number: add to a counter's `value`, set a gauge's."""

    value: float = 0


@dataclass(slots=True)
class Spread:
    """One histogram: how many fell under each bound, and their sum."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Metrics:
    """All series of one relay, with a registry of its own: two in one process never meet."""

    def __init__(self, series: tuple[Series, ...] = SERIES) -> None:
        self._tallies: dict[Series, dict[Labels, Tally]] = {one: {} for one in series}
        self._spreads: dict[Series, dict[Labels, Spread]] = {one: {} for one in series}
        self._watched: dict[Series, Callable[[], Mapping[Labels, float]]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(_Families(self._families))
        for one in series:
            if isinstance(one, Counter) and len(one.labels) == 1:
                self.expect(one)

    def counter(self, series: Counter, *labels: str) -> Tally:
        """The one tally of these label values; keep it."""
        return self._tally(series, labels)

    def expect(self, series: Counter, *labels: str) -> None:
        """Shows, at 0, each known value of the last label after these of the others: what may happen, before it does."""
        for value in series.known:
            self.counter(series, *labels, value)

    def gauge(self, series: Gauge, *labels: str) -> Tally:
        """The one tally of these label values; keep it."""
        return self._tally(series, labels)

    def histogram(self, series: Histogram, *labels: str) -> Spread:
        """The one spread of these label values; keep it."""
        _fits(series, labels)
        return self._spreads[series].setdefault(labels, Spread(series.bounds))

    def watch(self, series: Gauge, read: Callable[[], Mapping[Labels, float]]) -> None:
        """From now on `read` gives this gauge's values by label values, each time somebody looks; keep it cheap."""
        self._watched[series] = read

    def render(self) -> tuple[str, bytes]:
        """The content type and the text, for `GET /metrics`."""
        return CONTENT_TYPE_LATEST, generate_latest(self._registry)

    def _tally(self, series: Series, labels: Labels) -> Tally:
        _fits(series, labels)
        return self._tallies[series].setdefault(labels, Tally())

    def _families(self) -> Iterator[Metric]:
        for series in self._tallies:
            match series:
                case Histogram():
                    yield _histogram(series, self._spreads[series])
                case Gauge():
                    yield _gauge(series, self._levels(series))
                case _:
                    yield _counter(series, self._tallies[series])

    def _levels(self, series: Series) -> Mapping[Labels, float]:
        read = self._watched.get(series)
        return read() if read else {labels: tally.value for labels, tally in self._tallies[series].items()}


class _Families(Collector):
    """What the registry asks: nothing at registration, every family at a scrape."""

    def __init__(self, families: Callable[[], Iterator[Metric]]) -> None:
        self._families = families

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        return self._families()


def _fits(series: Series, labels: Labels) -> None:
    if len(labels) != len(series.labels):
        raise ValueError(f"{series.name} takes {len(series.labels)} label values, {len(labels)} were given")


def _counter(series: Series, tallies: Mapping[Labels, Tally]) -> Metric:
    family = CounterMetricFamily(series.name, series.meaning, labels=series.labels)
    for labels, tally in tallies.items():
        family.add_metric(labels, tally.value)
    return family


def _gauge(series: Series, levels: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(series.name, series.meaning, labels=series.labels)
    for labels, level in levels.items():
        family.add_metric(labels, level)
    return family


def _histogram(series: Histogram, spreads: Mapping[Labels, Spread]) -> Metric:
    family = HistogramMetricFamily(series.name, series.meaning, labels=series.labels)
    bounds = [*(f"{bound:g}" for bound in series.bounds), "+Inf"]
    for labels, spread in spreads.items():
        buckets = list(zip(bounds, map(float, accumulate(spread.counts)), strict=True))
        family.add_metric(labels, buckets, sum_value=spread.total)
    return family
