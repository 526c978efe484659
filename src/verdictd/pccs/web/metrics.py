"""What is counted of the requests, with a registry of its own. docs/pccs-api.md says what each figure is for."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

from verdictd import __version__

PREFIX: Final = "pccs_"
BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0)


class Metrics:
    """Counts for one server. Used in its event loop alone."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            f"{PREFIX}requests", "Requests answered, by route and status.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            f"{PREFIX}request_seconds",
            "From a request's head to its answer, by route.",
            ["route"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._answers = Counter(
            f"{PREFIX}cache_answers",
            "Items asked for, by kind and by whether they were in memory.",
            ["kind", "outcome"],
            registry=self._registry,
        )
        build = Gauge(f"{PREFIX}build_info", "The version that runs.", ["version"], registry=self._registry)
        build.labels(__version__).set(1)
        # Looking a child up by its labels costs more than counting.
        self._request_children: dict[tuple[str, int], Counter] = {}
        self._seconds_children: dict[str, Histogram] = {}
        self._answer_children: dict[tuple[str, str], Counter] = {}

    def add(self, collector: Collector) -> None:
        """Have more written with each scrape."""
        self._registry.register(collector)

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        key = (route, status)
        requests = self._request_children.get(key)
        if requests is None:
            requests = self._request_children[key] = self._requests.labels(route, str(status))
        requests.inc()
        durations = self._seconds_children.get(route)
        if durations is None:
            durations = self._seconds_children[route] = self._seconds.labels(route)
        durations.observe(seconds)

    def hit(self, kind: str) -> None:
        """Count an item that was in memory."""
        self._count(kind, "hit")

    def miss(self, kind: str) -> None:
        """Count an item that had to be looked for."""
        self._count(kind, "miss")

    def write(self) -> bytes:
        """Write all of them as Prometheus reads them."""
        return generate_latest(self._registry)

    def _count(self, kind: str, outcome: str) -> None:
        key = (kind, outcome)
        child = self._answer_children.get(key)
        if child is None:
            child = self._answer_children[key] = self._answers.labels(kind, outcome)
        child.inc()
