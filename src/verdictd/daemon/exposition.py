"""verdictd's metrics in the form that Prometheus reads. docs/observability.md says what each is for."""

from collections.abc import Callable, Iterator, Sequence
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
MAX_ITEMS: Final = 1000
"""Of collateral: genuine platforms of any family can have it fetched, so that there is a bound."""
_ROOT_DIGITS: Final = 16
_COUNTER_HELP: Final = {
    "attestations": "Attestations concluded, by kind of evidence, verdict and the first check that refused.",
    "handshakes": "Handshakes, by what became of them.",
    "policy_decisions": "Decisions of the policy, by outcome.",
    "requests": "Requests of accepted peers, by outcome.",
    "archive_entries": "Attestations that were to be archived, by outcome.",
}
_HISTOGRAM_HELP: Final = {
    "handshake_seconds": "How long handshakes took, judgement included.",
    "judgement_seconds": "How long judgements took, collateral and policy included.",
    "policy_decision_seconds": "How long the policy's decisions took.",
    "collateral_wait_seconds": "How long judgements waited for collateral, also where it was held.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInForce:
    """What judges one kind of evidence.

    Attributes:
        tee: the kind of evidence.
        policy_digest, reference_digest: SHA-256 in lower-case hex; empty where there is none.
        is_usable: whether anybody could be accepted under it.
    """

    tee: str
    policy_digest: str
    reference_digest: str
    is_usable: bool


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
        policies: what judges each kind of evidence.
        trust_roots: how many roots are trusted; ``None`` to leave that out.
    """

    totals: Callable[[], Totals]
    collateral: Callable[[datetime], tuple[HeldItem, ...]]
    connections: Callable[[], int]
    turned_away: Callable[[], int]
    workers: Callable[[], int]
    audit_records: Callable[[], int]
    started_at: datetime
    policies: Callable[[], Sequence[PolicyInForce]] = tuple
    trust_roots: Callable[[], int] | None = None


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
        yield from self._collect_policies()
        if self._sources.trust_roots is not None:
            yield _gauge("trust_roots", "Roots that are trusted.", self._sources.trust_roots())
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
        # Two roots may each vouch for an item of one name, and a peer bring what the sources have too: without these
        # labels a scrape would hold a sample twice, and Prometheus would take none of it.
        labels = ["kind", "name", "root", "from"]
        age = GaugeMetricFamily(f"{_PREFIX}collateral_age_seconds", "Since it was issued.", labels=labels)
        left = GaugeMetricFamily(f"{_PREFIX}collateral_expires_seconds", "Until it expires.", labels=labels)
        for item in self._sources.collateral(now)[:MAX_ITEMS]:
            origin = "peer" if item.source == "peer" else "source"
            values = [item.kind.value, item.name, item.root.fingerprint[:_ROOT_DIGITS], origin]
            age.add_metric(values, (now - item.issue_date).total_seconds())
            left.add_metric(values, (item.expires_at - now).total_seconds())
        yield age
        yield left

    def _collect_policies(self) -> Iterator[Metric]:
        policies = self._sources.policies()
        if not policies:
            return
        digests = GaugeMetricFamily(
            f"{_PREFIX}policy_info", "What is in force.", labels=["tee", "policy_sha256", "reference_sha256"]
        )
        usable = GaugeMetricFamily(
            f"{_PREFIX}policy_usable", "Whether anybody could be accepted under what is in force.", labels=["tee"]
        )
        for policy in policies:
            digests.add_metric([policy.tee, policy.policy_digest, policy.reference_digest], 1)
            usable.add_metric([policy.tee], int(policy.is_usable))
        yield digests
        yield usable


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
