"""verdictd's metrics in the form that Prometheus reads. docs/observability.md says what each is for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from verdictd import __version__
from verdictd.collateral.held import HeldItem
from verdictd.daemon.worker_metrics import BUCKETS, COUNTERS, Histogram, Totals

_PREFIX: Final = "verdictd_"
_MAX_ITEMS: Final = 1000
"""Of collateral: genuine platforms of any family can have it fetched, so that there is a bound."""
_COUNTER_HELP: Final = {
    "attestations": "Attestations concluded, by kind of evidence, verdict and the first check that refused.",
    "handshakes": "Handshakes, by what became of them.",
    "policy_decisions": "Decisions of the policy, by outcome.",
    "requests": "Requests of accepted peers, by outcome.",
}
_HISTOGRAM_HELP: Final = {
    "handshake_seconds": "How long handshakes took, judgement included.",
    "judgement_seconds": "How long judgements took, collateral and policy included.",
    "policy_decision_seconds": "How long the policy's decisions took.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSources:
    """Where the figures come from; each is asked when somebody scrapes.

    Attributes:
        totals: what the workers counted.
        collateral: what is held, at an instant.
        connections: open now.
        turned_away: connections that were not admitted, since the start.
        workers: that serve.
        audit_records: in the audit log.
        started_at: when verdictd started.
    """

    totals: Callable[[], Totals]
    collateral: Callable[[datetime], tuple[HeldItem, ...]]
    connections: Callable[[], int]
    turned_away: Callable[[], int]
    workers: Callable[[], int]
    audit_records: Callable[[], int]
    started_at: datetime


class Exposition(Collector):
    """Makes all metrics anew for each scrape."""

    def __init__(self, sources: MetricsSources) -> None:
        self._sources = sources
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def write(self) -> bytes:
        """Write them."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing: else registering would collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give every metric."""
        totals, now = self._sources.totals(), datetime.now(UTC)
        for name, labels in COUNTERS.items():
            family = CounterMetricFamily(f"{_PREFIX}{name}", _COUNTER_HELP[name], labels=labels)
            for values, count in totals.counters[name].items():
                family.add_metric(list(values), count)
            yield family
        for name, histogram in totals.histograms.items():
            yield _describe_histogram(name, histogram)
        yield from self._collect_collateral(now)
        yield _gauge("connections", "Connections that are open.", self._sources.connections())
        yield _gauge("workers", "Worker processes that serve.", self._sources.workers())
        yield _gauge("audit_records", "Records in the audit log.", self._sources.audit_records())
        yield _gauge("start_time_seconds", "When verdictd started.", self._sources.started_at.timestamp())
        turned_away = CounterMetricFamily(f"{_PREFIX}connections_turned_away", "Connections that were not admitted.")
        turned_away.add_metric([], self._sources.turned_away())
        yield turned_away
        build = GaugeMetricFamily(f"{_PREFIX}build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build

    def _collect_collateral(self, now: datetime) -> Iterator[Metric]:
        age = GaugeMetricFamily(f"{_PREFIX}collateral_age_seconds", "Since it was issued.", labels=["kind", "name"])
        left = GaugeMetricFamily(f"{_PREFIX}collateral_expires_seconds", "Until it expires.", labels=["kind", "name"])
        for item in self._sources.collateral(now)[:_MAX_ITEMS]:
            labels = [item.kind.value, f"{item.name} from {'a peer' if item.source == 'peer' else 'a source'}"]
            age.add_metric(labels, (now - item.issue_date).total_seconds())
            left.add_metric(labels, (item.expires_at - now).total_seconds())
        yield age
        yield left


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}{name}", help_text, value=value)


def _describe_histogram(name: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(f"{_PREFIX}{name}", _HISTOGRAM_HELP[name])
    buckets, below = [], 0
    for bound, count in zip((*(str(bound) for bound in BUCKETS), "+Inf"), histogram.counts, strict=True):
        below += count
        buckets.append((bound, float(below)))
    family.add_metric([], buckets=buckets, sum_value=histogram.total)
    return family
